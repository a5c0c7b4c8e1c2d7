"""From a results table to one summary per agent, each number with its two intervals.

Tasks weigh equally: the runs of a task are averaged first. What failures and missing runs count as
is decided in :mod:`agentbench_scoring.measures`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.attempts import Attempts, attempts, successes
from agentbench_scoring.bootstrap import (
    percentile_interval,
    population_weights,
    suite_weights,
    weighted_iqm,
)
from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.estimators import iqm, optimality_gap
from agentbench_scoring.intervals import Interval
from agentbench_scoring.measures import (
    MEASURES,
    RATES,
    Measure,
    Missing,
    TaskRuns,
    headline_measure,
    task_runs,
)
from agentbench_scoring.results import Results, Run
from agentbench_scoring.task_means import Estimate, estimate

_ROUNDS = 2000


class Cost(BaseModel):
    """Means over all runs that reported the quantity; None when none did."""

    model_config = ConfigDict(frozen=True)

    steps: float | None
    wall_s: float | None
    tokens: float | None
    cost_usd: float | None
    total_cost_usd: float | None
    total_wall_s: float | None


class AgentSummary(BaseModel):
    """Everything said about one agent and model.

    Attributes:
        entrant: agent and model as one name.
        agent: the scaffold.
        model: the language model, may be empty.
        tasks: tasks attempted.
        runs: runs that count (all but ``infra``).
        scored: of those, with a score.
        invalid: of those, rejected submissions.
        failed: of those, without a submission.
        infra: runs lost to the laboratory, not counted.
        missing_tasks: tasks of the table that this agent never ran.
        estimates: measure -> estimate, for the measures that the tasks have.
        median_margin: median over all runs, failures 0; percent.
        best_margin: mean over tasks of the maximum over all runs, as MLRC-Bench reports; it grows
            with the number of runs.
        iqm: interquartile mean of the headline measure over runs x tasks.
        optimality_gap: 1 - mean(min(human rank, 1)), or of the margin as a fraction.
        attempts: by number of attempts k.
        cost: per run and in total.
    """

    model_config = ConfigDict(frozen=True)

    entrant: str
    agent: str
    model: str
    tasks: int
    runs: int
    scored: int
    invalid: int
    failed: int
    infra: int
    missing_tasks: tuple[str, ...]
    estimates: dict[Measure, Estimate]
    median_margin: float | None
    best_margin: Estimate | None
    iqm: Estimate | None
    optimality_gap: Estimate | None
    attempts: tuple[Attempts, ...]
    cost: Cost


class Aggregates(BaseModel):
    """Summaries of all agents of one table, best first by the headline measure.

    Attributes:
        headline: ``human_rank`` where tasks have human boards, else ``margin``, else ``valid``.
        level: nominal coverage of every interval.
        missing: what a task never run counts as.
        tasks: all tasks of the table.
        families: independent groups of tasks.
        agents: one summary per agent and model.
    """

    model_config = ConfigDict(frozen=True)

    headline: Measure
    level: float
    missing: Missing
    tasks: int
    families: int
    agents: tuple[AgentSummary, ...]


def aggregate(
    results: Results,
    *,
    level: float = 0.95,
    missing: Missing = "failure",
    seed: int = 0,
) -> Aggregates:
    """Summarise every agent of a results table.

    Args:
        results: from :func:`read_results`.
        level: nominal coverage of the intervals.
        missing: ``failure`` counts a task that an agent never ran as its worst outcome, ``drop``
            leaves it out of that agent's means.
        seed: of the bootstrap that the interquartile mean and the optimality gap need.

    Raises:
        InvalidInputError: a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise InvalidInputError(f"level must lie between 0 and 1, not {level}")
    headline = headline_measure(results)
    tables: dict[Measure, dict[str, TaskRuns]] = {
        m: task_runs(results, m, missing=missing) for m in MEASURES
    }
    agents = [
        _summarize(
            [run for run in results.runs if run.entrant == entrant],
            {measure: table[entrant] for measure, table in tables.items()},
            results.clusters,
            headline,
            level=level,
            seed=seed,
        )
        for entrant in results.entrants
    ]
    agents.sort(key=lambda s: (-_headline_value(s, headline), s.entrant))
    clusters = results.clusters
    return Aggregates(
        headline=headline,
        level=level,
        missing=missing,
        tasks=len(clusters),
        families=len(set(clusters.values())),
        agents=tuple(agents),
    )


