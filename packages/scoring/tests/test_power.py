"""Power and minimum detectable effect: against statsmodels, simulation, and each other."""

import math

import numpy as np
import pytest

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.power import (
    Variation,
    minimum_detectable_effect,
    paired_power,
    pilot_variation,
    tasks_needed,
)
from agentbench_scoring.results import read_results

HUMAN_RANK = Variation(task_sd=math.sqrt(2) * 0.10, seed_sd_a=0.12, seed_sd_b=0.12)


def pilot(*, tasks: int, seeds: int, seed: int = 0) -> list[dict[str, object]]:
    """Task sd 0.3 shared by both agents, interaction 0.1 each, seeds 0.12."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for task in range(tasks):
        base = rng.normal() * 0.3
        for agent in ("a", "b"):
            mean = base + rng.normal() * 0.1
            runs: list[dict[str, object]] = [
                {
                    "run_id": f"{task}-{agent}-{s}",
                    "task": f"task-{task}",
                    "agent": agent,
                    "status": "scored",
                    "margin": mean + rng.normal() * 0.12,
                }
                for s in range(seeds)
            ]
            rows += runs
    return rows


def test_power_is_statsmodels() -> None:
    power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    sd = math.sqrt(0.02 + 2 * 0.12**2 / 3)
    for effect, tasks in [(0.04, 50), (0.1, 10), (0.02, 200)]:
        found = paired_power(effect, HUMAN_RANK, tasks=tasks, seeds=3)
        assert found == pytest.approx(power.power(effect / sd, tasks, 0.05), abs=1e-4)


def test_tasks_buy_more_than_seeds() -> None:
    """Of about equal cost, 200 tasks once find 0.04 with power .72; 67 tasks thrice with .50."""
    wide = paired_power(0.04, HUMAN_RANK, tasks=200, seeds=1)
    deep = paired_power(0.04, HUMAN_RANK, tasks=67, seeds=3)
    assert wide == pytest.approx(0.72, abs=0.02)
    assert deep == pytest.approx(0.48, abs=0.03)


def test_power_agrees_with_simulation() -> None:
    rng = np.random.default_rng(0)
    stats = pytest.importorskip("scipy.stats")
    variation = Variation(task_sd=1.0, seed_sd_a=0.5, seed_sd_b=1.0)
    sd = math.sqrt(1 + (0.25 + 1) / 2)
    samples = 0.7 + rng.normal(size=(20_000, 12)) * sd
    p: np.ndarray = np.asarray(stats.ttest_1samp(samples, 0, axis=1).pvalue)
    share = float(np.mean(p < 0.05))
    assert paired_power(0.7, variation, tasks=12, seeds=2) == pytest.approx(share, abs=0.012)


def test_the_three_questions_agree() -> None:
    effect = minimum_detectable_effect(HUMAN_RANK, tasks=60, seeds=3)
    assert paired_power(effect, HUMAN_RANK, tasks=60, seeds=3) == pytest.approx(0.8, abs=1e-6)
    assert tasks_needed(effect * 1.0001, HUMAN_RANK, seeds=3) == 60
    assert paired_power(effect, HUMAN_RANK, tasks=59, seeds=3) < 0.8


def test_no_effect_is_found_at_the_level() -> None:
    assert paired_power(0.0, HUMAN_RANK, tasks=20, seeds=1) == pytest.approx(0.05, abs=1e-4)


def test_pilot_recovers_the_components() -> None:
    found = pilot_variation(read_results(pilot(tasks=3000, seeds=3)), "a", "b")
    assert found.task_sd == pytest.approx(math.sqrt(2) * 0.1, abs=0.006)
    assert found.seed_sd_a == pytest.approx(0.12, abs=0.005)
    assert found.seed_sd_b == pytest.approx(0.12, abs=0.005)


def test_a_pilot_needs_repeated_runs_and_two_tasks() -> None:
    with pytest.raises(UndefinedMetricError, match="run a pilot with two"):
        pilot_variation(read_results(pilot(tasks=5, seeds=1)), "a", "b")
    with pytest.raises(UndefinedMetricError, match="two tasks in common"):
        pilot_variation(read_results(pilot(tasks=1, seeds=2)), "a", "b")


def test_designs_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="task_sd"):
        Variation(task_sd=-1.0, seed_sd_a=0.0, seed_sd_b=0.0)
    with pytest.raises(InvalidInputError, match="at least one seed"):
        paired_power(0.1, HUMAN_RANK, tasks=5, seeds=0)
    with pytest.raises(UndefinedMetricError, match="two tasks"):
        paired_power(0.1, HUMAN_RANK, tasks=1, seeds=1)
    with pytest.raises(UndefinedMetricError, match="variation"):
        paired_power(0.1, Variation(task_sd=0, seed_sd_a=0, seed_sd_b=0), tasks=5, seeds=1)
    with pytest.raises(InvalidInputError, match="0 < alpha < power < 1"):
        minimum_detectable_effect(HUMAN_RANK, tasks=5, seeds=1, power=0.01)
    with pytest.raises(UndefinedMetricError, match="difference of 0"):
        tasks_needed(0.0, HUMAN_RANK, seeds=1)
    with pytest.raises(UndefinedMetricError, match="too small"):
        tasks_needed(1e-9, HUMAN_RANK, seeds=1)
