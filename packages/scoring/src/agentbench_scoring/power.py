"""How many tasks and seeds a comparison needs: power and minimum detectable effect.

A paired comparison over n tasks has the variance V = (omega^2 + sA^2/KA + sB^2/KB) / n, where
omega^2 is the variance of the true difference between tasks and s^2 / K the variance of an agent's
mean over K seeds (Miller 2024, section 5). The test is a two-sided t test with n - 1 degrees of
freedom; its power is exact for normal differences.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.comparison import find_entrant
from agentbench_scoring.distributions import noncentral_t_power
from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.measures import Measure, Missing, headline_measure, task_runs
from agentbench_scoring.results import Results

_MOST_TASKS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """What makes a paired difference vary.

    Attributes:
        task_sd: standard deviation over tasks of the true difference of two agents.
        seed_sd_a: standard deviation over seeds of the first agent on one task.
        seed_sd_b: of the second.
    """

    task_sd: float
    seed_sd_a: float
    seed_sd_b: float

    def __post_init__(self) -> None:
        """Reject what is no standard deviation."""
        for name in ("task_sd", "seed_sd_a", "seed_sd_b"):
            value: float = getattr(self, name)
            if not 0 <= value < math.inf:
                raise InvalidInputError(f"{name} must be a finite number >= 0, not {value}")

    def sd(self, seeds: int) -> float:
        """Standard deviation over tasks of the observed difference with ``seeds`` runs each."""
        if seeds < 1:
            raise InvalidInputError(f"needs at least one seed, not {seeds}")
        noise = (self.seed_sd_a**2 + self.seed_sd_b**2) / seeds
        return math.sqrt(self.task_sd**2 + noise)


def paired_power(
    effect: float, variation: Variation, *, tasks: int, seeds: int, alpha: float = 0.05
) -> float:
    """Chance that a paired t test over tasks finds a true mean difference of ``effect``.

    Args:
        effect: the true difference, in units of the measure.
        variation: from a pilot (:func:`pilot_variation`) or assumed.
        tasks: number of independent tasks, at least 2.
        seeds: runs of each agent on each task.
        alpha: two-sided level of the test.

    Raises:
        UndefinedMetricError: fewer than two tasks, or no variation at all.
    """
    sd = variation.sd(seeds)
    if tasks < 2 or sd == 0:
        raise UndefinedMetricError(
            f"power needs at least two tasks and some variation ({tasks} tasks, sd {sd:g})"
        )
    return noncentral_t_power(abs(effect) / sd * math.sqrt(tasks), tasks - 1.0, alpha)


def minimum_detectable_effect(
    variation: Variation, *, tasks: int, seeds: int, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Smallest true difference that the test finds with the power wanted.

    Args:
        variation: see :func:`paired_power`.
        tasks: number of independent tasks.
        seeds: runs of each agent on each task.
        power: chance wanted, above alpha.
        alpha: two-sided level of the test.
    """
    _check_power(power, alpha)
    low, high = 0.0, variation.sd(seeds)
    while paired_power(high, variation, tasks=tasks, seeds=seeds, alpha=alpha) < power:
        high *= 2.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        if paired_power(middle, variation, tasks=tasks, seeds=seeds, alpha=alpha) < power:
            low = middle
        else:
            high = middle
    return high


def tasks_needed(
    effect: float, variation: Variation, *, seeds: int, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Smallest number of tasks that finds ``effect`` with the power wanted.

    Raises:
        UndefinedMetricError: more than a million, or an effect of 0.
    """
    _check_power(power, alpha)
    if effect == 0:
        raise UndefinedMetricError("no number of tasks finds a difference of 0")

    def enough(tasks: int) -> bool:
        return paired_power(effect, variation, tasks=tasks, seeds=seeds, alpha=alpha) >= power

    high = 2
    while not enough(high):
        high *= 2
        if high > _MOST_TASKS:
            raise UndefinedMetricError(f"more than {_MOST_TASKS} tasks: the effect is too small")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def pilot_variation(
    results: Results,
    a: str,
    b: str,
    *,
    measure: Measure | None = None,
    missing: Missing = "failure",
) -> Variation:
    """Components of variance of two agents from a table in which tasks were run at least twice.

    omega^2 is the variance over tasks of the observed difference less what seeds explain, and 0
    where seeds explain all of it.

    Args:
        results: a pilot's results table.
        a: first agent, as :func:`find_entrant` takes it.
        b: second agent.
        measure: by default the headline measure.
        missing: see :mod:`agentbench_scoring.measures`.

    Raises:
        UndefinedMetricError: fewer than two tasks in common, or an agent without a repeated run.
    """
    chosen = measure or headline_measure(results)
    table = task_runs(results, chosen, missing=missing)
    first, second = table[find_entrant(results, a)], table[find_entrant(results, b)]
    tasks = sorted(first.keys() & second.keys())
    if len(tasks) < 2:
        raise UndefinedMetricError(f"a pilot needs at least two tasks in common, not {len(tasks)}")
    x, y = [first[t] for t in tasks], [second[t] for t in tasks]
    s_a, s_b = _pooled_variance(x), _pooled_variance(y)
    difference = np.array([i.mean() - j.mean() for i, j in zip(x, y, strict=True)])
    noise = sum(s_a / i.size + s_b / j.size for i, j in zip(x, y, strict=True)) / len(tasks)
    between = max(0.0, float(difference.var(ddof=1)) - noise)
    return Variation(task_sd=math.sqrt(between), seed_sd_a=math.sqrt(s_a), seed_sd_b=math.sqrt(s_b))


def _pooled_variance(runs: Sequence[NDArray[np.float64]]) -> float:
    repeated = [r for r in runs if r.size > 1]
    if not repeated:
        raise UndefinedMetricError(
            "no task was run twice: the variation between seeds is unknown; run a pilot with two "
            "seeds, or give the standard deviations yourself"
        )
    free = sum(r.size - 1 for r in repeated)
    return sum(float(r.var(ddof=1)) * (r.size - 1) for r in repeated) / free


def _check_power(power: float, alpha: float) -> None:
    if not 0 < alpha < power < 1:
        raise InvalidInputError(f"needs 0 < alpha < power < 1, not alpha={alpha}, power={power}")
