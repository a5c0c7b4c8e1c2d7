"""The research protocol: three places that never mix.

1. The agent's sandbox holds the starter repository, training data and development inputs.
2. The runner is a fresh sandbox made of the pristine repository plus the declared method files. It
   sees training data and the inputs of one phase, no labels, no network; it writes predictions or
   weights, within limits of time, memory (the GPU's too), processes and disk.
3. The scorer is this process: labels and outputs. It imports nothing that an agent wrote.

What an agent did to any other file is not undone: it was never there. Times are taken by the
host's monotonic clock.
"""

import fnmatch
import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentbench_agents import gpu_memory
from agentbench_agents.errors import AgentsError
from agentbench_agents.suspicion import source_text, suspicions

if TYPE_CHECKING:
    from agentbench_sandbox import ExecResult, Mount, Sandbox
    from agentbench_tasks.research import Phase, ResearchTask
    from agentbench_tasks.research_data import PreparedResearch
    from agentbench_tasks.research_score import Evaluation

MAX_FILES = 200
MAX_BYTES = 1 << 20
TRAIN, INPUTS, OUTPUTS = "/train", "/inputs", "outputs"
RunStatus = Literal["ok", "failed", "timeout", "invalid"]
_METHOD = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,79}")
_TAIL = 4000
_LONGEST_NAME = 80
_CODE = (".py", ".pyc", ".pth", ".so")
_RECORDS = (".json", ".jsonl")

OpenRunner = Callable[["tuple[Mount, ...]"], "Sandbox"]
"""Opens a fresh sandbox with these mounts."""


class SnapshotError(AgentsError, ValueError):
    """The method files of a repository cannot be taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The submission: declared files by relative path.

    Attributes:
        files: Path in the repository -> content.
        remarks: What was left out or ignored when it was taken.
    """

    files: Mapping[str, bytes]
    remarks: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents: equal snapshots are the same submission."""
        whole = hashlib.sha256()
        for name, data in sorted(self.files.items()):
            whole.update(f"{len(name)} {name} {len(data)} ".encode() + data)
        return whole.hexdigest()

    def sources(self) -> dict[str, str]:
        """Return the files as Python reads them, by the encoding that they declare."""
        return {name: source_text(data) for name, data in self.files.items()}

    def write(self, folder: Path) -> Path:
        """Keep the files in `folder/<digest>/`; content that is there already stays."""
        place = folder / self.digest
        if not place.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".snapshot-", dir=folder) as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                for name, data in self.files.items():
                    path = made / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                try:
                    made.rename(place)
                except OSError:  # another branch of the run has kept the same files
                    if not place.exists():
                        raise
        return place


def is_editable(task: "ResearchTask", name: str) -> bool:
    """Whether a path in the repository belongs to the submission (`*` matches `/` too)."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in task.editable)


def pristine_snapshot(task: "ResearchTask", extra: Mapping[str, bytes] | None = None) -> Snapshot:
    """Return the submission that changes nothing, or one with `extra` files on top of it."""
    files = {n: d for n, d in task.starter().items() if is_editable(task, n)}
    return Snapshot({**files, **(extra or {})})


def reference_snapshot(task: "ResearchTask") -> Snapshot:
    """Return the submission with the strong reference method, registered as `strong`."""
    return pristine_snapshot(task, task.reference())


def take_snapshot(sandbox: "Sandbox", task: "ResearchTask") -> Snapshot:
    """Take the declared files out of an agent's sandbox and say what is ignored.

    Regular files only: links, devices and FIFOs never leave the sandbox.

    Raises:
        SnapshotError: There is no `methods` folder, or too many or too large files.
    """
    from agentbench_sandbox import SandboxClosedError, SandboxError

    remarks: list[str] = []
    files: dict[str, bytes] = {}
    link = sandbox.exec(["test", "-L", "methods"], timeout_s=30, cwd=sandbox.workdir)
    if link.exit_code == 0:
        raise SnapshotError("methods is a link; make it a folder with the files in it")
    with tempfile.TemporaryDirectory(prefix="agentbench-snapshot-") as scratch:
        target = Path(scratch) / "methods"
        try:
            left_out = sandbox.download(f"{sandbox.workdir}/methods", target)
        except SandboxClosedError:
            raise
        except (SandboxError, OSError) as error:
            raise SnapshotError(f"methods/ cannot be read: {error}") from error
        remarks += [f"methods/{_shown(n)}: not a regular file, left out" for n in left_out[:20]]
        if not target.is_dir():
            raise SnapshotError("methods is no folder")
        for path in sorted(p for p in target.rglob("*") if p.is_file()):
            name = f"methods/{path.relative_to(target).as_posix()}"
            if is_editable(task, name):
                files[name] = path.read_bytes()
            elif "__pycache__" not in name:
                remarks.append(f"{_shown(name)}: not a declared method file, left out")
    size = sum(map(len, files.values()))
    if not files or len(files) > MAX_FILES or size > MAX_BYTES:
        raise SnapshotError(
            f"the submission has {len(files)} files of {size} bytes; "
            f"1 to {MAX_FILES} files of {MAX_BYTES} bytes in all are allowed"
        )
    remarks += _changed(sandbox, task, "ignored: the original is used")
    remarks += _added(sandbox, task, "ignored: only method files are taken")
    return Snapshot(files, tuple(remarks))


