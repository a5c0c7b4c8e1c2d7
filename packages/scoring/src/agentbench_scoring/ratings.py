"""Elo and Bradley-Terry ratings from battles, with a bootstrap that resamples whole tasks.

P(i beats j) = 1 / (1 + base^((R_j - R_i) / scale)); a tie is half a win for each. Battles on one
task are not independent, so resampling battles makes intervals about half as wide as they should
be: tasks, or families of tasks, are resampled instead.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentbench_scoring.bootstrap import percentile_interval
from agentbench_scoring.errors import (
    InvalidInputError,
    NotIdentifiableError,
    UndefinedMetricError,
)
from agentbench_scoring.intervals import Interval

Battle = tuple[str, str, float]
_STEPS = 100
_TOLERANCE = 1e-10
_HALF_TIE = 0.5


class WinRate(NamedTuple):
    """Share of battles won, with intervals as those of the ratings."""

    value: float
    suite: Interval | None
    population: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """Bradley-Terry ratings with bootstrap intervals.

    Attributes:
        ratings: agent -> rating; their mean is the anchor.
        intervals: agent -> percentile interval over resampled clusters.
        suite_intervals: the same over runs resampled within tasks; None without repeated runs.
        ranks: agent -> (best, worst) rank in the central share of the resampled clusters.
        win_rates: agent -> share of battles won, ties one half.
        rounds: resamples drawn.
        regularised: resamples of clusters without a finite maximum, fitted with half a tie added
            per pair.
    """

    ratings: dict[str, float]
    intervals: dict[str, Interval]
    suite_intervals: dict[str, Interval] | None
    ranks: dict[str, tuple[int, int]]
    win_rates: dict[str, WinRate]
    rounds: int
    regularised: int


def elo(
    battles: Sequence[Battle | Sequence[str | float]],
    k: float = 4.0,
    init: float = 1000.0,
    scale: float = 400.0,
    base: float = 10.0,
) -> dict[str, float]:
    """Sequential Elo ratings after the battles in their order.

    The result depends on the order; prefer :func:`bradley_terry` for a table.

    Args:
        battles: (a, b, outcome), outcome 1, 0.5 or 0 for a.
        k: largest change by one battle.
        init: rating of a newcomer.
        scale: rating difference that multiplies the odds by ``base``.
        base: see ``scale``.
    """
    ratings: dict[str, float] = {}
    for a, b, outcome in _checked(battles):
        first, second = ratings.setdefault(a, init), ratings.setdefault(b, init)
        expected = 1.0 / (1.0 + base ** ((second - first) / scale))
        ratings[a] = first + k * (outcome - expected)
        ratings[b] = second - k * (outcome - expected)
    return ratings


def bradley_terry(
    battles: Sequence[Battle | Sequence[str | float]],
    scale: float = 400.0,
    base: float = 10.0,
    mean: float = 1000.0,
    *,
    prior_ties: float = 0.0,
) -> dict[str, float]:
    """Maximum-likelihood Bradley-Terry ratings.

    Args:
        battles: (a, b, outcome), outcome 1, 0.5 or 0 for a.
        scale: rating difference that multiplies the odds by ``base``.
        base: see ``scale``.
        mean: mean of all ratings.
        prior_ties: virtual tied battles added to every pair; above 0 it always has a solution.

    Raises:
        NotIdentifiableError: the agents split into two groups one of which never took a point
            from the other (Ford 1957); the message names them.
    """
    rows = _checked(battles)
    agents = sorted({name for a, b, _ in rows for name in (a, b)})
    if len(agents) < 2:
        raise UndefinedMetricError("ratings need battles between at least two agents")
    code = {agent: i for i, agent in enumerate(agents)}
    wins = np.zeros((len(agents), len(agents)))
    for a, b, outcome in rows:
        wins[code[a], code[b]] += outcome
        wins[code[b], code[a]] += 1.0 - outcome
    wins += prior_ties / 2.0 * (1.0 - np.eye(len(agents)))
    reach = _reachable(wins[None])[0]
    if not reach.all():
        raise NotIdentifiableError(_explain(agents, reach))
    strengths = _fit(wins[None])[0]
    return dict(zip(agents, _rescale(strengths, scale, base, mean).tolist(), strict=True))


def clustered_bradley_terry(
    wins: NDArray[np.float64],
    agents: Sequence[str],
    clusters: Sequence[Hashable],
    *,
    suite_wins: NDArray[np.float64] | None = None,
    rounds: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    scale: float = 400.0,
    base: float = 10.0,
    mean: float = 1000.0,
    prior_ties: float = 0.0,
) -> Ratings:
    """Bradley-Terry ratings whose bootstrap resamples clusters of tasks.

    Args:
        wins: shape (tasks, agents, agents); [t, i, j] is how often i beat j on task t, ties one
            half. Scale a task's matrix to give it the weight it should have.
        agents: one name per row of the matrices.
        clusters: one label per task.
        suite_wins: from :func:`resampled_wins`, for the intervals of this suite.
        rounds: bootstrap resamples.
        level: nominal coverage of the percentile intervals.
        seed: of the resampling.
        scale: rating difference that multiplies the odds by ``base``.
        base: see ``scale``.
        mean: mean of all ratings.
        prior_ties: virtual tied battles added to every pair.

    Raises:
        NotIdentifiableError: as :func:`bradley_terry`.
        UndefinedMetricError: fewer than two clusters.
    """
    tasks, m, _ = wins.shape
    prior = prior_ties / 2.0 * (1.0 - np.eye(m))
    total = wins.sum(axis=0) + prior
    reach = _reachable(total[None])[0]
    if not reach.all():
        raise NotIdentifiableError(_explain(agents, reach))
    codes: dict[Hashable, int] = {}
    index = np.array([codes.setdefault(label, len(codes)) for label in clusters])
    groups = len(codes)
    if groups < 2:
        raise UndefinedMetricError("one cluster of tasks cannot be resampled")
    grouped = np.zeros((groups, m * m))
    np.add.at(grouped, index, wins.reshape(tasks, m * m))
    draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), rounds)
    sampled = (draws.astype(np.float64) @ grouped).reshape(rounds, m, m) + prior
    point = _fit(total[None])[0]
    fits, stuck = _fit_resamples(sampled, point)
    fits = _rescale(fits, scale, base, mean)
    positions = 1 + (fits[:, None, :] > fits[:, :, None] + 1e-9).sum(axis=2)
    tail = 50.0 * (1.0 - level)
    best, worst = np.percentile(positions, [tail, 100.0 - tail], axis=0, method="nearest")
    values = _rescale(point, scale, base, mean)
    within = rates_within = None
    if suite_wins is not None:
        refits = _rescale(_fit_resamples(suite_wins + prior, point)[0], scale, base, mean)
        within = _intervals(refits, agents, level)
        rates_within = _intervals(_won(suite_wins), agents, level)
    rates = _intervals(_won(sampled - prior), agents, level)
    won = _won(wins.sum(axis=0)[None])[0]
    return Ratings(
        ratings={a: float(values[i]) for i, a in enumerate(agents)},
        intervals=_intervals(fits, agents, level),
        suite_intervals=within,
        ranks={a: (int(best[i]), int(worst[i])) for i, a in enumerate(agents)},
        win_rates={
            a: WinRate(float(won[i]), rates_within[a] if rates_within else None, rates[a])
            for i, a in enumerate(agents)
        },
        rounds=rounds,
        regularised=stuck,
    )


def _fit_resamples(
    sampled: NDArray[np.float64], start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """Log strengths of each resample, and how many needed half a tie added per pair."""
    m = sampled.shape[-1]
    stuck = np.asarray(~_reachable(sampled).all(axis=(1, 2)), dtype=np.bool_)
    ties = _HALF_TIE / 2.0 * (1.0 - np.eye(m))
    return _fit(sampled + stuck[:, None, None] * ties, start=start), int(stuck.sum())


def _won(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of battles won. Shapes (rounds, agents, agents) and (rounds, agents)."""
    points, games = wins.sum(axis=2), (wins + wins.transpose(0, 2, 1)).sum(axis=2)
    return points / np.maximum(games, 1e-300)


