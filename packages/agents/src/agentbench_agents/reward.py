"""Rewards of a step, from the progress of submissions.

Progress H is in [0, 1]: the human rank on the task's leaderboard, or, for a task without one, the
part of the way from the trivial to the strong reference. H*_t is the best progress up to step t.

All of these telescope except `absolute`: their sum over an episode is a function of its end, so
that submitting the same file twice earns nothing (Ng, Harada and Russell 1999, potential-based
shaping).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agentbench_agents.errors import AgentsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """What a reward may look at.

    Attributes:
        before: H* before the step.
        after: H* after the step.
        progress: H of the submission graded in this step, or None.
        done: Whether the episode ended with this step.
        milestones_before: How many milestones were reached before the step.
        milestones_after: How many are reached after it.
    """

    before: float
    after: float
    progress: float | None = None
    done: bool = False
    milestones_before: int = 0
    milestones_after: int = 0


Reward = Callable[[Transition], float]
MILESTONES = ("code ran", "valid submission", "above the median", "medal")


def delta(step: Transition) -> float:
    """H*_t - H*_{t-1}: the sum over an episode is the best progress, at most 1."""
    return step.after - step.before


def absolute(step: Transition) -> float:
    """H of each submission, as in the MLE-Dojo paper; resubmitting is paid again."""
    return 0.0 if step.progress is None else step.progress


def terminal(step: Transition) -> float:
    """H* at the end of the episode, 0 before."""
    return step.after if step.done else 0.0


def milestone(step: Transition) -> float:
    """A quarter for each milestone reached for the first time (see `MILESTONES`)."""
    return (step.milestones_after - step.milestones_before) / len(MILESTONES)


REWARDS: Mapping[str, Reward] = MappingProxyType(
    {"delta": delta, "absolute": absolute, "terminal": terminal, "milestone": milestone}
)


def find_reward(reward: str | Reward) -> Reward:
    """Look a name up in `REWARDS`; a function is taken as it is.

    Raises:
        AgentsError: There is no reward of that name.
    """
    if not isinstance(reward, str):
        return reward
    if reward not in REWARDS:
        raise AgentsError(f"unknown reward {reward!r}; choose one of {', '.join(REWARDS)}")
    return REWARDS[reward]
