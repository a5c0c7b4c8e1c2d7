"""Bootstrap weights for statistics that have no closed-form standard error.

A resample is a row of weights over runs, so a statistic of all resamples is one matrix product or
one sorted pass. Both schemes draw one unit less than there are (McCarthy & Snowden 1985): with
three seeds a task, drawing three would understate the variance by a third.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import UndefinedMetricError
from agentbench_scoring.intervals import Interval


def suite_weights(
    tasks: Sequence[Hashable], rounds: int, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """Weights that resample runs within each task. Shape (rounds, runs).

    Args:
        tasks: the task of each run.
        rounds: resamples.
        rng: source of randomness.

    Returns:
        None when no task has two runs. A task with one run keeps it in every resample.
    """
    index, sizes = _codes(tasks)
    if sizes.max() < 2:
        return None
    weights = np.ones((rounds, index.size))
    for code in np.flatnonzero(sizes > 1):
        members = np.flatnonzero(index == code)
        k = members.size
        draws = rng.multinomial(k - 1, np.full(k, 1.0 / k), size=rounds)
        weights[:, members] = draws * (k / (k - 1.0))
    return weights


def population_weights(
    clusters: Sequence[Hashable], rounds: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Weights that resample whole clusters with everything in them. Shape (rounds, runs).

    Args:
        clusters: the cluster of each run.
        rounds: resamples.
        rng: source of randomness.

    Raises:
        UndefinedMetricError: fewer than two clusters.
    """
    index, sizes = _codes(clusters)
    g = sizes.size
    if g < 2:
        raise UndefinedMetricError("one cluster of tasks cannot be resampled")
    return rng.multinomial(g - 1, np.full(g, 1.0 / g), size=rounds).astype(np.float64)[:, index]


def weighted_iqm(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interquartile mean of each resample. Shape (rounds,).

    Args:
        values: shape (runs,).
        weights: shape (rounds, runs).
    """
    order = np.argsort(values, kind="stable")
    upper = np.cumsum(weights[:, order], axis=1)
    total = upper[:, -1:]
    lower = upper - weights[:, order]
    inside = np.minimum(upper, 0.75 * total) - np.maximum(lower, 0.25 * total)
    return np.maximum(inside, 0.0) @ values[order] / (0.5 * total[:, 0])


def percentile_interval(samples: NDArray[np.float64], level: float) -> Interval:
    """Central interval of resampled statistics. Shape of ``samples``: (rounds,)."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(samples, [tail, 100.0 - tail])
    return Interval(float(low), float(high))


def _codes(labels: Sequence[Hashable]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Integer code of each label, and how often each code occurs."""
    codes: dict[Hashable, int] = {}
    index = np.array([codes.setdefault(label, len(codes)) for label in labels], dtype=np.intp)
    return index, np.bincount(index)
