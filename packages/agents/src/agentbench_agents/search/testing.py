"""For tests and benchmarks: a model that writes real scikit-learn programs, and a fast way to run.

`ScriptedProgrammer` reads the prompts of `search/prompts` as a language model would: task, programs
and what was tried are taken from the text alone. Its draft is a random estimator with random
settings, its improvement changes one setting, its crossover takes each setting from either parent,
its ensemble averages. Some programs have a bug, or write fractions where integers are asked for; it
fixes both when it is asked to. For `react` and `mle` it reads about the task, runs programs until
one is accepted, and submits.
Draws depend on the programs in the conversation, its length and `Sampling.seed`, so it answers the
same whoever asks first and wherever the data lie.

`WarmInterpreter` runs trusted programs without a sandbox, in forks of an interpreter that has
imported scikit-learn already.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Self

from agentbench_agents.agents.baseline import program
from agentbench_agents.models import Completion, Message, Sampling, ToolSchema, Usage
from agentbench_agents.testing import NullSandbox
from agentbench_sandbox import ExecResult, SandboxFileNotFoundError

METHODS = ("linear", "forest", "boosting", "neighbours")
_CHOICES = re.compile(r"^CHOICES = json\.loads\('(.*)'\)$", re.MULTILINE)
_BUG = "undefined_name  # what a hasty programmer leaves behind\n"
_START = "train, test = read("
_JSON_ONLY = "Each answer of yours is one action, written as one JSON object"  # mle_system.txt
_MAKE = """\
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

CHOICES = json.loads('__CHOICES__')


def make(name, classify):
    c = CHOICES
    if name == "linear":
        inner = LogisticRegression(C=c["c"], max_iter=300) if classify else Ridge(1 / c["c"])
        return make_pipeline(StandardScaler(), inner)
    if name == "forest":
        kind = ExtraTreesClassifier if classify else ExtraTreesRegressor
        return kind(c["trees"], min_samples_leaf=c["leaf"], max_depth=c["depth"], random_state=SEED)
    if name == "boosting":
        kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
        return kind(
            max_iter=c["rounds"], learning_rate=c["rate"], max_leaf_nodes=c["leaf"] + 1,
            random_state=SEED,
        )
    kind = KNeighborsClassifier if classify else KNeighborsRegressor
    return make_pipeline(StandardScaler(), kind(c["neighbours"]))


