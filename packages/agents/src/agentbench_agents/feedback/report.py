"""What is known of a step when its feedback is written."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from agentbench_agents.workspace import CodeRun
    from agentbench_scoring import Issue
    from agentbench_tasks import Grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A program that was run, and what may be told of the submission that it wrote.

    Attributes:
        kind: Whether a submission was wanted (`execute`), only a check on a sample of the data
            (`check`), or neither (`command`).
        code: The program, as far as it is known.
        run: How it ended, and what it printed.
        submission: Number of the submission that it made, None if it made none.
        validity: Whether the submission is valid, None where the policy hides it.
        issues: What makes it invalid.
        undefined: Why a valid submission has no score, where that is so and may be told.
        grade: Its grade, None where the policy hides it.
        part: The part of the answers that was graded.
        metric: Name of the metric.
        best: Whether it is the best so far.
    """

    kind: Literal["execute", "check", "command"]
    run: "CodeRun"
    code: str = ""
    submission: int | None = None
    validity: bool | None = None
    issues: "tuple[Issue, ...]" = ()
    undefined: str | None = None
    grade: "Grade | None" = None
    part: Literal["validation", "public", "all"] | None = None
    metric: str = ""
    best: bool = False