def _changed(sandbox: "Sandbox", task: "ResearchTask", what: str) -> list[str]:
    """Say which read-only files differ from the original."""
    from agentbench_sandbox import SandboxClosedError, SandboxError

    found: list[str] = []
    for name, data in task.starter().items():
        if is_editable(task, name):
            continue
        try:
            same = sandbox.read_file(f"{sandbox.workdir}/{name}") == data
        except SandboxClosedError:
            raise
        except (SandboxError, OSError):
            same = False
        if not same:
            found.append(f"{name} was changed, {what}")
    return found


def _added(sandbox: "Sandbox", task: "ResearchTask", what: str) -> list[str]:
    """Say which files beside the repository's own look like code or, in the root, like records."""
    skip = [word for name in ("methods", OUTPUTS) for word in ("-path", f"./{name}", "-o")]
    find = ["find", ".", "-maxdepth", "6", "(", *skip, "-name", "__pycache__", ")", "-prune", "-o"]
    find += ["!", "-type", "d", "-print0"]
    listed = sandbox.exec(find, timeout_s=30, cwd=sandbox.workdir)
    names = (name.removeprefix("./") for name in listed.stdout.split("\0"))
    own = task.starter()
    odd = [
        name
        for name in names
        if name not in own
        and (name.endswith(_CODE) or (name.endswith(_RECORDS) and "/" not in name))
    ]
    return [f"{_shown(name)} was added, {what}" for name in sorted(odd)[:20]]


