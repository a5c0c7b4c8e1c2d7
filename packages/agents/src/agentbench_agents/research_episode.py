"""One episode of a research task: files in a sandbox, dev scores by the runner, one test.

What the harness knows of dev scores it wrote itself, to `dev.jsonl` in the run directory; the files
of every scored submission are in `snapshots/<digest>/`. The best on dev (ties: the earlier) is
tested once, when the final result is asked for.
"""

import copy
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentbench_agents.budget import Spend
from agentbench_agents.episode import Outcome
from agentbench_agents.errors import RunDirectoryError
from agentbench_agents.feedback import FeedbackProvider, Report, compose, template
from agentbench_agents.protocol import (
    MethodRun,
    Runner,
    Snapshot,
    SnapshotError,
    pristine_snapshot,
    take_snapshot,
)
from agentbench_agents.research_result import (
    InstanceAnchors,
    ResearchOutcome,
    instance_anchors,
    outcome,
)
from agentbench_agents.run_files import RunFiles
from agentbench_agents.trajectory import Trajectory
from agentbench_agents.workspace import CodeRun, Workspace

if TYPE_CHECKING:
    from agentbench_tasks import PreparedResearch, ResearchTask

_SHOWN = 20_000
_MAX_LINES = 400
_SCRIPT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchGrade:
    """A score of a research submission, in the form of `agentbench_tasks.Grade`.

    Attributes:
        score: The task's metric.
        progress: Part of the way from baseline to reference, clipped to [0, 1].
        margin: The same, unclipped; None without a reference.
        higher_is_better: Direction of the metric.
        human_rank: None: there is no leaderboard.
        medal: None.
    """

    score: float
    progress: float
    margin: float | None
    higher_is_better: bool
    human_rank: float | None = None
    medal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DevRun:
    """A submission that was run on the development inputs.

    Attributes:
        number: 1, 2, ..., over all branches of the run.
        method: The method that was run.
        snapshot: Its files.
        run: How it went.
        shown: Its dev score, None if it has none.
        hidden: Its test score, on the one that is tested.
    """

    number: int
    method: str
    snapshot: Snapshot
    run: MethodRun
    shown: ResearchGrade | None
    hidden: ResearchGrade | None = None
    issues: tuple[()] = ()

    @property
    def sha256(self) -> str:
        """Digest of its files."""
        return self.snapshot.digest

    @property
    def valid(self) -> bool:
        """Whether it has a dev score."""
        return self.shown is not None


