"""Tests of a difference between agents, and the correction for having made many of them.

The unit is a task: pairs are the two agents' means on the same task. Where the data cannot carry a
test the functions raise :class:`UndefinedMetricError`.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentbench_scoring.distributions import (
    binomial_cdf,
    chi_squared_survival,
    f_survival,
    student_t_two_sided,
    studentized_range_quantile,
)
from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.estimators import finite_array, finite_vector

_EXACT_PAIRS = 50


class PairedDifference(NamedTuple):
    """Mean of a - b with its standard error and the paired t test."""

    mean: float
    se: float
    p: float
    df: float


class SignificanceTest(NamedTuple):
    """A test statistic and its two-sided p-value."""

    statistic: float
    p: float


class FriedmanResult(NamedTuple):
    """Friedman's chi-squared over blocks, with Iman & Davenport's F for few blocks."""

    statistic: float
    p: float
    f_statistic: float
    f_p: float
    mean_ranks: tuple[float, ...]


def paired_difference(a: ArrayLike, b: ArrayLike) -> PairedDifference:
    """Paired t test of mean(a - b) = 0.

    Args:
        a: shape (tasks,).
        b: shape (tasks,), the same tasks in the same order.

    Raises:
        UndefinedMetricError: fewer than two tasks, or differences that do not vary at all.
    """
    difference = _differences(a, b)
    if difference.size < 2:
        raise UndefinedMetricError("one task has no paired standard error")
    se = float(difference.std(ddof=1)) / math.sqrt(difference.size)
    mean = float(difference.mean())
    if se <= 1e-14 * float(np.abs(difference).max(initial=0.0)):
        raise UndefinedMetricError(
            f"all {difference.size} differences equal {mean:g}: a t test needs variation"
        )
    df = difference.size - 1.0
    return PairedDifference(mean, se, student_t_two_sided(mean / se, df), df)


def wilcoxon_signed_rank(a: ArrayLike, b: ArrayLike) -> SignificanceTest:
    """Wilcoxon's signed-rank test of paired differences; the statistic is min(W+, W-).

    Zero differences are dropped. Up to 50 pairs the permutation distribution is exact, ties
    included; beyond that it is normal with the correction for ties.

    Raises:
        UndefinedMetricError: every difference is zero.
    """
    difference = _differences(a, b)
    difference = difference[difference != 0.0]
    if difference.size == 0:
        raise UndefinedMetricError("every difference is zero: there are no signs to test")
    ranks = mid_ranks(np.abs(difference))
    positive = float(ranks[difference > 0].sum())
    statistic = min(positive, float(ranks.sum()) - positive)
    if difference.size <= _EXACT_PAIRS:
        return SignificanceTest(statistic, _exact_signed_rank_p(ranks, statistic))
    n = difference.size
    variance = n * (n + 1) * (2 * n + 1) / 24.0 - _tie_term(ranks) / 48.0
    z = (statistic - n * (n + 1) / 4.0) / math.sqrt(variance)
    return SignificanceTest(statistic, math.erfc(abs(z) / math.sqrt(2.0)))


def sign_test(wins: int, losses: int) -> SignificanceTest:
    """Exact two-sided sign test; ties are left out before the call."""
    return mcnemar(wins, losses)


def mcnemar(b: int, c: int) -> SignificanceTest:
    """Exact McNemar test of two agents' successes on the same tasks.

    Args:
        b: tasks where only the first succeeded.
        c: tasks where only the second succeeded.

    Returns:
        min(b, c) and the two-sided binomial p-value; p is 1 when there is no discordant task.
    """
    if b < 0 or c < 0:
        raise InvalidInputError(f"counts must not be negative, not {b} and {c}")
    return SignificanceTest(float(min(b, c)), min(1.0, 2.0 * binomial_cdf(min(b, c), b + c, 0.5)))


def friedman(scores: ArrayLike) -> FriedmanResult:
    """Friedman's test that all agents rank alike, corrected for ties.

    Args:
        scores: shape (tasks, agents), all in one direction within a task.

    Raises:
        UndefinedMetricError: fewer than two tasks or three agents, or ties everywhere.
    """
    table = finite_array(scores, "scores")
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3:
        raise UndefinedMetricError(
            f"Friedman's test needs at least 2 tasks x 3 agents, not shape {table.shape}"
        )
    n, k = table.shape
    ranks = np.stack([mid_ranks(row) for row in table])
    ties = sum(_tie_term(row) for row in ranks)
    correction = 1.0 - ties / (n * k * (k * k - 1))
    if correction <= 0:
        raise UndefinedMetricError("all agents tie on every task")
    mean_ranks = ranks.mean(axis=0)
    spread = float(np.sum((mean_ranks - (k + 1) / 2.0) ** 2))
    statistic = 12.0 * n / (k * (k + 1)) * spread / correction
    limit = n * (k - 1.0)
    exhausted = statistic >= limit * (1 - 1e-12)
    f = math.inf if exhausted else (n - 1.0) * statistic / (limit - statistic)
    f_p = 0.0 if exhausted else f_survival(f, k - 1.0, (k - 1.0) * (n - 1.0))
    return FriedmanResult(
        statistic, chi_squared_survival(statistic, k - 1.0), f, f_p, tuple(mean_ranks.tolist())
    )


def nemenyi_critical_difference(n_agents: int, n_tasks: int, level: float = 0.95) -> float:
    """Mean ranks further apart than this differ (Demšar 2006): q sqrt(k (k + 1) / (6 N))."""
    q = studentized_range_quantile(level, n_agents) / math.sqrt(2.0)
    return q * math.sqrt(n_agents * (n_agents + 1) / (6.0 * n_tasks))


def adjust_pvalues(p: Sequence[float], method: Literal["holm", "bh", "bonferroni"]) -> list[float]:
    """Adjusted p-values: compare each with the level wanted for the whole family.

    ``holm`` bounds the chance of any false claim and is for a report's conclusions; ``bh``
    (Benjamini & Hochberg) bounds the share of false claims and is for screening.
    """
    raw = np.asarray(p, dtype=np.float64)
    if raw.size and not ((raw >= 0) & (raw <= 1)).all():
        raise InvalidInputError("p-values must lie between 0 and 1")
    n = raw.size
    order = np.argsort(raw, kind="stable")
    rank = np.arange(1, n + 1)
    if method == "holm":
        ordered = np.maximum.accumulate(raw[order] * (n - rank + 1))
    elif method == "bh":
        ordered = np.minimum.accumulate((raw[order] * n / rank)[::-1])[::-1]
    elif method == "bonferroni":
        ordered = raw[order] * n
    else:
        raise InvalidInputError(f"method must be 'holm', 'bh' or 'bonferroni', not {method!r}")
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(ordered, 1.0)
    return adjusted.tolist()


def mid_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 1, ascending, ties sharing their mean rank. Shape (n,)."""
    array = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]


def _tie_term(ranks: NDArray[np.float64]) -> float:
    """Sum of t^3 - t over groups of t tied ranks."""
    counts = np.unique(ranks, return_counts=True)[1].astype(np.float64)
    return float(np.sum(counts**3 - counts))


def _differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    first, second = finite_vector(a, "a"), finite_vector(b, "b")
    if first.size != second.size:
        raise InvalidInputError(f"a has {first.size} tasks and b has {second.size}")
    return first - second


def _exact_signed_rank_p(ranks: NDArray[np.float64], statistic: float) -> float:
    """P(min(W+, W-) <= statistic) over all 2^n signs; mid-ranks doubled are integers."""
    doubled = np.rint(2.0 * ranks).astype(int)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for r in doubled:
        shifted = np.zeros_like(ways)
        shifted[r:] = ways[: ways.size - r]
        ways = 0.5 * (ways + shifted)
    return min(1.0, 2.0 * float(ways[: round(2.0 * statistic) + 1].sum()))
