"""What the research runs of a directory say together: margins over trials, cost, overfitting.

MLRC-Bench reports the best of eight trials and drops failures; here the best and the mean over all
k trials stand side by side, and a trial that failed counts as margin 0.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from agentbench_agents.run import RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchSummary:
    """All trials of one agent on one task; margins, runtimes and lines in percent.

    Attributes:
        task: Name of the task.
        agent: Agent, and model where there is one.
        k: Trials, failures included; those that the laboratory spoilt (`infra`) are left out.
        failed: Trials without a test score; margin 0.
        best: Largest margin of the k (best@k); None on a task without a reference.
        best_interval: 95 %, over the test units of that trial, not widened for having been chosen;
            None where it was not tested.
        mean: Mean margin (mean@k).
        mean_interval: 95 %: Student's t over trials, or for one trial the interval over its test
            units; None where neither is known.
        gap: Mean dev score minus test score, over trials that were tested, in the metric.
        relative_runtime: Median, against the baseline in the same run.
        relative_complexity: Median, logical lines against the starter repository's.
        levels: Capability level -> trials.
        remarks: What was ignored, or looks like an attack -> trials.
    """

    task: str
    agent: str
    k: int
    failed: int
    best: float | None
    best_interval: tuple[float, float] | None
    mean: float | None
    mean_interval: tuple[float, float] | None
    gap: float | None
    relative_runtime: float | None
    relative_complexity: float | None
    levels: Mapping[str, int]
    remarks: Mapping[str, int]


def summarise_research(results: Sequence[RunResult]) -> list[ResearchSummary]:
    """Return a summary for each task and agent of the research runs among the results."""
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for result in results:
        if result.research is not None and result.status != "infra":
            agent = result.agent + (f" {result.model}" if result.model else "")
            groups.setdefault((result.task, agent), []).append(result)
    return [_summary(task, agent, runs) for (task, agent), runs in sorted(groups.items())]


def _summary(task: str, agent: str, runs: Sequence[RunResult]) -> ResearchSummary:
    from agentbench_scoring import summarize_trials

    rows = [run.research or {} for run in runs]
    tested = [run.margin if run.status == "scored" else None for run in runs]
    # No margin on a run that was scored: the task has no reference.
    known = all(
        m is not None or run.status != "scored" for m, run in zip(tested, runs, strict=True)
    )
    trials = summarize_trials(tested) if known else None
    return ResearchSummary(
        task=task,
        agent=agent,
        k=len(runs),
        failed=sum(run.status != "scored" for run in runs),
        best=None if trials is None else trials.best,
        best_interval=None
        if trials is None
        else _units(rows[tested.index(trials.best)])
        if trials.best in tested
        else None,
        mean=None if trials is None else trials.mean,
        mean_interval=None if trials is None else _interval(tested, rows),
        gap=_of(rows, "gap", fmean),
        relative_runtime=_of(rows, "relative_runtime", median),
        relative_complexity=_of(rows, "relative_complexity", median),
        levels=dict(sorted(Counter(str(row.get("level") or "–") for row in rows).items())),
        remarks=dict(Counter(str(r) for row in rows for r in set(row.get("remarks") or ()))),
    )


def _of(rows: Sequence[Mapping[str, Any]], name: str, how: Any) -> float | None:  # noqa: ANN401
    values = [row[name] for row in rows if row.get(name) is not None]
    return float(how(values)) if values else None


def _interval(
    margins: Sequence[float | None], rows: Sequence[Mapping[str, Any]]
) -> tuple[float, float] | None:
    from agentbench_scoring import t_interval

    if len(margins) > 1:
        found = t_interval([m or 0.0 for m in margins])
        return found.low, found.high
    return _units(rows[0])


def _units(row: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = row.get("margin_low"), row.get("margin_high")
    return None if low is None or high is None else (float(low), float(high))
