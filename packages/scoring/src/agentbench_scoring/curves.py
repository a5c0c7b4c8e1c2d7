"""What an agent would have reached with a smaller budget, from finished runs alone."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.measures import Measure, Missing, run_value, task_runs
from agentbench_scoring.results import Results

Budget = Literal["steps", "cost_usd"]
BUDGETS: tuple[Budget, ...] = ("steps", "cost_usd")


class Curve(BaseModel):
    """A step function: from ``x[i]`` on, the agent has ``y[i]``.

    Attributes:
        entrant: agent and model.
        x: budget per run, ascending.
        y: mean over tasks of the headline measure, runs that needed more counting as failures.
    """

    model_config = ConfigDict(frozen=True)

    entrant: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def budget_curves(
    results: Results, measure: Measure, entrants: Sequence[str], *, missing: Missing = "failure"
) -> dict[str, tuple[Curve, ...]]:
    """Headline measure against steps and against cost, one curve per agent.

    The last value of a curve is the agent's mean. A budget is left out unless every scored run
    reports what it spent.

    Args:
        results: from ``read_results``.
        measure: the headline measure.
        entrants: agents, in the order wanted.
        missing: see :mod:`agentbench_scoring.measures`.
    """
    table = task_runs(results, measure, missing=missing)
    curves: dict[str, tuple[Curve, ...]] = {}
    for budget in BUDGETS:
        scored = [run for run in results.runs if run.status == "scored"]
        if not scored or any(_spent(run, budget) is None for run in scored):
            continue
        gains: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for run in scored:
            value, spent = run_value(run, measure), _spent(run, budget)
            if value is not None and spent is not None and run.task in table[run.entrant]:
                weight = 1.0 / len(table[run.entrant]) / table[run.entrant][run.task].size
                gains[run.entrant].append((spent, value * weight))
        curves[budget] = tuple(_accumulate(e, gains[e]) for e in entrants if gains[e])
    return curves


def _spent(run: object, budget: Budget) -> float | None:
    value = getattr(run, budget)
    return None if value is None else float(value)


def _accumulate(entrant: str, gains: list[tuple[float, float]]) -> Curve:
    spent, value = np.array(sorted(gains)).T
    total = np.cumsum(value)
    last = np.append(np.diff(spent) > 0, True)
    return Curve(entrant=entrant, x=tuple(spent[last].tolist()), y=tuple(total[last].tolist()))
