"""Everything a report says about a results table, as data; the formats only draw it."""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version

import numpy as np
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.aggregates import Aggregates, aggregate
from agentbench_scoring.comparison import Comparison, compare_all
from agentbench_scoring.curves import Curve, budget_curves
from agentbench_scoring.errors import NotIdentifiableError
from agentbench_scoring.intervals import Interval
from agentbench_scoring.measures import Measure, Missing, TaskRuns, task_runs
from agentbench_scoring.problems import Problem, find_problems
from agentbench_scoring.profile import score_distribution
from agentbench_scoring.ratings import (
    WinRate,
    battles_to_wins,
    clustered_bradley_terry,
    resampled_wins,
)
from agentbench_scoring.results import Results

SCHEMA_VERSION = 1


class HeatMap(BaseModel):
    """Task means, shape (tasks, entrants).

    Attributes:
        tasks: sorted, those of the headline measure first.
        measures: what each row holds: the headline, else ``margin``, else ``valid``.
        entrants: best first.
        values: None where an agent has no run.
    """

    model_config = ConfigDict(frozen=True)

    tasks: tuple[str, ...]
    measures: tuple[Measure, ...]
    entrants: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


class Profile(BaseModel):
    """Share of runs whose headline measure lies above each threshold."""

    model_config = ConfigDict(frozen=True)

    thresholds: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]


class Rating(BaseModel):
    """Bradley-Terry rating of one agent.

    Attributes:
        entrant: agent and model.
        rating: mean 1000; 400 points are odds of ten to one.
        suite: interval over runs resampled within tasks; None without repeated runs.
        population: interval over resampled families of tasks.
        ranks: best and worst rank in the central resamples of families.
        win_rate: share of opponents beaten, averaged over tasks, ties one half.
    """

    model_config = ConfigDict(frozen=True)

    entrant: str
    rating: float
    suite: Interval | None
    population: Interval
    ranks: tuple[int, int]
    win_rate: WinRate


class RatingTable(BaseModel):
    """Ratings of all agents, best first.

    Attributes:
        ratings: one per agent.
        prior_ties: tied battles added per pair; 0 unless the ratings had no finite maximum.
        rounds: bootstrap resamples.
        regularised: resamples that needed a tie added per pair.
    """

    model_config = ConfigDict(frozen=True)

    ratings: tuple[Rating, ...]
    prior_ties: float
    rounds: int
    regularised: int


class Report(BaseModel):
    """Everything a report says, as data.

    Attributes:
        schema_version: of this document; it changes when a field changes its meaning.
        generator: name and version of the program.
        title: of the document.
        aggregates: one summary per agent, best first.
        comparisons: every pair, Holm-adjusted together.
        ratings: None with fewer than two agents or families.
        heat_map: tasks x agents.
        profile: None where the headline measure is a rate.
        curves: by budget, ``steps`` and ``cost_usd``; only those that every run reports.
        problems: what is wrong with the table.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    generator: str
    title: str
    aggregates: Aggregates
    comparisons: tuple[Comparison, ...]
    ratings: RatingTable | None
    heat_map: HeatMap
    profile: Profile | None
    curves: dict[str, tuple[Curve, ...]]
    problems: tuple[Problem, ...]


def build_report(
    results: Results,
    *,
    title: str = "Results",
    level: float = 0.95,
    missing: Missing = "failure",
    seed: int = 0,
) -> Report:
    """Compute everything a report says.

    Args:
        results: from :func:`read_results`.
        title: of the document.
        level: nominal coverage of every interval.
        missing: see :mod:`agentbench_scoring.measures`.
        seed: of the bootstraps.
    """
    aggregates = aggregate(results, level=level, missing=missing, seed=seed)
    entrants = [summary.entrant for summary in aggregates.agents]
    table = task_runs(results, aggregates.headline, missing=missing)
    return Report(
        generator=f"agentbench-scoring {version('agentbench-scoring')}",
        title=title,
        aggregates=aggregates,
        comparisons=compare_all(results, level=level, missing=missing),
        ratings=_rate(results, table, level=level, missing=missing, seed=seed),
        heat_map=_heat_map(results, entrants, aggregates.headline),
        profile=_profile(table, entrants, aggregates.headline),
        curves=budget_curves(results, aggregates.headline, entrants, missing=missing),
        problems=find_problems(results),
    )


def _heat_map(results: Results, entrants: Sequence[str], headline: Measure) -> HeatMap:
    rows: dict[str, Measure] = {}
    values: dict[str, tuple[float | None, ...]] = {}
    order: tuple[Measure, ...] = (headline, "margin", "valid")
    for measure in order:
        table = task_runs(results, measure, missing="drop")
        for task in sorted({task for runs in table.values() for task in runs} - rows.keys()):
            rows[task] = measure
            found = [table[entrant].get(task) for entrant in entrants]
            values[task] = tuple(None if r is None else float(r.mean()) for r in found)
    return HeatMap(
        tasks=tuple(rows),
        measures=tuple(rows.values()),
        entrants=tuple(entrants),
        values=tuple(values.values()),
    )


def _profile(
    table: Mapping[str, TaskRuns], entrants: Sequence[str], headline: Measure
) -> Profile | None:
    if headline == "valid":
        return None
    grid = np.linspace(0.0, 1.0, 101) if headline == "human_rank" else np.linspace(-50, 150, 101)
    runs = {e: np.concatenate(list(table[e].values())) for e in entrants if table[e]}
    shares = score_distribution(runs, grid.tolist())
    return Profile(thresholds=tuple(grid.tolist()), shares={e: tuple(s) for e, s in shares.items()})


def _rate(
    results: Results, headline: dict[str, TaskRuns], *, level: float, missing: Missing, seed: int
) -> RatingTable | None:
    """Ratings from raw scores where a task has them with a direction, else the headline."""
    raw = task_runs(results, "score", missing=missing)
    values = {entrant: headline[entrant] | raw[entrant] for entrant in results.entrants}
    tasks = sorted({task for runs in values.values() for task in runs})
    empty = np.array([])
    scores = {e: [runs.get(task, empty) for task in tasks] for e, runs in values.items()}
    labels = [results.clusters[task] for task in tasks]
    if len(scores) < 2 or len(set(labels)) < 2:
        return None
    agents, wins = battles_to_wins(scores)
    fit = partial(
        clustered_bradley_terry,
        wins,
        agents,
        labels,
        suite_wins=resampled_wins(scores, seed=seed),
        level=level,
        seed=seed,
    )
    prior = 0.0
    try:
        fitted = fit()
    except NotIdentifiableError:
        prior = 1.0
        fitted = fit(prior_ties=prior)
    within = fitted.suite_intervals
    order = sorted(agents, key=lambda a: (-fitted.ratings[a], a))
    return RatingTable(
        ratings=tuple(
            Rating(
                entrant=a,
                rating=fitted.ratings[a],
                suite=within[a] if within else None,
                population=fitted.intervals[a],
                ranks=fitted.ranks[a],
                win_rate=fitted.win_rates[a],
            )
            for a in order
        ),
        prior_ties=prior,
        rounds=fitted.rounds,
        regularised=fitted.regularised,
    )
