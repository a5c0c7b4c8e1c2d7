"""Policies and operators by name."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from agentbench_agents.search.operators import OPERATORS, Operator
from agentbench_agents.search.policies import MCTS, Evolutionary, Greedy, Policy

POLICIES: Mapping[str, type[Greedy | MCTS | Evolutionary]] = MappingProxyType(
    {"greedy": Greedy, "mcts": MCTS, "evolutionary": Evolutionary}
)


def find_policy(policy: "str | Policy", params: Mapping[str, Any] | None = None) -> Policy:
    """Make a policy from its name in `POLICIES` or from `module:attribute`.

    Raises:
        ValueError: There is no such policy, or it has no such parameter.
    """
    if not isinstance(policy, str):
        return policy
    make: Any = POLICIES[policy] if policy in POLICIES else _load("policy", policy, POLICIES)
    try:
        return make(**dict(params or {}))
    except TypeError as error:
        raise ValueError(f"policy {policy!r}: {error}") from error


def find_operator(operator: "str | Operator") -> Operator:
    """Return an operator by its name in `OPERATORS` or from `module:attribute`.

    Raises:
        ValueError: There is no such operator.
    """
    if not isinstance(operator, str):
        return operator
    return OPERATORS[operator] if operator in OPERATORS else _load("operator", operator, OPERATORS)


def _load(what: str, name: str, known: Mapping[str, Any]) -> Any:  # noqa: ANN401
    module, _, attribute = name.partition(":")
    if not attribute:
        _refuse(what, name, f"known are {', '.join(known)}, or name one as module:attribute")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        _refuse(what, name, str(error))


def _refuse(what: str, name: str, why: str) -> NoReturn:
    raise ValueError(f"unknown {what} {name!r}: {why}")
