"""Comparisons of agents in a results table: paired by task, clustered by family, Holm-adjusted."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.distributions import student_t_two_sided
from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.estimators import probability_of_improvement
from agentbench_scoring.intervals import (
    StandardError,
    mean_interval,
    population_error,
    suite_error,
)
from agentbench_scoring.measures import Measure, Missing, TaskRuns, headline_measure, task_runs
from agentbench_scoring.results import Results
from agentbench_scoring.significance import adjust_pvalues, mcnemar, wilcoxon_signed_rank
from agentbench_scoring.task_means import Estimate


class Comparison(BaseModel):
    """What a table says about a against b on the tasks that count for both.

    Attributes:
        a: first agent and model.
        b: second agent and model.
        measure: what was compared.
        difference: mean over tasks of a - b, with both intervals.
        p: two-sided p of the difference for tasks like these (cluster-robust t); None where the
            differences do not vary.
        p_adjusted: Holm's, over all comparisons of one report.
        p_wilcoxon: signed-rank test on task means, as a check that needs no normal law.
        p_mcnemar: exact test on medals, where each agent ran each task once.
        wins: tasks on which a is better.
        ties: tasks on which they are equal.
        losses: tasks on which b is better.
        probability_of_improvement: chance that a run of a beats one of b on the same task.
    """

    model_config = ConfigDict(frozen=True)

    a: str
    b: str
    measure: Measure
    difference: Estimate
    p: float | None
    p_adjusted: float | None
    p_wilcoxon: float | None
    p_mcnemar: float | None
    wins: int
    ties: int
    losses: int
    probability_of_improvement: float


def compare(
    results: Results,
    a: str,
    b: str,
    *,
    measure: Measure | None = None,
    level: float = 0.95,
    missing: Missing = "failure",
) -> Comparison:
    """Compare two agents, paired by task.

    Args:
        results: from ``read_results``.
        a: ``agent · model`` as in ``Results.entrants``, or the agent's name where it is unique.
        b: likewise.
        measure: by default the headline measure of the table. Raw scores have no common scale
            and cannot be averaged over tasks.
        level: nominal coverage.
        missing: see :mod:`agentbench_scoring.measures`.

    Raises:
        InvalidInputError: an unknown agent, or ``measure="score"``.
        UndefinedMetricError: no task in common.
    """
    chosen = _comparable(results, measure)
    table = task_runs(results, chosen, missing=missing)
    first, second = find_entrant(results, a), find_entrant(results, b)
    if first == second:
        raise InvalidInputError(f"{first!r} cannot be compared with itself")
    return _compare(results, table, first, second, chosen, level=level)


def compare_all(
    results: Results,
    *,
    measure: Measure | None = None,
    level: float = 0.95,
    missing: Missing = "failure",
) -> tuple[Comparison, ...]:
    """Compare every pair of agents; ``p_adjusted`` is Holm's over all pairs.

    Pairs without a task in common are left out.

    Args:
        results: from ``read_results``.
        measure: see :func:`compare`.
        level: nominal coverage.
        missing: see :mod:`agentbench_scoring.measures`.
    """
    chosen = _comparable(results, measure)
    table = task_runs(results, chosen, missing=missing)
    pairs = [
        _compare(results, table, a, b, chosen, level=level)
        for a, b in itertools.combinations(results.entrants, 2)
        if table[a].keys() & table[b].keys()
    ]
    tested = [pair for pair in pairs if pair.p is not None]
    adjusted = dict(
        zip(
            [(pair.a, pair.b) for pair in tested],
            adjust_pvalues([pair.p for pair in tested if pair.p is not None], "holm"),
            strict=True,
        )
    )
    return tuple(
        pair.model_copy(update={"p_adjusted": adjusted.get((pair.a, pair.b))}) for pair in pairs
    )


def find_entrant(results: Results, name: str) -> str:
    """The entrant called ``name``: its full name, or its agent's or model's where unique.

    Raises:
        InvalidInputError: none, or several.
    """
    if name in results.entrants:
        return name
    found = sorted({run.entrant for run in results.runs if name and name in {run.agent, run.model}})
    if len(found) == 1:
        return found[0]
    known = ", ".join(results.entrants[:20])
    problem = "matches several agents" if found else "is not in the table"
    raise InvalidInputError(f"{name!r} {problem}; known: {known}")


def _comparable(results: Results, measure: Measure | None) -> Measure:
    if measure == "score":
        raise InvalidInputError(
            "raw scores of different tasks have no common scale; compare human_rank, margin, "
            "medal, gold or valid"
        )
    return measure or headline_measure(results)


def _compare(
    results: Results, table: dict[str, TaskRuns], a: str, b: str, measure: Measure, *, level: float
) -> Comparison:
    tasks = sorted(table[a].keys() & table[b].keys())
    if not tasks:
        raise UndefinedMetricError(f"{a!r} and {b!r} have no task with {measure} in common")
    x, y = [table[a][t] for t in tasks], [table[b][t] for t in tasks]
    difference = np.array([i.mean() - j.mean() for i, j in zip(x, y, strict=True)])
    labels = [results.clusters[t] for t in tasks]
    between = population_error(difference, labels) if len(set(labels)) > 1 else None
    signs = np.sign(np.where(np.abs(difference) > 1e-12, difference, 0.0))
    return Comparison(
        a=a,
        b=b,
        measure=measure,
        difference=_difference(difference, labels, between, x, y, level=level),
        p=_p_value(float(difference.mean()), between),
        p_adjusted=None,
        p_wilcoxon=_wilcoxon(difference),
        p_mcnemar=_mcnemar(x, y) if measure in {"medal", "gold"} else None,
        wins=int((signs > 0).sum()),
        ties=int((signs == 0).sum()),
        losses=int((signs < 0).sum()),
        probability_of_improvement=float(
            np.mean(
                [
                    probability_of_improvement(i[:, None], j[:, None])
                    for i, j in zip(x, y, strict=True)
                ]
            )
        ),
    )


def _difference(
    difference: NDArray[np.float64],
    labels: Sequence[str],
    between: StandardError | None,
    x: Sequence[NDArray[np.float64]],
    y: Sequence[NDArray[np.float64]],
    *,
    level: float,
) -> Estimate:
    value = float(difference.mean())
    return Estimate(
        value=value,
        suite=mean_interval(value, _sum_of_errors(suite_error(x), suite_error(y)), level),
        population=mean_interval(value, between, level),
        tasks=difference.size,
        families=len(set(labels)),
        runs=sum(r.size for r in (*x, *y)),
    )


def _sum_of_errors(a: StandardError | None, b: StandardError | None) -> StandardError | None:
    """Error of a difference of independent means, with Welch's degrees of freedom."""
    if a is None or b is None:
        return None
    variance = a.se**2 + b.se**2
    spread = a.se**4 / a.df + b.se**4 / b.df
    return StandardError(math.sqrt(variance), variance**2 / spread if spread > 0 else a.df + b.df)


def _p_value(mean: float, error: StandardError | None) -> float | None:
    if error is None or error.se <= 1e-14:
        return None
    return student_t_two_sided(mean / error.se, error.df)


def _wilcoxon(difference: NDArray[np.float64]) -> float | None:
    try:
        return wilcoxon_signed_rank(difference, np.zeros_like(difference)).p
    except UndefinedMetricError:
        return None


def _mcnemar(x: Sequence[NDArray[np.float64]], y: Sequence[NDArray[np.float64]]) -> float | None:
    if any(r.size != 1 for r in (*x, *y)):
        return None
    first, second = np.concatenate(list(x)), np.concatenate(list(y))
    return mcnemar(int((first > second).sum()), int((first < second).sum())).p
