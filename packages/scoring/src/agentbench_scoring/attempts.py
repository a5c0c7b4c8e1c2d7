"""What k runs of a task achieve: pass@k, pass^k and best-of-k over the tasks run k times."""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.estimators import best_of_k, pass_at_k, pass_hat_k
from agentbench_scoring.intervals import StandardError
from agentbench_scoring.measures import Measure, TaskRuns
from agentbench_scoring.task_means import Estimate, with_intervals


class Attempts(BaseModel):
    """What k runs of a task achieve, averaged over the tasks with at least k runs.

    Attributes:
        k: runs allowed.
        pass_at_k: chance that one of k runs succeeds.
        pass_hat_k: chance that all k succeed.
        best_of_k: expected best value of the headline measure.
        tasks: tasks with at least k runs.
    """

    model_config = ConfigDict(frozen=True)

    k: int
    pass_at_k: Estimate
    pass_hat_k: Estimate
    best_of_k: Estimate | None
    tasks: int


def successes(values: Mapping[Measure, TaskRuns]) -> TaskRuns:
    """1 for a medal, or for at least 5 % of the margin; tasks with neither are left out."""
    margins = {t: (r >= 5.0).astype(np.float64) for t, r in values["margin"].items()}
    return margins | values["medal"]


def attempts(
    succeeded: TaskRuns, main: TaskRuns, clusters: Mapping[str, str], level: float
) -> tuple[Attempts, ...]:
    """One row for each k in 1, 2, 4 ... up to the most runs that a task has.

    Args:
        succeeded: task -> 0 or 1 a run, from :func:`successes`.
        main: task -> the headline measure of each run.
        clusters: task -> family.
        level: nominal coverage.
    """
    most = max((r.size for r in succeeded.values()), default=0)
    rows: list[Attempts] = []
    for k in [k for k in (1, 2, 4, 8, 16, 32) if k <= most]:
        able = {t: r for t, r in succeeded.items() if r.size >= k}
        values = {t: r for t, r in main.items() if r.size >= k}
        rows.append(
            Attempts(
                k=k,
                pass_at_k=_u_statistic(able, k, "pass_at_k", clusters, level),
                pass_hat_k=_u_statistic(able, k, "pass_hat_k", clusters, level),
                best_of_k=_u_statistic(values, k, "best_of_k", clusters, level) if values else None,
                tasks=len(able),
            )
        )
    return tuple(rows)


def _u_statistic(
    runs: TaskRuns,
    k: int,
    statistic: Literal["pass_at_k", "pass_hat_k", "best_of_k"],
    clusters: Mapping[str, str],
    level: float,
) -> Estimate:
    """Mean over tasks of a statistic of k runs; the jackknife over runs gives the suite's error."""
    values = np.array([_of_k(r, k, statistic) for r in runs.values()])
    within: StandardError | None = None
    if all(r.size > k for r in runs.values()):
        parts = [_jackknife_variance(r, k, statistic) for r in runs.values()]
        free = float(sum(r.size - 1 for r in runs.values()))
        within = StandardError(math.sqrt(sum(parts)) / len(parts), free)
    rate = statistic != "best_of_k"
    return with_intervals(values, within, runs, clusters, level=level, rate=rate)


def _of_k(runs: NDArray[np.float64], k: int, statistic: str) -> float:
    if statistic == "best_of_k":
        return best_of_k(runs.tolist(), k)
    function = pass_at_k if statistic == "pass_at_k" else pass_hat_k
    return function(runs.size, int(runs.sum()), k)


def _jackknife_variance(runs: NDArray[np.float64], k: int, statistic: str) -> float:
    n = runs.size
    left_out = np.array([_of_k(np.delete(runs, i), k, statistic) for i in range(n)])
    return float((n - 1) * np.var(left_out))