def _shown(name: str) -> str:
    """A hostile file name on one line of printable characters, its end at most."""
    plain = name if name.isprintable() else ascii(name)[1:-1]
    return plain if len(plain) <= _LONGEST_NAME else f"...{plain[-_LONGEST_NAME:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRun:
    """What running one method on one phase came to.

    Attributes:
        status: `ok`; `failed` (crashed or broke a limit); `timeout`; `invalid` (wrong outputs).
        seconds: From start to end of the command, by the host's clock.
        reason: Why it is not ok.
        output: The end of what it printed.
        evaluation: Its score; None unless it is ok.
        remarks: What else was noticed.
    """

    status: RunStatus
    seconds: float
    reason: str = ""
    output: str = ""
    evaluation: "Evaluation | None" = None
    remarks: tuple[str, ...] = ()

    @property
    def score(self) -> float | None:
        """The score, None unless it is ok."""
        return None if self.evaluation is None else self.evaluation.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs submissions in fresh sandboxes and scores what they write.

    Attributes:
        prepared: The task.
        open_sandbox: Opens a runner.
        seed: Handed to the method.
    """

    prepared: "PreparedResearch"
    open_sandbox: OpenRunner
    seed: int = 0

    def run(
        self, snapshot: Snapshot, method: str, phase: "Phase", *, timeout_s: float | None = None
    ) -> MethodRun:
        """Run one method of a submission on the inputs of a phase and score it.

        Raises:
            agentbench_sandbox.SandboxError: No sandbox can be had; never for what a method does.
        """
        if not _METHOD.fullmatch(method):
            reason = f"{method[:80]!r} is no method name"
            return MethodRun(status="invalid", seconds=0.0, reason=reason)
        resources = self.prepared.task.resources
        limit = resources.dev_s if phase == "dev" else resources.test_s
        limit = limit if timeout_s is None else min(limit, timeout_s)
        with (
            self._open(phase) as sandbox,
            tempfile.TemporaryDirectory(prefix="agentbench-outputs-") as scratch,
        ):
            self._check_out(sandbox, snapshot)
            outputs = Path(scratch) / OUTPUTS
            run = self._execute(sandbox, method, limit, outputs)
            run = self._score(run, phase, outputs) if run.status == "ok" else run
        pristine = pristine_snapshot(self.prepared.task).files
        return replace(run, remarks=(*run.remarks, *suspicions(snapshot.files, pristine)))

    def _open(self, phase: "Phase") -> "Sandbox":
        from agentbench_sandbox import Mount

        train = Mount(str(self.prepared.train), TRAIN)
        return self.open_sandbox((train, Mount(str(self.prepared.inputs(phase)), INPUTS)))

    def _check_out(self, sandbox: "Sandbox", snapshot: Snapshot) -> None:
        task = self.prepared.task
        files = {n: d for n, d in task.starter().items() if not is_editable(task, n)}
        for name, data in {**files, **snapshot.files}.items():
            sandbox.write_file(f"{sandbox.workdir}/{name}", data)

    def _execute(self, sandbox: "Sandbox", method: str, limit: float, outputs: Path) -> MethodRun:
        from agentbench_sandbox import SandboxClosedError, SandboxError

        argv = ["python", "main.py", "--method", method, "--train", sandbox.path(TRAIN)]
        argv += ["--inputs", sandbox.path(INPUTS), "--outputs", OUTPUTS, "--seed", str(self.seed)]
        gpu = self.prepared.task.resources.gpu_memory_mib
        env = {} if gpu is None else {gpu_memory.VARIABLE: str(gpu)}
        began = time.monotonic()
        try:
            with gpu_memory.GpuMemoryWatch(gpu) as watch:
                result = sandbox.exec(
                    argv, timeout_s=limit, cwd=sandbox.workdir, env=env, cancel=watch.exceeded
                )
        except SandboxClosedError as error:
            seconds = time.monotonic() - began
            reason = f"the method ended its sandbox: {error}"
            return MethodRun(status="failed", seconds=seconds, reason=reason)
        seconds = time.monotonic() - began
        output = (result.stdout + result.stderr)[-_TAIL:]
        bad = _verdict(result, limit)
        if watch.exceeded.is_set():
            bad = ("failed", f"it used {watch.peak_mib} MiB of GPU memory; {gpu} are allowed")
        if bad is not None:
            return MethodRun(status=bad[0], seconds=seconds, reason=bad[1], output=output)
        try:
            task, by_method = self.prepared.task, "by the method while it ran: no effect"
            remarks = [*_changed(sandbox, task, by_method), *_added(sandbox, task, by_method)]
            left_out = sandbox.download(f"{sandbox.workdir}/{OUTPUTS}", outputs)
        except (SandboxError, OSError) as error:
            reason = f"its outputs cannot be read: {error}"
            return MethodRun(status="invalid", seconds=seconds, reason=reason, output=output)
        remarks += [f"outputs/{_shown(n)}: not a regular file, left out" for n in left_out[:20]]
        if result.truncated:
            remarks.append("the method printed more than is kept")
        return MethodRun(status="ok", seconds=seconds, output=output, remarks=tuple(remarks))

    def _score(self, run: MethodRun, phase: "Phase", outputs: Path) -> MethodRun:
        from agentbench_tasks.research_score import InvalidOutputError, score_outputs

        try:
            evaluation = score_outputs(self.prepared, phase, outputs)
        except InvalidOutputError as error:
            return replace(run, status="invalid", reason=str(error))
        return replace(run, evaluation=evaluation)


def _verdict(result: "ExecResult", limit: float) -> tuple[RunStatus, str] | None:
    """Say why a command did not end well, the first reason that holds; None if it did."""
    last = result.stderr.strip().splitlines()[-1:] or ["nothing on standard error"]
    reasons: tuple[tuple[bool, RunStatus, str], ...] = (
        (result.timed_out, "timeout", f"it was still running after {limit:g} s"),
        (result.oom_killed, "failed", "it ran out of memory"),
        (result.pids_limit_hit, "failed", "it started too many processes"),
        (result.disk_limit_hit, "failed", "it filled the disk"),
        (
            result.exit_code != 0,
            "failed",
            f"it exited with code {result.exit_code}: {last[0][:500]}",
        ),
        (result.background > 0, "failed", f"it left {result.background} processes running"),
    )
    return next(((status, why) for holds, status, why in reasons if holds), None)
