"""One episode: what the actions do to the sandbox, the submissions and their grades.

Grading happens here, in the host process; answers never enter the sandbox. What of a grade the
agent sees is decided by the feedback policy alone (see `agentbench_agents.feedback`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from agentbench_agents import info
from agentbench_agents.budget import Spend
from agentbench_agents.errors import AgentsError, WorkspaceError
from agentbench_agents.feedback import FeedbackProvider, Report, compose, template
from agentbench_agents.grading import grade_half
from agentbench_agents.run_files import RunFiles
from agentbench_agents.workspace import CodeRun, Workspace

if TYPE_CHECKING:
    from agentbench_scoring import Issue
    from agentbench_tasks import Grade, PreparedTask, SubmissionTask

Status = Literal["ok", "invalid_action", "failed", "no_submission", "invalid_submission"]
Part = Literal["validation", "public", "all"]
_SHOWN: Mapping[str, Part] = MappingProxyType(
    {"validation": "validation", "public": "public", "public+private": "all"}
)
_POLICIES = ("none", "validity", *_SHOWN)
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
        hidden: Grade on the private part, for the final result; None if it has none.
        chosen_by: Grade by which the best is chosen: `shown`, or on the selection half.
        issues: What makes it invalid.
        undefined: Why the metric has no value for it, or None.
    """

    number: int
    path: Path
    sha256: str
    shown: "Grade | None"
    hidden: "Grade | None"
    chosen_by: "Grade | None" = None
    issues: "tuple[Issue, ...]" = ()
    undefined: str | None = None

    @property
    def valid(self) -> bool:
        """Whether it could be graded on the private part."""
        return self.hidden is not None


@dataclass(slots=True, kw_only=True)
class Episode:
    """The state of an episode. Actions call its methods; `TaskEnv` owns it.

    Attributes:
        spend: The account of the run, shared by all branches.
        files: The run directory, shared by all branches.
        providers: Who tells the agent what came of a program.
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
    providers: tuple[FeedbackProvider, ...] = (template,)
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
    def shown_part(self) -> Part | None:
        """The part of the answers on which the agent sees scores, if any."""
        return _SHOWN.get(self.feedback)

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
        told = compose(self.providers, Report(kind="check", code=code, run=run))
        return Outcome(text=told, status="ok" if run.ok else "failed")

    def execute_code(self, code: str) -> Outcome:
        """Run a program; grade the submission.csv that it wrote."""
        try:
            run = self.workspace.run(code, timeout_s=self._timeout_s())
        except WorkspaceError as error:
            return Outcome(text=str(error), status="failed")
        self._keep_output(run)
        report = Report(kind="execute", code=code, run=run)
        if not run.ok:
            return Outcome(text=compose(self.providers, report), status="failed")
        self.milestones.add("code ran")
        if run.submission is None:
            return Outcome(text=compose(self.providers, report), status="no_submission")
        submission = self._grade(run.submission)
        report = self._report(report, submission)
        wrong = report.validity is False or report.undefined is not None
        return Outcome(
            text=compose(self.providers, report),
            status="invalid_submission" if wrong else "ok",
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
        """Choose the final submission and end the episode.

        Without feedback any submission can be chosen: a refusal would say that it is invalid.
        """
        blind = self.feedback == "none"
        valid = "" if blind else "valid "
        numbers = [s.number for s in self.submissions if blind or s.valid]
        if not numbers:
            return Outcome(
                text=f"There is no {valid}submission to choose; run code that writes one first.",
                status="invalid_action",
            )
        if number is not None and number not in numbers:
            return Outcome(
                text=f"There is no {valid}submission {number}; {valid or 'yours '}are {numbers}.",
                status="invalid_action",
            )
        self.chosen = number
        final = None if blind else self.final_submission()
        best = "The last that can be scored" if final is None else f"Submission {final.number}"
        which = best if number is None else f"Submission {number}"
        return Outcome(text=f"{which} is your final one.", done=True)

    def final_submission(self) -> Submission | None:
        """Return the submission that counts: chosen, best as far as shown, or the last valid.

        None if there is no valid one, or an invalid one was chosen.
        """
        valid = [s for s in self.submissions if s.valid]
        if self.chosen is not None:
            return next((s for s in valid if s.number == self.chosen), None)
        return self._best_shown() or (valid[-1] if valid else None)

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
        """Return the best as far as the policy lets scores choose."""
        sign = 1.0 if self.higher_is_better else -1.0
        return max(
            (s for s in self.submissions if s.chosen_by is not None and s.valid),
            key=lambda s: sign * s.chosen_by.score if s.chosen_by else float("-inf"),
            default=None,
        )

    def _grade(self, data: bytes) -> Submission:
        from agentbench_scoring import InvalidSubmissionError, UndefinedMetricError
        from agentbench_tasks import grade

        number = self.files.next_submission()
        path = self.files.keep_submission(number, data)
        submission = Submission(
            number=number,
            path=path,
            sha256=hashlib.sha256(data).hexdigest(),
            shown=None,
            hidden=None,
        )
        try:
            submission = replace(submission, hidden=grade(self.prepared, path, part="private"))
            submission = replace(submission, **self._shown(path))
        except InvalidSubmissionError as error:
            submission = replace(submission, issues=tuple(error.issues))
        except UndefinedMetricError as error:
            submission = replace(submission, undefined=str(error).rstrip("."))
        self.submissions.append(submission)
        self._count_milestones(submission)
        return submission

    def _shown(self, path: Path) -> "dict[str, Grade]":
        """Return the grades that the agent sees, and by which the best is chosen."""
        from agentbench_tasks import grade

        part = self.shown_part
        if part is None:
            return {}
        if part == "validation":
            shown = grade_half(self.prepared, path, "validation")
            return {
                "shown": shown,
                "chosen_by": grade_half(self.prepared, path, "selection"),
            }
        shown = grade(self.prepared, path, part=part)
        return {"shown": shown, "chosen_by": shown}

    def _count_milestones(self, submission: Submission) -> None:
        seen = submission.shown
        if submission.valid and self.feedback != "none":
            self.milestones.add("valid submission")
        if seen is not None and seen.progress >= 0.5:
            self.milestones.add("above the median")
        if seen is not None and seen.medal is not None:
            self.milestones.add("medal")

    def _report(self, report: Report, submission: Submission) -> Report:
        """Add what the policy lets the agent know of a submission."""
        report = replace(report, submission=submission.number, metric=self.task.metric.name)
        if self.feedback == "none":
            return report
        sign = 1.0 if self.higher_is_better else -1.0
        shown = [sign * s.shown.score for s in self.submissions if s.shown is not None]
        return replace(
            report,
            validity=not submission.issues,
            issues=submission.issues,
            undefined=submission.undefined,
            grade=submission.shown,
            part=self.shown_part,
            best=submission.shown is not None and shown.index(max(shown)) == len(shown) - 1,
        )

    def _keep_output(self, run: CodeRun) -> None:
        """Keep whole what the agent sees trimmed."""
        self.files.keep_output(self.step, "stdout", run.result.stdout_bytes)
        self.files.keep_output(self.step, "stderr", run.result.stderr_bytes)


def check_feedback(policy: str) -> None:
    """Refuse a feedback policy that there is not.

    Raises:
        AgentsError: The policy is none of those in `agentbench_agents.feedback`.
    """
    if policy not in _POLICIES:
        raise AgentsError(
            f"feedback policy {policy!r} cannot be followed here; "
            f"choose one of {', '.join(_POLICIES)}"
        )
