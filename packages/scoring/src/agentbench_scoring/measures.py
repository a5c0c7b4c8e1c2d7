"""What one run is worth, and what failures and missing runs count as.

A failed or invalid run is the worst outcome (human rank 0, margin 0, no medal): it left nothing
better than the start. A task that an agent never ran counts as failed unless ``missing="drop"``.
An ``infra`` run is the laboratory's fault and is no run at all.
"""

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.results import Results, Run

Measure = Literal["human_rank", "margin", "medal", "gold", "valid", "score"]
Missing = Literal["failure", "drop"]
TaskRuns = dict[str, NDArray[np.float64]]
"""Task -> one value per counted run."""

MEASURES: tuple[Measure, ...] = ("human_rank", "margin", "medal", "gold", "valid")
RATES: frozenset[Measure] = frozenset({"medal", "gold", "valid"})


def headline_measure(results: Results) -> Measure:
    """The measure that orders the table: human rank, else margin, else the share scored."""
    if any(run.human_rank is not None for run in results.runs):
        return "human_rank"
    return "margin" if any(run.margin is not None for run in results.runs) else "valid"


def task_runs(
    results: Results, measure: Measure, *, missing: Missing = "failure"
) -> dict[str, TaskRuns]:
    """Entrant -> task -> one value per counted run, failures included as the worst outcome.

    Tasks that do not have the measure (no human board, say) are left out for everybody; a task on
    which nobody was scored stays in, as the failure it is.
    """
    tasks = _tasks_with(results.runs, measure)
    worst = -math.inf if measure == "score" else 0.0
    values: dict[str, dict[str, list[float]]] = {
        entrant: {task: [] for task in tasks} for entrant in results.entrants
    }
    excused: set[tuple[str, str]] = set()
    for run in results.runs:
        if run.task not in tasks:
            continue
        if run.status == "infra":
            excused.add((run.entrant, run.task))
            continue
        value = run_value(run, measure)
        if value is not None:
            values[run.entrant][run.task].append(value)
    table: dict[str, TaskRuns] = {}
    for entrant, by_task in values.items():
        table[entrant] = {}
        for task, found in by_task.items():
            if not found and missing == "failure" and (entrant, task) not in excused:
                found.append(worst)
            if found:
                table[entrant][task] = np.array(found)
    return table


def run_value(run: Run, measure: Measure) -> float | None:
    """The value of one counted run; None where it was scored but lacks the measure."""
    if measure == "valid":
        return float(run.status == "scored")
    if run.status != "scored":
        return -math.inf if measure == "score" else 0.0
    if measure == "medal":
        return float(run.medal is not None)
    if measure == "gold":
        return float(run.medal == "gold")
    if measure == "score":
        return run.signed_score
    return run.human_rank if measure == "human_rank" else run.margin


def _tasks_with(runs: Iterable[Run], measure: Measure) -> list[str]:
    """Sorted tasks that have the measure, or on which nobody was scored at all."""
    if measure in {"medal", "gold"}:
        return _tasks_with(runs, "human_rank")
    scored: set[str] = set()
    having: set[str] = set()
    everything: set[str] = set()
    for run in runs:
        everything.add(run.task)
        if run.status == "scored":
            scored.add(run.task)
            if run_value(run, measure) is not None:
                having.add(run.task)
    if not having and measure != "valid":
        return []
    return sorted(having | (everything - scored))
