"""Search over programs: a tree, policies that choose what to try next, operators that write it."""

from agentbench_agents.search.answer import Answer, AnswerError
from agentbench_agents.search.node import Node, Outcome, Role, Tree
from agentbench_agents.search.operators import (
    OPERATORS,
    Desk,
    Expansion,
    Operator,
    PromptOperator,
)
from agentbench_agents.search.policies import MCTS, Choice, Evolutionary, Greedy, Policy
from agentbench_agents.search.registry import POLICIES, find_operator, find_policy
from agentbench_agents.search.selection import reorder, top
from agentbench_agents.search.steady_state import run_search

__all__ = [
    "MCTS",
    "OPERATORS",
    "POLICIES",
    "Answer",
    "AnswerError",
    "Choice",
    "Desk",
    "Evolutionary",
    "Expansion",
    "Greedy",
    "Node",
    "Operator",
    "Outcome",
    "Policy",
    "PromptOperator",
    "Role",
    "Tree",
    "find_operator",
    "find_policy",
    "reorder",
    "run_search",
    "top",
]
