"""A mean over tasks with two intervals: for these tasks, and for tasks like these."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.errors import UndefinedMetricError
from agentbench_scoring.intervals import (
    Interval,
    StandardError,
    mean_interval,
    population_error,
    rate_interval,
    suite_error,
)
from agentbench_scoring.measures import TaskRuns


class Estimate(BaseModel):
    """A mean or rate over tasks with two confidence intervals.

    Attributes:
        value: mean over tasks of the mean over runs.
        suite: interval for these very tasks; None when no task was run twice.
        population: interval for tasks like these; None with fewer than two families.
        tasks: tasks averaged.
        families: independent groups of tasks.
        runs: runs averaged, imputed ones included.
    """

    model_config = ConfigDict(frozen=True)

    value: float
    suite: Interval | None
    population: Interval | None
    tasks: int
    families: int
    runs: int


def estimate(
    runs: TaskRuns,
    clusters: Mapping[str, str],
    *,
    level: float = 0.95,
    rate: bool = False,
) -> Estimate:
    """Mean over tasks with both intervals.

    Args:
        runs: task -> one value per run.
        clusters: task -> family.
        level: nominal coverage.
        rate: the values are 0 or 1, so that intervals stay within [0, 1] and never have zero
            width.

    Raises:
        UndefinedMetricError: no task.
    """
    if not runs:
        raise UndefinedMetricError("no task has this measure")
    means = np.array([r.mean() for r in runs.values()])
    within = suite_error(list(runs.values()))
    return with_intervals(means, within, runs, clusters, level=level, rate=rate)


def with_intervals(
    means: NDArray[np.float64],
    within: StandardError | None,
    runs: TaskRuns,
    clusters: Mapping[str, str],
    *,
    level: float,
    rate: bool,
) -> Estimate:
    """The mean of one value per task, (tasks,), with the error of these tasks' values given.

    The error for tasks like these comes from the spread between families.
    """
    value = float(means.mean())
    labels = [clusters[task] for task in runs]
    families = len(set(labels))
    between = population_error(means, labels) if families > 1 else None
    n_runs = sum(r.size for r in runs.values())
    if rate:
        suite = rate_interval(value, within, units=n_runs, level=level)
        population = rate_interval(value, between, units=families, level=level)
    else:
        suite = mean_interval(value, within, level)
        population = mean_interval(value, between, level)
    return Estimate(
        value=value,
        suite=suite,
        population=population,
        tasks=len(runs),
        families=families,
        runs=n_runs,
    )