def _intervals(
    samples: NDArray[np.float64], agents: Sequence[str], level: float
) -> dict[str, Interval]:
    return {a: percentile_interval(samples[:, i], level) for i, a in enumerate(agents)}


def _checked(battles: Sequence[Battle | Sequence[str | float]]) -> list[Battle]:
    rows: list[Battle] = []
    for battle in battles:
        a, b, outcome = battle
        if outcome not in {0, 0.5, 1}:
            raise InvalidInputError(f"an outcome is 1, 0.5 or 0 for the first, not {outcome!r}")
        if a == b:
            raise InvalidInputError(f"{a!r} cannot battle itself")
        rows.append((str(a), str(b), float(outcome)))
    return rows


def _reachable(wins: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[round, i, j]: a chain of wins leads from i to j. Shape (rounds, agents, agents)."""
    m = wins.shape[-1]
    reach = ((wins > 0) | np.eye(m, dtype=bool)).astype(np.float32)
    for _ in range(max(1, math.ceil(math.log2(m)))):
        reach = (reach @ reach > 0).astype(np.float32)
    return reach > 0


def _explain(agents: Sequence[str], reach: NDArray[np.bool_]) -> str:
    i = int(np.argwhere(~reach)[0][0])
    below = [a for a, r in zip(agents, reach[i], strict=True) if r]
    above = [a for a, r in zip(agents, reach[i], strict=True) if not r]
    return (
        f"ratings have no finite maximum: {', '.join(below)} never took a point from "
        f"{', '.join(above)}; play more battles or add a prior (prior_ties=0.5)"
    )


def _fit(
    wins: NDArray[np.float64], *, start: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Log strengths, shape (rounds, agents), by Newton's method on all rounds at once.

    The log-likelihood is concave; strengths sum to 0, which the rank-one term of the Hessian
    enforces.
    """
    rounds, m, _ = wins.shape
    games = wins + wins.transpose(0, 2, 1)
    scored = wins.sum(axis=2)
    theta = np.zeros((rounds, m))
    if start is not None:
        theta += start
    eye = np.eye(m)
    anchor = np.sum(games, axis=(1, 2), keepdims=True) / m**2
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(theta[:, None, :] - theta[:, :, None]))
        gradient = scored - np.sum(games * p, axis=2)
        curvature = games * p * (1.0 - p)
        hessian = eye * np.sum(curvature, axis=2, keepdims=True) - curvature + anchor
        step = _solve(hessian, gradient)
        # A trust region of one unit of log odds keeps the first steps from overshooting.
        step /= np.maximum(1.0, np.abs(step).max(axis=1, keepdims=True))
        theta += step
        if np.abs(step).max() < _TOLERANCE:
            return theta - theta.mean(axis=1, keepdims=True)
    raise NotIdentifiableError(
        f"the Bradley-Terry likelihood did not settle in {_STEPS} Newton steps; "
        "add a prior (prior_ties=0.5)"
    )


