"""Standard errors and confidence intervals of means and rates over tasks and seeds.

Two questions, two intervals. *This suite*: the same tasks, new seeds; only the variance between
runs of a task counts. *Tasks like these*: new tasks from the same population; tasks of one family
(a Kaggle playground series, say) are not independent, so families are what is sampled.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentbench_scoring.distributions import normal_quantile, student_t_quantile
from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.estimators import finite_vector

_FEWEST_TRIALS = 1e-6


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class StandardError(NamedTuple):
    """A standard error with the degrees of freedom of its estimate."""

    se: float
    df: float


def sem(values: ArrayLike) -> float:
    """Standard error of the mean, with the n - 1 divisor.

    Raises:
        UndefinedMetricError: fewer than two values.
    """
    array = finite_vector(values, "values")
    if array.size < 2:
        raise UndefinedMetricError("one value has no standard error")
    return float(array.std(ddof=1) / math.sqrt(array.size))


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval of a mean.

    Raises:
        UndefinedMetricError: fewer than two values.
    """
    array = finite_vector(values, "values")
    half = student_t_quantile(0.5 + level / 2.0, array.size - 1.0) if array.size > 1 else 0.0
    half *= sem(array)
    return Interval(float(array.mean()) - half, float(array.mean()) + half)


def wilson_interval(successes: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval of a rate; never of zero width (Wilson 1927).

    ``n`` may be an effective number of trials, hence a real number.

    Raises:
        UndefinedMetricError: no trials.
    """
    if not 0 <= successes <= n:
        raise InvalidInputError(f"needs 0 <= successes <= n, not {successes} of {n}")
    if n == 0:
        raise UndefinedMetricError("no trials, no rate")
    return _wilson(successes / n, n, normal_quantile(0.5 + level / 2.0))


def clustered_se(
    values: ArrayLike,
    clusters: Sequence[Hashable],
    correction: Literal["G/(G-1)", "none"] = "G/(G-1)",
) -> float:
    """Standard error of the mean of values that are correlated within clusters.

    sqrt(sum_g (sum_{i in g} (x_i - mean))^2) / n (Miller 2024, eq. 4, after Liang & Zeger 1986);
    ``"G/(G-1)"`` multiplies the variance by that, with G the number of clusters.

    Args:
        values: shape (n,).
        clusters: n labels.
        correction: the small-sample factor.

    Raises:
        UndefinedMetricError: fewer than two clusters.
    """
    array = finite_vector(values, "values")
    if correction not in {"G/(G-1)", "none"}:
        raise InvalidInputError(f"correction must be 'G/(G-1)' or 'none', not {correction!r}")
    sums, _ = _cluster_sums(array, clusters)
    groups = sums.size
    factor = groups / (groups - 1.0) if correction == "G/(G-1)" else 1.0
    return float(np.sqrt(factor * np.sum(sums**2))) / array.size


def population_error(values: ArrayLike, clusters: Sequence[Hashable]) -> StandardError:
    """Cluster-robust standard error of a mean, for few clusters of unequal size.

    The CR2 estimator of Bell & McCaffrey (2002) divides each cluster's squared residual sum by
    1 - n_g/n. The degrees of freedom are Satterthwaite's under values that correlate by rho within
    a cluster, with rho estimated from the residuals (Imbens & Kolesar 2016). With clusters of one
    it is the usual SEM with n - 1 degrees of freedom.

    Raises:
        UndefinedMetricError: fewer than two clusters.
    """
    array = finite_vector(values, "values")
    sums, sizes = _cluster_sums(array, clusters)
    n = array.size
    shrink = 1.0 / (1.0 - sizes / n)
    variance = float(np.sum(shrink * sums**2)) / n**2
    rho = _intraclass_correlation(array, sums, sizes)
    spread = sizes * (1.0 - rho) + rho * sizes**2
    share = sizes / n
    covariance = (
        np.diag(spread)
        - np.outer(share, spread)
        - np.outer(spread, share)
        + np.outer(share, share) * spread.sum()
    )
    root = np.sqrt(shrink)
    covariance = root[:, None] * covariance * root
    df = float(np.trace(covariance) ** 2 / np.sum(covariance**2))
    return StandardError(math.sqrt(variance), df)


def suite_error(runs: Sequence[NDArray[np.float64]]) -> StandardError | None:
    """Standard error of a mean of task means when only the seeds vary.

    V = sum_t s_t^2 / K_t / T^2 with Satterthwaite's degrees of freedom, corrected for having
    estimated each variance from few runs. A task with one run borrows the pooled variance.

    Args:
        runs: one array of run values per task, each non-empty.

    Returns:
        None when no task has two runs: then nothing is known about the variance between seeds.
    """
    sizes = np.array([r.size for r in runs], dtype=np.float64)
    spread = np.array([float(r.var(ddof=1)) if r.size > 1 else 0.0 for r in runs])
    repeated = sizes > 1
    if not repeated.any():
        return None
    free = sizes - 1.0
    pooled = float(np.sum(spread * free) / np.sum(free))
    parts = np.where(repeated, spread, pooled) / sizes / sizes.size**2
    variance = float(parts.sum())
    borrowed = float(parts[~repeated].sum())
    own, own_free = parts[repeated], free[repeated]
    most = float(free.sum())
    if variance == 0:
        return StandardError(0.0, most)
    # Squares of estimated variances are too large by 1 + 2/f on average, hence f + 2 and - 2.
    denominator = float(np.sum(own**2 / (own_free + 2.0))) + borrowed**2 / (most + 2.0)
    df = min(max(variance**2 / denominator - 2.0, float(own_free.min())), most)
    return StandardError(math.sqrt(variance), df)


def mean_interval(value: float, error: StandardError | None, level: float) -> Interval | None:
    """A value +- t(df) * se; None where there is no standard error."""
    if error is None:
        return None
    half = student_t_quantile(0.5 + level / 2.0, error.df) * error.se
    return Interval(value - half, value + half)


def rate_interval(
    rate: float, error: StandardError | None, *, units: float, level: float
) -> Interval | None:
    """Wilson's interval with the effective number of trials p (1 - p) / se^2.

    Args:
        rate: between 0 and 1.
        error: its standard error; None where nothing varies that could be measured.
        units: what was sampled (runs, or families of tasks). A rate of 0 or 1, or one without
            observed variance, is treated as that many independent trials, so that no interval
            has zero width.
        level: nominal coverage.
    """
    if error is None:
        return None
    t = student_t_quantile(0.5 + level / 2.0, error.df)
    variance = rate * (1.0 - rate)
    trials = variance / error.se**2 if error.se > 0 and variance > 0 else units
    trials = max(trials, _FEWEST_TRIALS)
    return _wilson(rate, trials, t)


def _wilson(rate: float, n: float, z: float) -> Interval:
    scale = 1.0 + z * z / n
    centre = (rate + z * z / (2.0 * n)) / scale
    half = z * math.sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n)) / scale
    # At 0 and 1 the bound is the rate itself; subtraction would leave rounding dust.
    low = 0.0 if rate == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if rate == 1 else min(1.0, centre + half))


def _intraclass_correlation(
    values: NDArray[np.float64], sums: NDArray[np.float64], sizes: NDArray[np.float64]
) -> float:
    """Mean product of residuals of one cluster over their mean square, within [0, 1]."""
    squares = float(np.sum((values - values.mean()) ** 2))
    pairs = float(np.sum(sizes * (sizes - 1.0)))
    if pairs == 0 or squares == 0:
        return 0.0
    products = (float(np.sum(sums**2)) - squares) / pairs
    return min(1.0, max(0.0, products / (squares / values.size)))


def _cluster_sums(
    values: NDArray[np.float64], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Residual sum and size of each cluster."""
    if len(clusters) != values.size:
        raise InvalidInputError(f"{values.size} values but {len(clusters)} cluster labels")
    codes: dict[Hashable, int] = {}
    index = np.array([codes.setdefault(label, len(codes)) for label in clusters])
    if len(codes) < 2:
        raise UndefinedMetricError("one cluster says nothing about the spread between clusters")
    residual = values - values.mean()
    sums = np.bincount(index, weights=residual).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)
