"""Whether rewards agree with a quality metric, within prompts and across them.

At γ = 1 the summed reward ranks the answers to one prompt as their likelihood does (see `rewards`),
so a correlation across prompts says something that one within a prompt cannot. Both are reported,
beside those of the likelihood and of the length alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentbench_irl.rewards import TextReward

_SUMMARIES = ("sum", "mean", "min", "last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """Agreement of one score with quality.

    Attributes:
        spearman: Over all answers of all prompts.
        pearson: Over all answers of all prompts.
        spearman_within: Mean over prompts of the rank correlation among a prompt's answers; NaN
            where no prompt has two answers of different quality and score.
        pearson_within: The same of the linear correlation.
        prompts: How many prompts the two within average.
    """

    spearman: float
    pearson: float
    spearman_within: float
    pearson_within: float
    prompts: int


def reward_correlation(
    rewards: Sequence[TextReward], quality: Sequence[float], prompts: Sequence[int]
) -> Mapping[str, Correlation]:
    """Return the correlation of each way to sum up a text with its quality.

    Args:
        rewards: One per answer.
        quality: The metric of each answer; higher is better.
        prompts: Which prompt each answer belongs to.

    Returns:
        `reward_sum`, `reward_mean`, `reward_min`, `reward_last`, and the baselines `log_prob` and
        `length` (tokens).

    Raises:
        ValueError: Lengths differ.
    """
    if not len(rewards) == len(quality) == len(prompts):
        msg = f"{len(rewards)} rewards, {len(quality)} metrics and {len(prompts)} prompts"
        raise ValueError(msg)
    scores = {f"reward_{how}": [text.total(how) for text in rewards] for how in _SUMMARIES}
    scores["log_prob"] = [float(text.log_probs.sum()) for text in rewards]
    scores["length"] = [float(len(text.tokens)) for text in rewards]
    return {
        name: _correlation(np.asarray(score), np.asarray(quality, dtype=float), np.asarray(prompts))
        for name, score in scores.items()
    }


def pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the linear correlation; NaN where either does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    dx, dy = x - x.mean(), y - y.mean()
    return float((dx * dy).sum() / np.sqrt((dx * dx).sum() * (dy * dy).sum()))


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the rank correlation, ties sharing their mean rank; NaN where either is constant."""
    return pearson(_ranks(x), _ranks(y))


def _correlation(
    score: NDArray[np.float64], quality: NDArray[np.float64], prompts: NDArray[np.int64]
) -> Correlation:
    known = ~np.isnan(score) & ~np.isnan(quality)
    score, quality, prompts = score[known], quality[known], prompts[known]
    groups = [prompts == prompt for prompt in np.unique(prompts)]
    pairs = [(score[group], quality[group]) for group in groups]
    varied = [(x, y) for x, y in pairs if np.ptp(x) > 0 and np.ptp(y) > 0]
    return Correlation(
        spearman=spearman(score, quality),
        pearson=pearson(score, quality),
        spearman_within=_mean([spearman(x, y) for x, y in varied]),
        pearson_within=_mean([pearson(x, y) for x, y in varied]),
        prompts=len(varied),
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _ranks(x: NDArray[np.float64]) -> NDArray[np.float64]:
    _, which, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[which]
