"""Estimators over repeated runs: pass@k, best of k, IQM, win rate, regret.

Every function takes plain sequences or arrays and returns a float. What cannot be estimated from
the numbers given raises :class:`UndefinedMetricError`; it is never 0 or NaN.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of ``k`` runs drawn from ``n`` (``c`` successes) succeeds.

    1 - C(n-c, k) / C(n, k), unbiased for k independent attempts (Chen et al. 2021, eq. 1).

    Raises:
        UndefinedMetricError: fewer than ``k`` runs.
    """
    _check_counts(n, c, k)
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Chance that all of ``k`` runs succeed: C(c, k) / C(n, k) (pass^k, Yao et al. 2024).

    Raises:
        UndefinedMetricError: fewer than ``k`` runs.
    """
    _check_counts(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def best_of_k(scores: Sequence[float], k: int, *, higher_is_better: bool = True) -> float:
    """Expected best of ``k`` runs, from n >= k runs: sum_i x_(i) C(i-1, k-1) / C(n, k).

    The maximum over all n runs, which other suites print, grows with n; this does not.

    Raises:
        UndefinedMetricError: fewer than ``k`` scores.
    """
    values = np.sort(finite_vector(scores, "scores"))
    _check_counts(values.size, 0, k)
    if not higher_is_better:
        values = values[::-1]
    total = math.comb(values.size, k)
    weights = [math.comb(i, k - 1) / total for i in range(values.size)]
    return float(np.dot(values, weights))


def iqm(scores: ArrayLike) -> float:
    """Interquartile mean: the mean of the middle half of all runs x tasks (Agarwal et al. 2021).

    int(n / 4) values are cut at each end, as scipy's ``trim_mean(..., 0.25)`` does.

    Args:
        scores: shape (runs, tasks) or flat.
    """
    values = np.sort(finite_array(scores, "scores"), axis=None)
    cut = values.size // 4
    return float(values[cut : values.size - cut].mean())


def optimality_gap(scores: ArrayLike, gamma: float = 1.0) -> float:
    """How far below ``gamma`` scores fall: gamma - mean(min(x, gamma))."""
    return float(gamma - np.minimum(finite_array(scores, "scores"), gamma).mean())


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y) averaged over tasks, ties counting one half: mean_t U_t / (n_x n_y).

    Args:
        x: shape (runs_x, tasks).
        y: shape (runs_y, tasks); higher is better in both.
    """
    first = np.atleast_2d(finite_array(x, "x"))
    second = np.atleast_2d(finite_array(y, "y"))
    if first.shape[1] != second.shape[1]:
        raise InvalidInputError(
            f"x has {first.shape[1]} tasks and y has {second.shape[1]}; they must be the same tasks"
        )
    difference = np.sign(first[:, None, :] - second[None, :, :])
    return float(np.mean(0.5 * (difference + 1.0)))


def mean_win_rate(
    scores: Mapping[str, Sequence[float]], higher_is_better: Sequence[bool]
) -> dict[str, float]:
    """Share of the other agents beaten, averaged over tasks, ties one half (HELM).

    Args:
        scores: agent -> one score per task.
        higher_is_better: one direction per task.

    Raises:
        UndefinedMetricError: fewer than two agents.
    """
    agents, table = score_table(scores, higher_is_better)
    if len(agents) < 2:
        raise UndefinedMetricError("a win rate needs at least two agents")
    wins = 0.5 * (np.sign(table[:, None, :] - table[None, :, :]) + 1.0)
    # An agent ties with itself: take that half point out again.
    rates = (wins.sum(axis=1) - 0.5).mean(axis=1) / (len(agents) - 1)
    return dict(zip(agents, rates.tolist(), strict=True))


def normalized_regret(agent: float, best: float, worst: float, *, higher_is_better: bool) -> float:
    """(best - agent) / (best - worst): 0 at ``best``, 1 at ``worst``, not clipped.

    Take ``worst`` from the baseline or a quantile of the board: last places hold outliers.

    Raises:
        UndefinedMetricError: ``best`` is not better than ``worst``.
    """
    sign = 1.0 if higher_is_better else -1.0
    gap = sign * (best - worst)
    if not math.isfinite(agent) or not gap > 0 or not math.isfinite(gap):
        raise UndefinedMetricError(
            f"regret needs a finite score and best better than worst "
            f"(score {agent}, best {best}, worst {worst})"
        )
    return sign * (best - agent) / gap


def score_table(
    scores: Mapping[str, Sequence[float]], higher_is_better: Sequence[bool]
) -> tuple[list[str], NDArray[np.float64]]:
    """Agents and their scores, shape (agents, tasks), signed so that higher is better."""
    agents = list(scores)
    signs = np.where(np.asarray(higher_is_better, dtype=bool), 1.0, -1.0)
    for name in agents:
        if len(scores[name]) != signs.size:
            raise InvalidInputError(
                f"agent {name!r} has {len(scores[name])} scores for {signs.size} tasks"
            )
    if not agents or not signs.size:
        raise UndefinedMetricError("no scores")
    return agents, finite_array([list(scores[a]) for a in agents], "scores") * signs


def finite_array(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """``values`` as a non-empty float array without NaN or infinity."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise UndefinedMetricError(f"{name} is empty")
    if not np.isfinite(array).all():
        raise InvalidInputError(f"{name} holds a NaN or an infinity")
    return array


def finite_vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """``values`` as a non-empty one-dimensional float array without NaN or infinity."""
    array = finite_array(values, name)
    if array.ndim != 1:
        raise InvalidInputError(f"{name} must be one-dimensional, not of shape {array.shape}")
    return array


def _check_counts(n: int, c: int, k: int) -> None:
    if not (0 <= c <= n and k >= 1):
        raise InvalidInputError(f"needs 0 <= c <= n and k >= 1, not n={n}, c={c}, k={k}")
    if n < k:
        raise UndefinedMetricError(f"{n} runs do not determine what {k} runs would do")