def _summarize(
    runs: Sequence[Run],
    values: Mapping[Measure, TaskRuns],
    clusters: Mapping[str, str],
    headline: Measure,
    *,
    level: float,
    seed: int,
) -> AgentSummary:
    counted = [run for run in runs if run.status != "infra"]
    margins = values["margin"]
    estimates: dict[Measure, Estimate] = {
        measure: estimate(by_task, clusters, level=level, rate=measure in RATES)
        for measure, by_task in values.items()
        if by_task
    }
    main = values[headline]
    return AgentSummary(
        entrant=runs[0].entrant,
        agent=runs[0].agent,
        model=runs[0].model,
        tasks=len({run.task for run in counted}),
        runs=len(counted),
        scored=sum(run.status == "scored" for run in runs),
        invalid=sum(run.status == "invalid" for run in runs),
        failed=sum(run.status == "failed" for run in runs),
        infra=len(runs) - len(counted),
        missing_tasks=tuple(sorted(set(clusters) - {run.task for run in runs})),
        estimates=estimates,
        median_margin=float(np.median(np.concatenate(list(margins.values())))) if margins else None,
        best_margin=_best_margin(margins, clusters, level),
        iqm=_resampled(main, clusters, "iqm", headline, level=level, seed=seed),
        optimality_gap=_resampled(main, clusters, "gap", headline, level=level, seed=seed),
        attempts=attempts(successes(values), main, clusters, level),
        cost=_cost(counted),
    )


def _headline_value(summary: AgentSummary, headline: Measure) -> float:
    found = summary.estimates.get(headline)
    return found.value if found else -math.inf


def _best_margin(margins: TaskRuns, clusters: Mapping[str, str], level: float) -> Estimate | None:
    if not margins:
        return None
    return estimate({t: np.array([r.max()]) for t, r in margins.items()}, clusters, level=level)


def _resampled(
    runs: TaskRuns,
    clusters: Mapping[str, str],
    statistic: Literal["iqm", "gap"],
    headline: Measure,
    *,
    level: float,
    seed: int,
) -> Estimate | None:
    """The statistic over runs x tasks with bootstrap intervals; margins count as fractions."""
    if not runs or headline == "valid":
        return None
    unit = 100.0 if headline == "margin" else 1.0
    values = np.concatenate(list(runs.values())) / unit
    tasks = [task for task, r in runs.items() for _ in range(r.size)]
    labels = [clusters[task] for task in tasks]
    rng = np.random.default_rng(seed)

    def interval(weights: NDArray[np.float64]) -> Interval:
        if statistic == "iqm":
            draws = weighted_iqm(values, weights)
        else:
            draws = 1.0 - weights @ np.minimum(values, 1.0) / weights.sum(axis=1)
        return percentile_interval(draws, level)

    within = suite_weights(tasks, _ROUNDS, rng)
    families = len(set(labels))
    return Estimate(
        value=iqm(values) if statistic == "iqm" else optimality_gap(values, 1.0),
        suite=None if within is None else interval(within),
        population=interval(population_weights(labels, _ROUNDS, rng)) if families > 1 else None,
        tasks=len(runs),
        families=families,
        runs=values.size,
    )


def _cost(runs: Sequence[Run]) -> Cost:
    def present(field: Literal["steps", "wall_s", "tokens", "cost_usd"]) -> list[float]:
        values: list[float | None] = [getattr(run, field) for run in runs]
        return [v for v in values if v is not None]

    def mean(values: Sequence[float]) -> float | None:
        return math.fsum(values) / len(values) if values else None

    dollars, seconds = present("cost_usd"), present("wall_s")
    return Cost(
        steps=mean(present("steps")),
        wall_s=mean(seconds),
        tokens=mean(present("tokens")),
        cost_usd=mean(dollars),
        total_cost_usd=math.fsum(dollars) if dollars else None,
        total_wall_s=math.fsum(seconds) if seconds else None,
    )
