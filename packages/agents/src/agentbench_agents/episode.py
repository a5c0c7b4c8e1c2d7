"""One episode: what the actions do to the sandbox, the submissions and their grades.

Grading happens here, in the host process; answers never enter the sandbox. What of a grade the
agent sees is decided by the feedback policy alone (see `agentbench_agents.feedback`).
"""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentbench_agents import feedback as say
from agentbench_agents import info
from agentbench_agents.budget import Spend
from agentbench_agents.errors import AgentsError, WorkspaceError
from agentbench_agents.run_files import RunFiles
from agentbench_agents.workspace import CodeRun, Workspace

if TYPE_CHECKING:
    from agentbench_scoring import Issue
    from agentbench_tasks import Grade, PreparedTask, SubmissionTask

Status = Literal["ok", "invalid_action", "failed", "no_submission", "invalid_submission"]
_CHECK_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an action.

    Attributes:
        text: What the agent is told.
        status: How it went; only `ok` is what the agent wanted.
        submission: Number of the submission that the action made, valid or not.
        progress: Progress in [0, 1] of that submission, if the agent may know it.
        done: Whether the agent ended the episode.
    """

    text: str
    status: Status = "ok"
    submission: int | None = None
    progress: float | None = None
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submission on record.

    Attributes:
        number: 1, 2, …, over all branches of the run.
        path: Where its bytes are kept.
        shown: Grade on the part that the policy shows, None if it shows none.
        hidden: Grade on the private part, for the final result; None if it is invalid.
    """

    number: int
    path: Path
    sha256: str
    shown: "Grade | None"
    hidden: "Grade | None"
    issues: "tuple[Issue, ...]" = ()

    @property
    def valid(self) -> bool:
        """Whether it could be graded."""
        return self.hidden is not None


