"""Nominal 95 % intervals contain the truth in 93 to 97 % of simulated campaigns."""

from collections.abc import Sequence

import numpy as np
import pytest

from agentbench_scoring.comparison import compare
from agentbench_scoring.results import read_results
from agentbench_scoring.task_means import estimate


def clusters_of(tasks: int, families: Sequence[int]) -> dict[str, str]:
    """Task -> family: the first families have the sizes given, the other tasks stand alone."""
    labels = [f"family-{i}" for i, size in enumerate(families) for _ in range(size)]
    labels += [f"alone-{i}" for i in range(tasks - len(labels))]
    return {f"task-{i}": label for i, label in enumerate(labels)}


def human_ranks(
    clusters: dict[str, str], seeds: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], float]:
    """Task means around 0.5 with family and task effects; seeds vary by 0.12."""
    family = {f: rng.normal() * 0.2 for f in sorted(set(clusters.values()))}
    mean = {t: 0.5 + family[f] + rng.normal() * 0.22 for t, f in clusters.items()}
    runs = {t: m + rng.normal(size=seeds) * 0.12 for t, m in mean.items()}
    return runs, float(np.mean(list(mean.values())))


def medals(
    clusters: dict[str, str], seeds: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], float]:
    """Chance of a medal by family, Beta(0.35, 1.4): many tasks never, some always."""
    chance = {f: rng.beta(0.35, 1.4) for f in sorted(set(clusters.values()))}
    runs = {t: (rng.random(seeds) < chance[f]).astype(float) for t, f in clusters.items()}
    return runs, float(np.mean([chance[f] for f in clusters.values()]))


@pytest.mark.parametrize(
    ("model", "tasks", "seeds", "families", "truth"),
    [
        pytest.param("human rank", 75, 3, (), 0.5, id="75 tasks x 3 seeds"),
        pytest.param("human rank", 75, 3, (10, 6, 4, 4), 0.5, id="with families"),
        pytest.param("human rank", 75, 3, (29, 16), 0.5, id="two large families"),
        pytest.param("human rank", 7, 3, (), 0.5, id="seven research tasks"),
        pytest.param("medal", 75, 3, (), 0.2, id="medals"),
        pytest.param("medal", 75, 3, (5,) * 5, 0.2, id="medals in families"),
        pytest.param("medal", 30, 3, (), 0.2, id="medals on 30 tasks"),
    ],
)
def test_both_intervals_cover(
    model: str, tasks: int, seeds: int, families: tuple[int, ...], truth: float
) -> None:
    rng = np.random.default_rng(20)
    clusters = clusters_of(tasks, families)
    draw = human_ranks if model == "human rank" else medals
    suite = population = 0
    rounds = 1000
    for _ in range(rounds):
        runs, suite_truth = draw(clusters, seeds, rng)
        found = estimate(runs, clusters, rate=model == "medal")
        assert found.suite is not None
        assert found.population is not None
        suite += found.suite.low <= suite_truth <= found.suite.high
        population += found.population.low <= truth <= found.population.high
    assert 0.93 <= suite / rounds <= 0.97
    assert 0.93 <= population / rounds <= 0.97


def test_the_usual_interval_does_not_cover() -> None:
    """mle-bench's mean +- 1.96 SEM over three seed means, on the same medals: about 0.8 and 0.6."""
    rng = np.random.default_rng(20)
    clusters = clusters_of(75, ())
    suite = population = 0
    rounds = 1000
    for _ in range(rounds):
        runs, suite_truth = medals(clusters, 3, rng)
        means = np.array(list(runs.values())).mean(axis=0)
        half = 1.96 * means.std(ddof=1) / np.sqrt(3)
        suite += abs(means.mean() - suite_truth) <= half
        population += abs(means.mean() - 0.2) <= half
    assert 0.75 < suite / rounds < 0.87
    assert 0.55 < population / rounds < 0.72


@pytest.mark.slow
def test_differences_cover_and_hold_their_level() -> None:
    """Two equal agents with a shared task effect: intervals cover 0, p < 0.05 in 5 %."""
    rng = np.random.default_rng(4)
    suite = population = false_alarms = 0
    rounds = 1000
    for _ in range(rounds):
        rows: list[dict[str, object]] = []
        truth: list[float] = []
        for task in range(24):
            base = rng.normal() * 20
            effect = {agent: base + rng.normal() * 8 for agent in ("a", "b")}
            truth.append(effect["a"] - effect["b"])
            runs: list[dict[str, object]] = [
                {
                    "run_id": f"{task}-{agent}-{seed}",
                    "task": f"task-{task}",
                    "agent": agent,
                    "status": "scored",
                    "margin": effect[agent] + rng.normal() * 10,
                }
                for agent in ("a", "b")
                for seed in range(2)
            ]
            rows += runs
        found = compare(read_results(rows), "a", "b")
        assert found.difference.suite is not None
        assert found.difference.population is not None
        assert found.p is not None
        suite += found.difference.suite.low <= np.mean(truth) <= found.difference.suite.high
        population += found.difference.population.low <= 0 <= found.difference.population.high
        false_alarms += found.p < 0.05
    assert 0.93 <= suite / rounds <= 0.97
    assert 0.93 <= population / rounds <= 0.97
    assert 0.03 <= false_alarms / rounds <= 0.07