"""


class ScriptedProgrammer:
    """A model for the operators of a search, `one_shot`, `react` and `mle`.

    Args:
        bugs: How likely a new program has a bug.
        unreadable: How likely an answer has no block of code.
        methods: The estimators that it knows, of `METHODS`; fewer make cheaper programs.
    """

    def __init__(
        self, *, bugs: float = 0.2, unreadable: float = 0.1, methods: Sequence[str] = METHODS
    ) -> None:
        if not methods or not {*methods} <= {*METHODS}:
            raise ValueError(f"methods must be some of {', '.join(METHODS)}, not {methods!r}")
        self.bugs = bugs
        self.unreadable = unreadable
        self.methods = tuple(methods)

    @property
    def name(self) -> str:
        """What it is."""
        return "scripted:programmer"

    def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSchema] = (),  # noqa: ARG002 - the protocol's signature
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    ) -> Completion:
        """Write a program for the latest prompt that holds a task."""
        programs = [found for m in messages for found in _CHOICES.findall(m["content"])]
        rng = Random(f"{sampling.seed} {len(messages)} {programs}")
        if rng.random() < self.unreadable:
            return _completion("I would fit a model. Shall I write the program?")
        if (action := _acts(messages)) is not None:
            return _completion(f"I act.\n```json\n{json.dumps(action)}\n```")
        prompt = next(str(m["content"]) for m in messages if "## metadata" in m["content"])
        parents = [json.loads(found) for found in _CHOICES.findall(prompt)]
        buggy = rng.random() < self.bugs
        if "This program failed." in prompt:
            whole = parents[0]["whole"] or "are not integers" in prompt
            plan, choices, buggy = "I mend it.", {**parents[0], "whole": whole}, False
        else:
            plan, choices = _next(prompt, parents, self.methods, rng)
        code = write_program(json.loads(_metadata(prompt)), choices, buggy=buggy)
        if _JSON_ONLY in messages[0]["content"]:
            action = {"action": "execute_code", "params": {"code": code}}
            return _completion(f"{plan}\n{json.dumps(action)}")
        return _completion(f"{plan}\n\n```python\n{code}```\n")

    def close(self) -> None:
        """Nothing is open."""


def random_choices(rng: Random, methods: Sequence[str] = METHODS) -> dict[str, Any]:
    """Draw an estimator and all settings, wide enough that many are poor."""
    return {
        "models": [rng.choice(methods)],
        "c": round(10 ** rng.uniform(-4, 1.5), 6),
        "trees": rng.randint(5, 60),
        "leaf": rng.randint(1, 30),
        "depth": rng.randint(1, 14),
        "rounds": rng.randint(5, 40),
        "rate": round(10 ** rng.uniform(-2, -0.3), 4),
        "neighbours": rng.randint(1, 60),
        "whole": False,
    }


def write_program(spec: dict[str, Any], choices: dict[str, Any], *, buggy: bool = False) -> str:
    """Return the program with these settings for a task of `RequestInfo("metadata")`."""
    source = program(spec, choices["models"]).replace("(5, shuffle", "(3, shuffle")
    made = _MAKE.replace("__CHOICES__", json.dumps(choices))
    if choices["whole"]:
        source = source.replace("= outside\n", "= np.rint(outside).astype(int)\n")
    source = source.replace(_START, f"{made}{_BUG if buggy else ''}{_START}")
    return source + 'print(f"validation: {abs(np.mean(scores)):.6f}")\n'


def _acts(messages: Sequence[Message]) -> dict[str, Any] | None:
    if not any("## metadata" in m["content"] for m in messages):
        return {"action": "request_info", "params": {"info_type": "all"}}
    submitted = re.search(r"^Submission \d+", messages[-1]["content"], re.MULTILINE)
    return {"action": "submit"} if submitted else None


def _next(
    prompt: str, parents: list[dict[str, Any]], methods: Sequence[str], rng: Random
) -> tuple[str, dict[str, Any]]:
    fresh = random_choices(rng, methods)
    if not parents:
        return f"A first program with {fresh['models'][0]}.", fresh
    if "fits the methods of all these" in prompt:
        models = sorted({m for parent in parents for m in parent["models"]})
        return f"The mean of {', '.join(models)}.", {**parents[0], "models": models}
    if len(parents) > 1:
        mixed = {k: rng.choice([p[k] for p in parents[:2]]) for k in fresh}
        return "Each setting from one of the two.", mixed
    used = {
        "linear": ["c"],
        "forest": ["trees", "leaf", "depth"],
        "boosting": ["rounds", "rate", "leaf"],
        "neighbours": ["neighbours"],
    }
    gene = rng.choice(["models", *(g for m in parents[0]["models"] for g in used[m])])
    return f"I change {gene} to {fresh[gene]}.", {**parents[0], gene: fresh[gene]}


def _metadata(prompt: str) -> str:
    begin = prompt.index("{", prompt.index("## metadata"))
    return json.dumps(json.JSONDecoder().raw_decode(prompt, begin)[0])


def _completion(text: str) -> Completion:
    usage = Usage(prompt_tokens=100, completion_tokens=len(text) // 4)
    return Completion(text=text, usage=usage, finish_reason="stop")


_SERVER = """
import json, os, runpy, sys, traceback
import sklearn.calibration, sklearn.ensemble, sklearn.feature_extraction.text, sklearn.linear_model
import sklearn.metrics, sklearn.model_selection, sklearn.neighbors, sklearn.pipeline, sklearn.svm
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(asked["cwd"])
        for stream in (1, 2):
            os.dup2(os.open(asked[str(stream)], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), stream)
        os.environ["AGENTBENCH_SEED"] = asked["seed"]
        code = 0
        try:
            runpy.run_path(asked["file"], run_name="__main__")
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class WarmInterpreter:
    """Runs trusted programs one after the other, each in a fork that begins with imports done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-W", "ignore", "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def folder(self, public: Path, *, seed: int) -> "WarmFolder":
        """Return a sandbox for `TaskEnv` that keeps nothing in, with public data at `/data`."""
        return WarmFolder(self, public, seed)

    def run(self, cwd: str, file: str, outputs: tuple[str, str], *, seed: int) -> int:
        """Run a program and return its exit code."""
        asked = {"cwd": cwd, "file": file, "1": outputs[0], "2": outputs[1], "seed": str(seed)}
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the interpreter."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WarmFolder(NullSandbox):
    """No sandbox at all: a temporary folder whose programs a `WarmInterpreter` runs."""

    def __init__(self, interpreter: WarmInterpreter, public: Path, seed: int) -> None:
        super().__init__(workdir=tempfile.mkdtemp(prefix="agentbench-warm-"))
        self.interpreter, self.public, self.seed = interpreter, public, seed

    def path(self, target: str) -> str:
        """Return where the public data is."""
        return str(self.public) if target == "/data" else target

    def exec(self, argv: Sequence[str], *, cwd: str | None = None, **_: Any) -> ExecResult:  # noqa: ANN401 # pyright: ignore[reportIncompatibleMethodOverride]
        """Run a program file, or a command such as `rm`; a program in an argument is left out."""
        place, out, err = cwd or self.workdir, b"", b""
        if argv[0] != "python":
            code = subprocess.run(argv, cwd=place, check=False).returncode  # noqa: S603
        elif argv[1] == "-c":
            code = 0
        else:
            names = (f"{self.workdir}/.stdout", f"{self.workdir}/.stderr")
            code = self.interpreter.run(place, argv[1], names, seed=self.seed)
            out, err = (Path(name).read_bytes() for name in names)
        return ExecResult(
            exit_code=code,
            stdout_bytes=out,
            stderr_bytes=err,
            stdout_total=len(out),
            stderr_total=len(err),
        )

    def read_file(self, path: str) -> bytes:
        """Return a file."""
        if not Path(path).is_file():
            raise SandboxFileNotFoundError(f"no file {path}")
        return Path(path).read_bytes()

    def write_file(self, path: str, data: bytes | str) -> None:
        """Write a file."""
        Path(path).write_bytes(data.encode() if isinstance(data, str) else data)

    def upload(self, src: str | Path, dst: str) -> None:
        """Copy a folder in."""
        shutil.copytree(src, dst)

    def fork(self) -> "WarmFolder":
        """Return a copy."""
        twin = WarmFolder(self.interpreter, self.public, self.seed)
        shutil.copytree(self.workdir, twin.workdir, symlinks=True, dirs_exist_ok=True)
        return twin

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.workdir, ignore_errors=True)
