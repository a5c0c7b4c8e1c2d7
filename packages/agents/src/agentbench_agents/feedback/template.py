"""The default provider: fixed sentences."""

from typing import TYPE_CHECKING

from agentbench_agents.feedback.report import Report
from agentbench_agents.output import trim

if TYPE_CHECKING:
    from agentbench_agents.workspace import CodeRun
    from agentbench_scoring import Issue
    from agentbench_tasks import Grade

_PARTS = {
    "validation": "the validation half of the public part of the answers",
    "public": "the public part of the answers",
    "all": "all answers",
}


def template(report: Report) -> str:
    """Say how the program ended, what it printed, and how its submission did."""
    output = code_output(report.run)
    if report.kind == "check":
        return _checked(report, output)
    if report.kind == "command" or not report.run.ok:
        return output
    return f"{output}\n{_submission(report)}"


def code_output(run: "CodeRun") -> str:
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


def _checked(report: Report, output: str) -> str:
    if report.run.stage != "run":
        return output
    where = "Checked on a small sample of the data. "
    if not report.run.ok:
        return where + output
    wrote = "wrote" if report.run.submission is not None else "wrote no"
    return f"{where}{output}\nIt {wrote} submission.csv."


def _submission(report: Report) -> str:
    if report.submission is None:
        return report.run.problem or (
            "It wrote no submission.csv in the working directory, so nothing was graded."
        )
    if report.validity is False:
        return _issues(report.issues)
    received = f"Submission {report.submission} was received."
    if report.validity is None:
        return received
    if report.undefined is not None:
        return f"{received} It is valid, but it has no score: {report.undefined}."
    if report.grade is None:
        return f"{received} It is valid."
    return _graded(report, report.grade)


def _graded(report: Report, grade: "Grade") -> str:
    direction = "higher" if grade.higher_is_better else "lower"
    where = _PARTS[report.part or "public"]
    text = (
        f"Submission {report.submission}: {report.metric} {grade.score:.6g} on {where} "
        f"({direction} is better)."
    )
    if grade.human_rank is not None:
        text += f" It ranks above {100 * grade.human_rank:.1f} % of the people on the leaderboard."
    return text + (" This is your best submission so far." if report.best else "")


def _issues(found: "tuple[Issue, ...]") -> str:
    lines = [
        f"- {issue.message}" + (f" (first: {', '.join(issue.ids[:5])})" if issue.ids else "")
        for issue in found
    ]
    return "The submission is invalid and was not scored:\n" + "\n".join(lines)
