"""What is wrong with a results table: what to know before believing its numbers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agentbench_scoring.results import Results, Run

_EXAMPLES = 10


class Problem(BaseModel):
    """One problem of a results table.

    Attributes:
        code: a stable name for the kind of problem.
        severity: ``error`` where numbers cannot be compared, ``warning`` where they mean less than
            they seem, ``note`` where something was counted in a way worth knowing.
        message: one sentence.
        count: how many runs or tasks are concerned.
        examples: the first ten of them.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    severity: Literal["error", "warning", "note"]
    message: str
    count: int
    examples: tuple[str, ...]


def find_problems(results: Results) -> tuple[Problem, ...]:
    """All problems of a table, worst first.

    Args:
        results: from ``read_results``.
    """
    found = [
        *_mixed(results.runs),
        *_missing(results),
        *_unsuccessful(results.runs),
        *_boards(results.runs),
        *_design(results),
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(found, key=lambda f: (order[f.severity], f.code)))


def _problem(
    code: str, severity: Literal["error", "warning", "note"], message: str, items: Iterable[str]
) -> list[Problem]:
    names = list(items)
    if not names:
        return []
    return [
        Problem(
            code=code,
            severity=severity,
            message=message,
            count=len(names),
            examples=tuple(names[:_EXAMPLES]),
        )
    ]


def _mixed(runs: Sequence[Run]) -> list[Problem]:
    """Runs that were not made under the same conditions."""
    versions: defaultdict[str, set[str]] = defaultdict(set)
    feedback: defaultdict[str, set[str]] = defaultdict(set)
    for run in runs:
        versions[run.task].add(run.task_version)
        feedback[run.task].add(run.feedback or "undeclared")
    return [
        *_problem(
            "mixed_task_versions",
            "error",
            "Runs of one task used different versions of it: their scores are not comparable.",
            sorted(f"{t}: {', '.join(sorted(v))}" for t, v in versions.items() if len(v) > 1),
        ),
        *_problem(
            "mixed_feedback",
            "error",
            "Runs of one task could learn different things from the grader.",
            sorted(f"{t}: {', '.join(sorted(v))}" for t, v in feedback.items() if len(v) > 1),
        ),
        *_problem(
            "private_feedback",
            "warning",
            "These runs were told their score on the answers that the final score uses.",
            [run.run_id for run in runs if run.feedback == "public+private"],
        ),
    ]


def _missing(results: Results) -> list[Problem]:
    ran = {(run.entrant, run.task) for run in results.runs}
    counted = Counter((r.entrant, r.task) for r in results.runs if r.status != "infra")
    pairs = [(e, t) for e in results.entrants for t in results.clusters]
    most = {e: max((counted[e, t] for t in results.clusters), default=0) for e in results.entrants}
    return [
        *_problem(
            "missing_tasks",
            "warning",
            "These agents never ran these tasks; unless dropped they count as failures.",
            [f"{e}: {t}" for e, t in pairs if (e, t) not in ran],
        ),
        *_problem(
            "infra_only",
            "warning",
            "Only infrastructure failures here; the task is left out of the agent's means.",
            [f"{e}: {t}" for e, t in pairs if (e, t) in ran and not counted[e, t]],
        ),
        *_problem(
            "unequal_runs",
            "note",
            "Fewer runs than the same agent made of other tasks; tasks still weigh equally.",
            [
                f"{e}: {t} ({counted[e, t]} of {most[e]})"
                for e, t in pairs
                if 0 < counted[e, t] < most[e]
            ],
        ),
        *_problem(
            "torn_lines",
            "note",
            "The file ended in an incomplete line, which was skipped: a run was being written.",
            ["last line"] * results.torn_lines,
        ),
    ]


def _unsuccessful(runs: Sequence[Run]) -> list[Problem]:
    """Runs without a score by status and code, and tasks that nobody solved."""
    by_code: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for run in runs:
        if run.status != "scored":
            by_code[run.status, run.error or "no reason given"].append(run.run_id)
    scored = {run.task for run in runs if run.status == "scored"}
    counted = "counted as the worst outcome"
    what = {
        "invalid": ("warning", f"Invalid submissions ({counted})"),
        "failed": ("warning", f"Runs that failed ({counted})"),
        "infra": ("note", "Runs lost to the infrastructure (not counted; run them again)"),
    }
    found: list[Problem] = []
    for (status, reason), ids in sorted(by_code.items(), key=lambda item: -len(item[1])):
        severity, text = what[status]
        level: Literal["warning", "note"] = "warning" if severity == "warning" else "note"
        found += _problem(status, level, f"{text}: {reason}", ids)
    return found + _problem(
        "nobody_scored",
        "warning",
        "No agent was scored on these tasks: too hard, or broken.",
        sorted({run.task for run in runs} - scored),
    )


def _boards(runs: Sequence[Run]) -> list[Problem]:
    """Tasks whose human board says nothing."""
    ranks: defaultdict[str, list[float | None]] = defaultdict(list)
    for run in runs:
        if run.status == "scored" and run.margin is None:
            ranks[run.task].append(run.human_rank)
    any_rank = any(run.human_rank is not None for run in runs)
    return [
        *_problem(
            "no_human_rank",
            "warning",
            "Scored, but without a human rank: no board, or a degenerate one; not in the mean.",
            sorted(t for t, r in ranks.items() if any_rank and all(x is None for x in r)),
        ),
        *_problem(
            "partial_human_rank",
            "error",
            "Some scored runs of these tasks have a human rank and some have none.",
            sorted(
                t
                for t, r in ranks.items()
                if any(x is None for x in r) and any(x is not None for x in r)
            ),
        ),
        *_problem(
            "no_direction",
            "note",
            "Scores without higher_is_better: they cannot be compared with one another.",
            sorted({r.task for r in runs if r.score is not None and r.higher_is_better is None}),
        ),
    ]


def _design(results: Results) -> list[Problem]:
    runs = Counter((r.entrant, r.task) for r in results.runs if r.status != "infra")
    once = sorted(
        {e for e in results.entrants if all(n < 2 for (x, _), n in runs.items() if x == e)}
    )
    families = len(set(results.clusters.values()))
    return [
        *_problem(
            "single_runs",
            "note",
            "One run per task: the variation between seeds is unknown, so there is no interval for "
            "this suite.",
            once,
        ),
        *_problem(
            "few_families",
            "warning",
            f"Only {families} independent families of tasks: intervals for tasks like these are "
            "wide, or missing.",
            sorted(set(results.clusters.values())) if families < 10 else [],
        ),
    ]