@dataclass(slots=True, kw_only=True)
class ResearchEpisode:
    """The state of an episode; `TaskEnv` owns it, as it owns an `Episode`."""

    prepared: "PreparedResearch"
    workspace: Workspace
    runner: Runner
    feedback: str
    spend: Spend
    trajectory: Trajectory
    files: RunFiles
    providers: tuple[FeedbackProvider, ...] = (template,)
    step: int = 0
    submissions: list[DevRun] = field(default_factory=list["DevRun"])
    milestones: set[str] = field(default_factory=set[str])
    summary: list[str] = field(default_factory=list[str])
    chosen: int | None = None
    result: ResearchOutcome | None = None
    left_running: int = 0
    anchors: InstanceAnchors = field(init=False)

    def __post_init__(self) -> None:
        self.anchors = instance_anchors(self.runner)
        self._check_out()

    def fork(self, workspace: Workspace) -> "ResearchEpisode":
        """Return an episode with the same past and a workspace of its own."""
        twin = copy.copy(self)
        twin.workspace = workspace
        twin.submissions = list(self.submissions)
        twin.milestones = set(self.milestones)
        twin.summary = list(self.summary)
        return twin

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.files.directory

    @property
    def task(self) -> "ResearchTask":
        """The task that is worked on."""
        return self.prepared.task

    # -- files ----------------------------------------------------------------------------------

    def list_files(self, path: str) -> Outcome:
        """List a directory in the sandbox."""
        return self._command(["ls", "-lA", "--", path], timeout_s=30)

    def read_file(self, path: str, first: int, last: int) -> Outcome:
        """Read lines of a file in the sandbox."""
        data = self._read(path)
        if isinstance(data, Outcome):
            return data
        lines = data.decode("utf-8", "replace").splitlines()
        last = min(last, first + _MAX_LINES, len(lines))
        text = "\n".join(f"{i}\t{lines[i - 1]}" for i in range(first, last + 1))
        return Outcome(text=f"{path}, lines {first} to {last} of {len(lines)}:\n{text[:_SHOWN]}")

    def write_file(self, path: str, content: str) -> Outcome:
        """Write a file in the sandbox."""
        return self._write(path, content.encode("utf-8", "surrogatepass"))

    def append_file(self, path: str, content: str) -> Outcome:
        """Append to a file in the sandbox."""
        return self._command(
            ["tee", "-a", "--", path], timeout_s=30, stdin=content.encode("utf-8", "surrogatepass")
        )

    def copy_file(self, source: str, destination: str) -> Outcome:
        """Copy a file in the sandbox."""
        return self._command(["cp", "--", source, destination], timeout_s=30)

    def edit_file(self, path: str, old: str, new: str) -> Outcome:
        """Replace a piece of text that occurs once."""
        data = self._read(path)
        if isinstance(data, Outcome):
            return data
        # Bytes, so that what is no text elsewhere in the file stays as it is.
        before, after = (t.encode("utf-8", "surrogatepass") for t in (old, new))
        count = data.count(before)
        if count != 1:
            return Outcome(
                text=f"the text occurs {count} times in {path}, not once", status="failed"
            )
        return self._write(path, data.replace(before, after))

    def run_script(self, path: str, arguments: Sequence[str]) -> Outcome:
        """Run a script in the agent's sandbox."""
        command = ["python", path, *arguments]
        return self._command(command, timeout_s=_SCRIPT_S, providers=self.providers)

    def clear_workspace(self) -> Outcome:
        """Give the agent a fresh sandbox with the pristine repository."""
        self.workspace.clear()
        self._check_out()
        return Outcome(text="The repository is as it was at the start; dev scores are kept.")

    def get_history(self, last: int) -> Outcome:
        """List the latest steps, one line each."""
        return Outcome(text="\n".join(self.summary[-last:] or ["No steps so far."]))

    # -- scores ---------------------------------------------------------------------------------

    def run_dev(self, method: str) -> Outcome:
        """Score the method files as they are on the development inputs."""
        try:
            snapshot = take_snapshot(self.workspace.sandbox, self.task)
        except SnapshotError as error:
            return Outcome(text=f"Nothing was run: {error}", status="failed")
        run = self.runner.run(snapshot, method, "dev", timeout_s=self.spend.remaining_s())
        shown = None if run.score is None else self._grade("dev", run.score)
        number = self.files.next_submission()
        done = DevRun(number=number, method=method, snapshot=snapshot, run=run, shown=shown)
        self.submissions.append(done)
        self._log(done)
        remarks = "".join(f"\nNote: {remark}" for remark in (*snapshot.remarks, *run.remarks))
        if shown is None:
            text = f"Dev run {number} of {method!r}: {run.status}: {run.reason}\n{run.output}"
            status: Literal["failed", "invalid_submission"] = (
                "invalid_submission" if run.status == "invalid" else "failed"
            )
            return Outcome(text=text + remarks, status=status, submission=number)
        self.milestones.add("valid submission")
        base = self.anchors.baseline["dev"].value
        best = ", the best so far" if self._best() is done else ""
        text = (
            f"Dev run {number} of {method!r}: {self.task.metric.name} {shown.score:.6g} in "
            f"{run.seconds:.1f} s (baseline {base:.6g}){best}.\n{run.output}"
        )
        return Outcome(text=text + remarks, submission=number, progress=shown.progress)

    def submit(self, number: int | None) -> Outcome:
        """End the episode, with a dev run of the agent's choice or the best one."""
        valid = [s.number for s in self.submissions if s.valid]
        if not valid or (number is not None and number not in valid):
            return Outcome(
                text=f"There is no dev run {number or ''} with a score; there are {valid}.",
                status="invalid_action",
            )
        self.chosen = number
        return Outcome(
            text=f"Dev run {number or self._must_best().number} will be tested.", done=True
        )

    def best_progress(self, *, ended: bool) -> float:
        """Return the best dev progress so far; test scores are no reward."""
        del ended
        return max((s.shown.progress for s in self.submissions if s.shown), default=0.0)

    def final_submission(self) -> DevRun | None:
        """Test the chosen or best dev run, once, and return it with its test score."""
        best = self._chosen()
        if best is None or best.shown is None:
            return None
        if self.result is None:
            remarks = self._end_processes()
            tested = self.runner.run(best.snapshot, best.method, "test")
            pristine = pristine_snapshot(self.task)
            baseline = tested
            if best.snapshot.digest != pristine.digest or best.method != self.task.baseline_method:
                baseline = self.runner.run(pristine, self.task.baseline_method, "test")
            self.result = outcome(
                self.prepared,
                self.anchors,
                snapshot=best.snapshot,
                method=best.method,
                dev=best.shown.score,
                tested=replace(tested, remarks=(*remarks, *tested.remarks)),
                baseline=baseline,
            )
            self.trajectory.append("note", {"tested": asdict(self.result)})
        if self.result.test is None:
            return best
        return replace(
            best,
            hidden=ResearchGrade(
                score=self.result.test,
                progress=min(1.0, max(0.0, self._progress("test", self.result.test))),
                margin=None if self.result.margin is None else self.result.margin / 100,
                higher_is_better=self.task.higher_is_better,
            ),
        )

    def _chosen(self) -> DevRun | None:
        if self.chosen is not None:
            return next(s for s in self.submissions if s.number == self.chosen)
        return self._best()

    def _best(self) -> DevRun | None:
        sign = 1.0 if self.task.higher_is_better else -1.0
        return max(
            (s for s in self.submissions if s.shown),
            key=lambda s: sign * s.shown.score if s.shown else 0.0,
            default=None,
        )

    def _must_best(self) -> DevRun:
        best = self._best()
        assert best is not None  # noqa: S101 - submit() has seen a valid one
        return best

    def _grade(self, phase: Literal["dev", "test"], score: float) -> ResearchGrade:
        progress = self._progress(phase, score)
        return ResearchGrade(
            score=score,
            progress=min(1.0, max(0.0, progress)),
            margin=progress if phase in self.anchors.reference else None,
            higher_is_better=self.task.higher_is_better,
        )

    def _progress(self, phase: Literal["dev", "test"], score: float) -> float:
        up = self.task.higher_is_better
        return self.anchors.progress(phase, score, higher_is_better=up)

    def _log(self, done: DevRun) -> None:
        evaluation = done.run.evaluation
        row = {
            "number": done.number,
            "step": self.step,
            "method": done.method,
            "snapshot": done.sha256,
            "status": done.run.status,
            "reason": done.run.reason,
            "score": done.run.score,
            "se": None if evaluation is None else evaluation.se,
            "seconds": round(done.run.seconds, 3),
            "remarks": [*done.snapshot.remarks, *done.run.remarks],
        }
        try:
            done.snapshot.write(self.directory / "snapshots")
            with (self.directory / "dev.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
        except OSError as error:
            raise RunDirectoryError(f"cannot write {self.directory}: {error.strerror}") from error

    # -- the sandbox ----------------------------------------------------------------------------

    def _end_processes(self) -> tuple[str, ...]:
        """End what the agent left running: it could slow down the baseline, and not the method."""
        from agentbench_sandbox import SandboxError

        sandbox = self.workspace.sandbox
        with suppress(SandboxError, OSError):  # closed: nothing runs in it
            sandbox.exec(["sh", "-c", "kill -9 -1"], timeout_s=30, cwd=sandbox.workdir)
        if not self.left_running:
            return ()
        return (
            f"scripts left processes running ({self.left_running} times): ended before the test",
        )

    def _check_out(self) -> None:
        sandbox = self.workspace.sandbox
        for name, data in self.task.starter().items():
            sandbox.write_file(f"{sandbox.workdir}/{name}", data)

    def _inside(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.workspace.sandbox.workdir}/{path}"

    def _read(self, path: str) -> bytes | Outcome:
        from agentbench_sandbox import SandboxClosedError, SandboxError

        try:
            return self.workspace.sandbox.read_file(self._inside(path))
        except SandboxClosedError:
            raise
        except (SandboxError, OSError, ValueError) as error:
            return Outcome(text=f"{path} cannot be read: {error}", status="failed")

    def _write(self, path: str, data: bytes) -> Outcome:
        from agentbench_sandbox import SandboxClosedError, SandboxError

        try:
            self.workspace.sandbox.write_file(self._inside(path), data)
        except SandboxClosedError:
            raise
        except (SandboxError, OSError, ValueError) as error:
            return Outcome(text=f"{path} cannot be written: {error}", status="failed")
        return Outcome(text=f"{path} was written ({len(data.splitlines())} lines).")

    def _command(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes = b"",
        providers: tuple[FeedbackProvider, ...] = (template,),
    ) -> Outcome:
        if any("\0" in word for word in argv):
            return Outcome(text="an argument cannot hold a NUL", status="invalid_action")
        left = self.spend.remaining_s()
        limit = timeout_s if left is None else max(1.0, min(timeout_s, left))
        sandbox = self.workspace.sandbox
        result = sandbox.exec(argv, timeout_s=limit, stdin=stdin, cwd=sandbox.workdir)
        run = CodeRun(stage="run", result=result, submission=None, timeout_s=limit)
        self.left_running += result.background > 0
        told = compose(providers, Report(kind="command", run=run))
        return Outcome(text=told, status="ok" if run.ok else "failed")
