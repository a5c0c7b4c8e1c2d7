"""A Gymnasium environment for machine-learning tasks, agents, trajectories and campaigns.

Importing this package registers `agentbench/<task>-v0` with Gymnasium for every task.
"""

from agentbench_agents.actions import (
    SUBMISSION_ACTIONS,
    Action,
    ActionError,
    ExecuteCode,
    GetHistory,
    RequestInfo,
    Reset,
    Submit,
    ValidateCode,
    tool_manifest,
)
from agentbench_agents.agent import Agent, from_policy
from agentbench_agents.agents import find_agent
from agentbench_agents.budget import Budget, Spend
from agentbench_agents.campaign import Campaign, Watcher, read_campaign
from agentbench_agents.env import TaskEnv
from agentbench_agents.episode import Episode, Outcome
from agentbench_agents.errors import (
    AgentParameterError,
    AgentsError,
    BudgetExceededError,
    EpisodeOverError,
    LeakError,
    RunDirectoryError,
    UnknownAgentError,
    WorkspaceError,
)
from agentbench_agents.registration import env_id, register_envs
from agentbench_agents.reward import REWARDS, Transition
from agentbench_agents.run import RunResult, RunSpec, run_one
from agentbench_agents.spaces import AnyText
from agentbench_agents.trajectory import Trajectory, read_trajectory

__all__ = [
    "REWARDS",
    "SUBMISSION_ACTIONS",
    "Action",
    "ActionError",
    "Agent",
    "AgentParameterError",
    "AgentsError",
    "AnyText",
    "Budget",
    "BudgetExceededError",
    "Campaign",
    "Episode",
    "EpisodeOverError",
    "ExecuteCode",
    "GetHistory",
    "LeakError",
    "Outcome",
    "RequestInfo",
    "Reset",
    "RunDirectoryError",
    "RunResult",
    "RunSpec",
    "Spend",
    "Submit",
    "TaskEnv",
    "Trajectory",
    "Transition",
    "UnknownAgentError",
    "ValidateCode",
    "Watcher",
    "WorkspaceError",
    "env_id",
    "find_agent",
    "from_policy",
    "read_campaign",
    "read_trajectory",
    "register_envs",
    "run_one",
    "tool_manifest",
]

register_envs()
