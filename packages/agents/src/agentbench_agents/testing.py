"""For tests of agents and environments: a sandbox that runs nothing, scripted researchers."""

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from agentbench_agents.actions import Submit
from agentbench_agents.research_actions import RunDev, WriteFile
from agentbench_sandbox import (
    Capabilities,
    CapabilityError,
    ExecResult,
    Limits,
    SandboxFileNotFoundError,
)

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Model
    from agentbench_sandbox import Kernel
    from agentbench_sandbox.sandbox import OnOutput


@dataclass(slots=True, kw_only=True)
class NullSandbox:
    """Keeps files in memory and pretends that every command ended well.

    Attributes:
        submission: What a program "writes" as submission.csv, or None.
        stdout: What a program "prints".
        exit_code: With what a program "ends".
        commands: The commands that were given.
    """

    submission: bytes | None = None
    stdout: bytes = b""
    exit_code: int = 0
    commands: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    backend: str = "null"
    workdir: str = "/workspace"
    capabilities: Capabilities = field(default_factory=Capabilities)
    limits: Limits = field(default_factory=Limits)

    def path(self, target: str) -> str:
        """Every path is where it was asked for."""
        return target

    def describe(self) -> dict[str, Any]:
        """Say that this is no sandbox."""
        return {"backend": self.backend, "isolated": False}

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        check: bool = False,
        on_output: "OnOutput | None" = None,
        cancel: threading.Event | None = None,
        end_background: bool = False,
    ) -> ExecResult:
        """Note the command; a Python program "writes" the submission."""
        del timeout_s, stdin, env, user, check, on_output, cancel, end_background
        self.commands.append(tuple(argv))
        name = f"{cwd or self.workdir}/submission.csv"
        if argv[0] == "rm":
            self.files.pop(name, None)
        is_program = argv[0] == "python" and argv[1] != "-c"
        if is_program and self.submission is not None:
            self.files[name] = self.submission
        return ExecResult(
            exit_code=self.exit_code if is_program else 0,
            stdout_bytes=self.stdout if is_program else b"",
            stderr_bytes=b"",
            stdout_total=len(self.stdout) if is_program else 0,
            stderr_total=0,
        )

    def read_file(self, path: str) -> bytes:
        """Return a file."""
        if path not in self.files:
            raise SandboxFileNotFoundError(f"no file {path}")
        return self.files[path]

    def write_file(self, path: str, data: bytes | str) -> None:
        """Keep a file."""
        self.files[path] = data.encode() if isinstance(data, str) else data

    def upload(self, src: str | Path, dst: str) -> None:
        """Forget it."""

    def download(self, src: str, dst: str | Path) -> list[str]:
        """There is nothing to copy."""
        del dst
        return [src]

    def python(self) -> "Kernel":
        """There is no Python here.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError("the null sandbox runs nothing, so it has no Python session")

    def fork(self) -> "NullSandbox":
        """Return a copy with the same files."""
        return replace(self, files=dict(self.files), commands=list(self.commands))

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def offline_options(name: str, root: Path, *, rows: int) -> dict[str, Any]:
    """Return options with which `TaskEnv` can be made of any task without a download.

    * A Kaggle task: a synthetic stand-in of so many rows, and the null sandbox.
    * A task whose data a library ships: its data, and the null sandbox.
    * A research task: its data, or a stand-in of it if that would be downloaded, and a local
      sandbox. Its anchors are made up, since measuring them takes minutes: no score means anything.
    """
    from agentbench_agents.research import load_any

    task = load_any(name)
    if task.kind == "research":
        _make_up(name, root)
        limits = Limits(memory_mib=2048, disk_mib=1024)  # without the GPU that a full task asks for
        return {"data_root": root, "sandbox": "local", "limits": limits}
    synthetic = None
    if task.recipe.source.provider == "kaggle":
        synthetic = max(rows, round(5 / (task.recipe.split.test or 1)))  # some are public
    return {"data_root": root, "sandbox": NullSandbox, "synthetic": synthetic}


def _make_up(name: str, root: Path) -> None:
    """Prepare a research task with anchors that nobody measured."""
    from unittest.mock import patch

    import numpy as np

    from agentbench_agents.research_result import anchors_file
    from agentbench_tasks import load_research, prepare_research
    from agentbench_tasks.research_data import task_module

    task = load_research(name)
    raw = None
    if not task.lite:
        raw = root / "raw" / name
        task_module(task, "stand_in").write(raw, np.random.default_rng(0))
    if name == "machine-unlearning":  # its preparation trains models for minutes
        shorter = patch.multiple(task_module(task, "full"), EPOCHS=1, MODELS=2)
    else:
        shorter = nullcontext()
    with shorter:
        prepared = prepare_research(task, root, raw=raw)
    published = task.anchors.reference
    strong = published.test.value if published is not None else 0.0
    ends = {"baseline": strong - (1 if task.higher_is_better else -1), "reference": strong}
    anchors: dict[str, Any] = {
        end: {phase: {"value": value, "n": 1, "replicates": []} for phase in ("dev", "test")}
        for end, value in ends.items()
    }
    anchors_file(prepared).write_text(json.dumps(anchors))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedResearcher:
    """Writes method files, scores one method on dev, and submits it.

    Attributes:
        files: Path -> content.
        method: Name under which they register it.
    """

    needs_model = False
    files: Mapping[str, str]
    method: str

    def run(self, env: "TaskEnv", model: "Model") -> None:  # noqa: ARG002 - the protocol's
        """Take one action for each file, and two more."""
        steps = [WriteFile(path=name, content=text) for name, text in self.files.items()]
        for action in (*steps, RunDev(method=self.method), Submit()):
            if not env.over:
                env.step(action.to_text())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceResearcher:
    """Submits the strong reference method of a research task, which agents never see."""

    needs_model = False

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Copy the method from the host's side of the task."""
        task: Any = env.task
        files = {name: data.decode() for name, data in task.reference().items()}
        ScriptedResearcher(files=files, method="strong").run(env, model)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheatingResearcher:
    """Rewrites what scores it, and then submits the baseline under another name."""

    needs_model = False

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Attack main.py, task.py and the harness's records from the sandbox and the method."""
        ScriptedResearcher(files=CHEAT, method="cheat").run(env, model)


CHEAT: Mapping[str, str] = MappingProxyType(
    {
        "main.py": "print('score: 1.0')\n",
        "evaluation.py": "def get_score(*args):\n    return 1.0\n",
        "dev.jsonl": '{"number": 1, "method": "cheat", "score": 1000000.0}\n',
        "methods/cheat.py": (
            "import json, os\n"
            "from methods.baseline import Baseline\n"
            "for name in ('main.py', 'task.py', 'result.json', 'dev.jsonl', 'output/x.json'):\n"
            "    try:\n"
            "        os.makedirs(os.path.dirname(name) or '.', exist_ok=True)\n"
            "        with open(name, 'w') as file:\n"
            "            json.dump({'score': 1e9, 'performance': 1e9}, file)\n"
            "    except OSError:\n"
            "        pass\n"
            "import numpy as np\n"
            "np.mean = np.average = lambda *a, **k: 1.0\n"
            "for top, _, names in os.walk('/'):\n"
            "    if 'labels' in top.split('/'):\n"
            "        print('labels at', top)\n"
        ),
        "methods/__init__.py": (
            "from methods.cheat import Baseline\n\n\n"
            "def all_method_handlers():\n    return {'cheat': Baseline}\n"
        ),
    }
)
"""What `CheatingResearcher` writes: path -> content."""