def _solve(matrices: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """One linear system per round: shapes (rounds, m, m) and (rounds, m)."""
    solution: NDArray[np.float64] = np.linalg.solve(matrices, vectors[:, :, None]).astype(
        np.float64
    )
    return solution[:, :, 0]


def _rescale(
    strengths: NDArray[np.float64], scale: float, base: float, mean: float
) -> NDArray[np.float64]:
    return strengths * (scale / math.log(base)) + mean


def battles_to_wins(
    scores: Mapping[str, Sequence[ArrayLike]], *, tie_band: float = 0.0
) -> tuple[list[str], NDArray[np.float64]]:
    """Agents and win matrices, shape (tasks, agents, agents), of all pairs of runs of a task.

    Every pair of agents has weight 1 per task, however many runs each made.

    Args:
        scores: agent -> one array of run scores per task, higher is better; -inf is a failed run,
            an empty array a task that the agent did not attempt.
        tie_band: scores this close tie.
    """
    agents = list(scores)
    tasks = max(map(len, scores.values()), default=0)
    wins = np.zeros((tasks, len(agents), len(agents)))
    for i, a in enumerate(agents):
        for j, b in enumerate(agents[:i]):
            for t in range(tasks):
                x, y = (np.asarray(scores[name][t], dtype=np.float64) for name in (a, b))
                if x.size and y.size:
                    wins[t, i, j] = _outcomes(x, y, tie_band).mean()
                    wins[t, j, i] = 1.0 - wins[t, i, j]
    return agents, wins


def resampled_wins(
    scores: Mapping[str, Sequence[ArrayLike]], *, rounds: int = 1000, seed: int = 0
) -> NDArray[np.float64] | None:
    """Wins over all tasks with the runs of each agent and task resampled.

    K - 1 of K runs are drawn (see :mod:`agentbench_scoring.bootstrap`); a single run stays.

    Args:
        scores: as :func:`battles_to_wins` takes them.
        rounds: resamples.
        seed: of the resampling.

    Returns:
        Shape (rounds, agents, agents); None when no task was run twice.
    """
    agents = list(scores)
    runs = {a: [np.asarray(x, dtype=np.float64) for x in scores[a]] for a in agents}
    if all(x.size < 2 for values in runs.values() for x in values):
        return None
    rng = np.random.default_rng(seed)
    weights = {a: [_run_weights(x.size, rounds, rng) for x in runs[a]] for a in agents}
    wins = np.zeros((rounds, len(agents), len(agents)))
    for i, a in enumerate(agents):
        for j, b in enumerate(agents[:i]):
            for t, (x, y) in enumerate(zip(runs[a], runs[b], strict=True)):
                if x.size and y.size:
                    u, v = weights[a][t], weights[b][t]
                    won = np.sum(u @ _outcomes(x, y, 0.0) * v, axis=1)
                    wins[:, i, j] += won
                    wins[:, j, i] += 1.0 - won
    return wins


def _run_weights(runs: int, rounds: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if runs < 2:
        return np.ones((rounds, runs))
    return rng.multinomial(runs - 1, np.full(runs, 1.0 / runs), size=rounds) / (runs - 1.0)


def _outcomes(
    x: NDArray[np.float64], y: NDArray[np.float64], tie_band: float
) -> NDArray[np.float64]:
    """1, 0.5 or 0 for each run of x against each run of y."""
    with np.errstate(invalid="ignore"):
        gap = np.subtract.outer(x, y)
    # Two failed runs are -inf - -inf = NaN: neither beats the other.
    return np.where(gap > tie_band, 1.0, np.where(gap < -tie_band, 0.0, 0.5))
