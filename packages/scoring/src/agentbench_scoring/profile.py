"""Performance profiles and the area under them (AUP), from raw scores of several agents.

rho_m(tau) = share of tasks on which log10 of agent m's performance ratio is at most tau, where the
ratio is best / score (higher is better) or score / best (lower is better), so 1 is the best agent
(Dolan & Moré 2002). Ratios exist for positive scores only. The area is not comparable between sets
of agents or of tasks; human ranks are.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError

Scores = Mapping[str, Sequence[float | None]]


class ProfileArea(NamedTuple):
    """Areas under performance profiles and the upper limit they were integrated to."""

    areas: dict[str, float]
    tau_max: float


def performance_profile(
    scores: Scores, higher_is_better: Sequence[bool], taus: Sequence[float]
) -> dict[str, list[float]]:
    """Share of tasks within 10^tau of the best agent, at each tau.

    Args:
        scores: agent -> one score per task; None is a task without a result, which no tau reaches.
        higher_is_better: one direction per task.
        taus: on the log10 scale of the ratio; 0 counts the tasks where the agent is best.

    Returns:
        agent -> one share per tau.

    Raises:
        UndefinedMetricError: a score that is not positive.
    """
    agents, ratios = _ratios(scores, higher_is_better)
    grid = np.asarray(taus, dtype=np.float64)
    shares = _shares(np.log10(ratios), grid)
    return {agent: shares[i].tolist() for i, agent in enumerate(agents)}


def aup(scores: Scores, higher_is_better: Sequence[bool], tau_max: float) -> dict[str, float]:
    """Exact area under each profile from 0 to ``tau_max``: mean_t max(0, tau_max - log10 r_t).

    Raises:
        UndefinedMetricError: a score that is not positive.
    """
    agents, ratios = _ratios(scores, higher_is_better)
    return dict(zip(agents, _exact_area(np.log10(ratios), tau_max).tolist(), strict=True))


def aup_mlgym(
    scores: Scores,
    higher_is_better: Sequence[bool],
    tau_max: float,
    grid: int = 500,
    *,
    baseline: str | None = None,
) -> dict[str, float]:
    """AUP as MLGym computes it: the left Riemann sum on ``linspace(0, tau_max, grid)``.

    With ``baseline`` (the name of one agent) MLGym's feasibility rule applies: a score that is
    missing, negative or worse than the baseline takes 1.05 times the worst feasible ratio of its
    task. ``mlgym_tau_max`` gives the limit MLGym integrates to.
    """
    agents, ratios = (
        _ratios(scores, higher_is_better)
        if baseline is None
        else _mlgym_ratios(scores, higher_is_better, baseline)[:2]
    )
    taus = np.linspace(0.0, tau_max, grid)
    shares = _shares(np.log10(ratios), taus)
    areas = shares[:, :-1] @ np.diff(taus)
    return dict(zip(agents, areas.tolist(), strict=True))


def mlgym_tau_max(
    attempts: Sequence[Scores], higher_is_better: Sequence[bool], *, baseline: str
) -> float:
    """MLGym's upper limit: log10 of the largest charged ratio, rounded up twice.

    The worst feasible ratio of each task is charged with 1.05 whether or not an agent was
    infeasible, rounded up to a whole number, and its logarithm to tenths.

    Args:
        attempts: the tables that are compared with one another: best and last attempts, say.
        higher_is_better: one direction per task.
        baseline: the agent that a feasible score must match.
    """
    charged = [_mlgym_ratios(a, higher_is_better, baseline)[2].max() for a in attempts]
    return math.ceil(math.log10(math.ceil(max(charged))) * 10.0) / 10.0


def aup_mledojo(scores: Scores, higher_is_better: Sequence[bool]) -> ProfileArea:
    """AUP by the formulas of MLE-Dojo's appendix E, integrated exactly from 0.

    A task without a result takes twice the worst valid ratio (eps = 1); ratios are capped at 100;
    the upper limit is the smallest tau at which every profile is 1. The paper prints a lower limit
    of 1, which its own figures exclude. No code for this exists in the MLE-Dojo repository.

    Raises:
        UndefinedMetricError: a score that is not positive.
    """
    agents, ratios = _ratios(scores, higher_is_better)
    valid: NDArray[np.bool_] = np.isfinite(ratios)
    worst = np.where(valid, ratios, 0.0).max(axis=0)
    logs = np.log10(np.minimum(np.where(valid, ratios, 2.0 * worst), 100.0))
    tau_max = float(logs.max())
    areas = _exact_area(logs, tau_max)
    return ProfileArea(dict(zip(agents, areas.tolist(), strict=True)), tau_max)


def score_distribution(
    scores: Mapping[str, ArrayLike], taus: Sequence[float]
) -> dict[str, list[float]]:
    """Share of runs with a score above tau: the profile of a normalised score (rliable).

    Args:
        scores: agent -> shape (runs, tasks) or (tasks,), higher is better on one common scale.
        taus: thresholds on that scale.
    """
    grid = np.asarray(taus, dtype=np.float64)
    return {
        agent: (np.asarray(values, dtype=np.float64).reshape(-1, 1) > grid).mean(axis=0).tolist()
        for agent, values in scores.items()
    }


def _table(
    scores: Scores, higher_is_better: Sequence[bool]
) -> tuple[list[str], NDArray[np.float64], NDArray[np.bool_]]:
    """Agents, scores of shape (agents, tasks) with NaN for None, and directions."""
    agents = list(scores)
    directions = np.asarray(higher_is_better, dtype=bool)
    rows: list[list[float]] = []
    for agent in agents:
        row = [math.nan if x is None else float(x) for x in scores[agent]]
        if len(row) != directions.size:
            raise InvalidInputError(f"agent {agent!r} has {len(row)} scores, not {directions.size}")
        rows.append(row)
    if not rows or not directions.size:
        raise UndefinedMetricError("a profile needs at least one agent and one task")
    return agents, np.array(rows, dtype=np.float64), directions


def _ratios(
    scores: Scores, higher_is_better: Sequence[bool]
) -> tuple[list[str], NDArray[np.float64]]:
    """Ratio to the best agent, shape (agents, tasks); infinity where there is no result."""
    agents, table, directions = _table(scores, higher_is_better)
    present = ~np.isnan(table)
    bad = present & ~((table > 0.0) & np.isfinite(table))
    if bad.any():
        i, t = np.argwhere(bad)[0]
        raise UndefinedMetricError(
            f"agent {agents[i]!r} scored {table[i, t]} on task {t}: ratios need positive finite "
            "scores; use a profile of human ranks (score_distribution) instead"
        )
    if not present.any(axis=0).all():
        task = int(np.argmin(present.any(axis=0)))
        raise UndefinedMetricError(f"task {task} has no result of any agent")
    ratios = np.full(table.shape, math.inf)
    for task, higher in enumerate(directions):
        able = present[:, task]
        column = table[able, task]
        ratios[able, task] = column.max() / column if higher else column / column.min()
    return agents, ratios


def _shares(logs: NDArray[np.float64], taus: NDArray[np.float64]) -> NDArray[np.float64]:
    """Profile values, shape (agents, taus)."""
    return np.stack([np.searchsorted(np.sort(row), taus, side="right") / row.size for row in logs])


def _exact_area(logs: NDArray[np.float64], tau_max: float) -> NDArray[np.float64]:
    return np.maximum(0.0, tau_max - logs).mean(axis=1)


def _mlgym_ratios(
    scores: Scores, higher_is_better: Sequence[bool], baseline: str
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Agents, ratios of shape (agents, tasks), and per task the ratio infeasible ones take."""
    agents, table, directions = _table(scores, higher_is_better)
    if baseline not in scores:
        raise InvalidInputError(f"the baseline {baseline!r} is not among the agents {agents}")
    reference = table[agents.index(baseline)]
    feasible = (table >= 0.0) & ((table == reference) | ((table > reference) == directions))
    ratios = np.empty_like(table)
    charged = np.empty(directions.size)
    for task, higher in enumerate(directions):
        column = table[:, task]
        able = feasible[:, task]
        if not able.any():
            raise UndefinedMetricError(
                f"task {task} has no feasible score: even the baseline is negative or missing"
            )
        best = column[able].max() if higher else column[able].min()
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = best / column if higher else column / best
        worst = ratio[able].max()
        if not np.isfinite(worst):
            raise UndefinedMetricError(f"task {task} has a score of 0: its ratio does not exist")
        charged[task] = worst * 1.05
        ratios[:, task] = np.where(able, ratio, charged[task])
    return agents, ratios, charged
