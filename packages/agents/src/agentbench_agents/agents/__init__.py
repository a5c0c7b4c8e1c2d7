"""The agents that come with the package, and how to find others."""

import importlib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from agentbench_agents.agent import Agent
from agentbench_agents.errors import AgentParameterError, UnknownAgentError

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "aide": "agentbench_agents.agents.aide:aide",
        "baseline": "agentbench_agents.agents.baseline:Baseline",
        "black_box": "agentbench_agents.agents.black_box:BlackBoxAgent",
        "idea": "agentbench_agents.agents.idea:IdeaAgent",
        "mlab": "agentbench_agents.agents.mlab:MLABAgent",
        "mle": "agentbench_agents.agents.mle:MLEAgent",
        "one_shot": "agentbench_agents.agents.one_shot:OneShot",
        "random": "agentbench_agents.agents.random:RandomAgent",
        "react": "agentbench_agents.agents.react:React",
        "tree": "agentbench_agents.agents.tree:TreeAgent",
    }
)


def agent_classes() -> dict[str, str]:
    """Return name -> `module:attribute` of every agent, those of other packages included."""
    found = {e.name: e.value for e in entry_points(group="agentbench.agents")}
    return {**found, **BUILT_IN}


def find_agent(name: str, params: Mapping[str, Any] | None = None) -> Agent:
    """Make an agent from its name, or from `module:attribute`.

    Args:
        name: As `load_agent` takes it.
        params: Keyword arguments of the agent.

    Raises:
        UnknownAgentError: There is no such agent.
        AgentParameterError: The agent does not take these parameters.
    """
    make = load_agent(name)
    try:
        agent = make(**dict(params or {}))
    except (TypeError, ValueError) as error:
        raise AgentParameterError(f"agent {name!r}: {error}") from error
    if not isinstance(agent, Agent):
        raise UnknownAgentError(
            f"{name} made a {type(agent).__name__}, which has no run(env, model)"
        )
    return agent


def load_agent(name: str) -> Callable[..., object]:
    """Return what makes an agent.

    Args:
        name: A name in `agent_classes()`, or `module:attribute` of a class or function that
            returns an agent.

    Raises:
        UnknownAgentError: There is no such agent.
    """
    known = agent_classes()
    target = known.get(name, name)
    if ":" not in target:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
        raise UnknownAgentError(f"unknown agent {name!r}; {hint}")
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownAgentError(f"cannot load agent {name!r} from {target}: {error}") from error