@dataclass(slots=True, kw_only=True)
class Episode:
    """The state of an episode. Actions call its methods; `TaskEnv` owns it.

    Attributes:
        spend: The account of the run, shared by all branches.
        files: The run directory, shared by all branches.
        step: Number of the latest step, in the run.
        submissions: Those of this branch.
        summary: One line for each step of this branch.
    """

    prepared: "PreparedTask"
    workspace: Workspace
    feedback: str
    spend: Spend
    files: RunFiles
    code_timeout_s: float
    step: int = 0
    submissions: list[Submission] = field(default_factory=list["Submission"])
    milestones: set[str] = field(default_factory=set[str])
    summary: list[str] = field(default_factory=list[str])
    chosen: int | None = None

    def fork(self, workspace: Workspace) -> "Episode":
        """Return an episode with the same past and a workspace of its own."""
        return replace(
            self,
            workspace=workspace,
            submissions=list(self.submissions),
            milestones=set(self.milestones),
            summary=list(self.summary),
        )

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.files.directory

    @property
    def task(self) -> "SubmissionTask":
        """The task that is worked on."""
        return self.prepared.task

    @property
    def higher_is_better(self) -> bool:
        """Direction of the metric."""
        return self.task.higher_is_better

    @property
    def shown_part(self) -> Literal["public", "all"] | None:
        """The part of the answers on which the agent sees scores, if any."""
        return {"public": "public", "public+private": "all"}.get(self.feedback)  # pyright: ignore[reportReturnType]

    def request_info(self, info_type: str) -> Outcome:
        """Answer from the public side of the task."""
        return Outcome(text=info.request_info(info_type, self))

    def validate_code(self, code: str) -> Outcome:
        """Check a program in the sandbox without grading anything."""
        try:
            run = self.workspace.check(code, timeout_s=min(_CHECK_S, self._timeout_s()))
        except WorkspaceError as error:
            return Outcome(text=str(error), status="failed")
        self._keep_output(run)
        where = "Checked on a small sample of the data. " if run.stage == "run" else ""
        if not run.ok:
            return Outcome(text=where + say.code_output(run), status="failed")
        wrote = "wrote" if run.submission is not None else "wrote no"
        return Outcome(text=f"{where}{say.code_output(run)}\nIt {wrote} submission.csv.")

    def execute_code(self, code: str) -> Outcome:
        """Run a program; grade the submission.csv that it wrote."""
        try:
            run = self.workspace.run(code, timeout_s=self._timeout_s())
        except WorkspaceError as error:
            return Outcome(text=str(error), status="failed")
        self._keep_output(run)
        text = say.code_output(run)
        if not run.ok:
            return Outcome(text=text, status="failed")
        self.milestones.add("code ran")
        if run.submission is None:
            told = run.problem or say.no_submission()
            return Outcome(text=f"{text}\n{told}", status="no_submission")
        submission = self._grade(run.submission)
        told, status = self._tell(submission)
        return Outcome(
            text=f"{text}\n{told}",
            status=status,
            submission=submission.number,
            progress=None if submission.shown is None else submission.shown.progress,
        )

    def get_history(self, last: int) -> Outcome:
        """List the latest steps, one line each."""
        skipped = len(self.summary) - last
        lines = ([f"(the first {skipped} steps are left out)"] if skipped > 0 else []) + (
            self.summary[-last:] or ["No steps so far."]
        )
        return Outcome(text="\n".join(lines))

    def clear_workspace(self) -> Outcome:
        """Give the agent a clean sandbox."""
        self.workspace.clear()
        return Outcome(text="The working directory is empty again; submissions are kept.")

    def submit(self, number: int | None) -> Outcome:
        """Choose the final submission and end the episode."""
        valid = [s.number for s in self.submissions if s.valid]
        if not valid:
            return Outcome(
                text="There is no valid submission to choose; run code that writes one first.",
                status="invalid_action",
            )
        if number is not None and number not in valid:
            return Outcome(
                text=f"There is no valid submission {number}; valid are {valid}.",
                status="invalid_action",
            )
        self.chosen = number
        final = self.final_submission()
        assert final is not None  # noqa: S101 - there is a valid one
        return Outcome(text=f"Submission {final.number} is your final one.", done=True)

    def final_submission(self) -> Submission | None:
        """Return the submission that counts: chosen, best as far as shown, or the last valid."""
        valid = [s for s in self.submissions if s.valid]
        if not valid:
            return None
        if self.chosen is not None:
            return next(s for s in valid if s.number == self.chosen)
        return self._best_shown() or valid[-1]

    def best_progress(self, *, ended: bool) -> float:
        """Return the best progress that the policy lets the agent know of.

        Where no score is shown it is 0 until the episode has ended, and then that of the final
        submission on the private part.
        """
        if self.shown_part is not None:
            return max((s.shown.progress for s in self.submissions if s.shown), default=0.0)
        final = self.final_submission() if ended else None
        return final.hidden.progress if final is not None and final.hidden is not None else 0.0

    def _timeout_s(self) -> float:
        remaining = self.spend.remaining_s()
        return self.code_timeout_s if remaining is None else min(self.code_timeout_s, remaining)

    def _best_shown(self) -> Submission | None:
        shown = [s for s in self.submissions if s.shown is not None]
        sign = 1.0 if self.higher_is_better else -1.0
        return max(
            shown, key=lambda s: sign * s.shown.score if s.shown else float("-inf"), default=None
        )

    def _grade(self, data: bytes) -> Submission:
        from agentbench_scoring import InvalidSubmissionError
        from agentbench_tasks import grade

        number = self.files.next_submission()
        path = self.files.keep_submission(number, data)
        shown: Grade | None = None
        hidden: Grade | None = None
        found: tuple[Issue, ...] = ()
        try:
            hidden = grade(self.prepared, path, part="private")
            if self.shown_part is not None:
                shown = grade(self.prepared, path, part=self.shown_part)
        except InvalidSubmissionError as error:
            shown = hidden = None
            found = tuple(error.issues)
        submission = Submission(
            number=number,
            path=path,
            sha256=hashlib.sha256(data).hexdigest(),
            shown=shown,
            hidden=hidden,
            issues=found,
        )
        self.submissions.append(submission)
        self._count_milestones(submission)
        return submission

    def _count_milestones(self, submission: Submission) -> None:
        seen = submission.shown
        if submission.valid and self.feedback != "none":
            self.milestones.add("valid submission")
        if seen is not None and seen.progress >= 0.5:
            self.milestones.add("above the median")
        if seen is not None and seen.medal is not None:
            self.milestones.add("medal")

    def _tell(self, submission: Submission) -> tuple[str, Status]:
        if self.feedback == "none":
            return say.received(submission.number), "ok"
        if not submission.valid:
            return say.issues(submission.issues), "invalid_submission"
        if submission.shown is None or self.shown_part is None:
            return f"{say.received(submission.number)} It is valid.", "ok"
        return (
            say.graded(
                submission.number,
                submission.shown,
                metric=self.task.metric.name,
                part=self.shown_part,
                best=self._best_shown() is submission,
            ),
            "ok",
        )

    def _keep_output(self, run: CodeRun) -> None:
        """Keep whole what the agent sees trimmed."""
        self.files.keep_output(self.step, "stdout", run.result.stdout_bytes)
        self.files.keep_output(self.step, "stderr", run.result.stderr_bytes)


def check_feedback(policy: str) -> None:
    """Refuse a feedback policy that the environment cannot follow.

    Raises:
        AgentsError: The policy is not one of `none`, `validity`, `public`, `public+private`.
    """
    if policy not in ("none", "validity", "public", "public+private"):
        raise AgentsError(
            f"feedback policy {policy!r} cannot be followed here; "
            "choose none, validity, public or public+private"
        )
