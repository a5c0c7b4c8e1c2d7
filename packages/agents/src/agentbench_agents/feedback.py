"""What the agent is told: sentences made from the outcome of a step.

The feedback policy says what of the grader may be told at all:

* `none`: that a submission was received;
* `validity`: and whether it is valid, with every issue;
* `public`: and its score on the fixed public part of the answers (the default);
* `public+private`: and its score on all answers, as MLE-Dojo does. The final score is then no
  measure of generalisation, and every result row says so.
"""

from typing import TYPE_CHECKING

from agentbench_agents.output import trim
from agentbench_agents.workspace import CodeRun

if TYPE_CHECKING:
    from agentbench_scoring import Issue
    from agentbench_tasks import Grade


def code_output(run: CodeRun) -> str:
    """Describe how a program ended, with head and tail of what it printed."""
    result = run.result
    if result.timed_out:
        ending = f"Stopped: the time limit of {run.timeout_s:g} s was reached."
    elif result.oom_killed:
        ending = "Killed: out of memory."
    elif result.exit_code != 0:
        ending = f"Failed with exit code {result.exit_code}."
    else:
        ending = "The program ended well."
    parts = [ending]
    for title, text in (("stdout", result.stdout), ("stderr", result.stderr)):
        if text.strip():
            parts.append(f"--- {title} ---\n{trim(text.rstrip())}")
    if result.truncated:
        total = result.stdout_total + result.stderr_total
        parts.append(f"({total} bytes were printed, more than is kept.)")
    return "\n".join(parts)


def no_submission() -> str:
    """Say that a program ended well without writing a submission."""
    return "It wrote no submission.csv in the working directory, so nothing was graded."


def received(number: int) -> str:
    """Say that a submission is kept."""
    return f"Submission {number} was received."


def graded(number: int, grade: "Grade", *, metric: str, part: str, best: bool) -> str:
    """Say how a submission scored on the part of the answers that may be shown."""
    direction = "higher" if grade.higher_is_better else "lower"
    where = "all answers" if part == "all" else f"the {part} part of the answers"
    text = f"Submission {number}: {metric} {grade.score:.6g} on {where} ({direction} is better)."
    if grade.human_rank is not None:
        text += f" It ranks above {100 * grade.human_rank:.1f} % of the people on the leaderboard."
    return text + (" This is your best submission so far." if best else "")


def issues(found: "tuple[Issue, ...]") -> str:
    """Say what makes a submission invalid."""
    lines = [
        f"- {issue.message}" + (f" (first: {', '.join(issue.ids[:5])})" if issue.ids else "")
        for issue in found
    ]
    return "The submission is invalid and was not scored:\n" + "\n".join(lines)
