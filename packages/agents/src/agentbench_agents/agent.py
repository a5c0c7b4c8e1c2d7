"""The agent protocol: an agent drives an environment with a model and returns nothing.

The environment and the model that it is handed record what happens and enforce the budget; when
the budget is spent the next call raises `BudgetExceededError`, which an agent need not catch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from agentbench_agents.env import TaskEnv
    from agentbench_agents.models import Model


@runtime_checkable
class Agent(Protocol):
    """What works on a task.

    `run` finds the episode begun: `env.observation` is the first observation. It calls
    `env.step(action)` until `env.over`, and may stop earlier; the best submission counts.
    """

    def run(self, env: "TaskEnv", model: "Model") -> None:
        """Work on the task until the episode is over or there is nothing left to try."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyAgent:
    """A Gym-style policy as an agent."""

    act: Callable[[Mapping[str, Any]], str]

    def run(self, env: "TaskEnv", model: "Model") -> None:  # noqa: ARG002 - the protocol's
        """Step with `act(observation)` until the episode is over."""
        while not env.over:
            env.step(self.act(env.observation))


def from_policy(act: Callable[[Mapping[str, Any]], str]) -> PolicyAgent:
    """Lift a policy `act(observation) -> action text` to an agent."""
    return PolicyAgent(act)


def needs_model(agent: object) -> bool:
    """Whether an agent wants a language model (`needs_model`, True unless it says otherwise)."""
    return bool(getattr(agent, "needs_model", True))
