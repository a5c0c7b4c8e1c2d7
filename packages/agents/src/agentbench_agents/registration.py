"""Gymnasium ids: `gymnasium.make("agentbench/<task>-v0")` for every task of the catalogue."""

import gymnasium

from agentbench_tasks import research_names, task_names

NAMESPACE = "agentbench"


def env_id(task: str) -> str:
    """Return the Gymnasium id of a task."""
    return f"{NAMESPACE}/{task}-v0"


def register_envs() -> None:
    """Register every task of the catalogue; a second call changes nothing."""
    for name in (*task_names(), *research_names()):
        if env_id(name) not in gymnasium.registry:
            gymnasium.register(  # pyright: ignore[reportUnknownMemberType]
                env_id(name), entry_point="agentbench_agents.env:TaskEnv", kwargs={"task": name}
            )
