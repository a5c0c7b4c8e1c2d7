"""The search tree: one node class, changed by `Tree.open` and `Tree.commit` alone.

A node is opened when its expansion is chosen and committed, in the order of ids, when its program
has been run; between the two it is pending, and its path to the root bears a virtual loss.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from agentbench_agents.search.rewrite import is_rewritten

Role = Literal["draft", "debug", "improve", "crossover", "ensemble"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A plan in words, a program (empty: none could be read), what running it told, its metric."""

    plan: str = ""
    code: str = ""
    output: str = ""
    metric: float | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """One program, where it comes from, and what is known of it."""

    higher_is_better: bool  # direction of the task's metric, never a model's opinion
    id: int = 0  # 1, 2, … in the order in which expansions were chosen; 0 for the root, no program
    role: Role | None = None  # what kind of step made it; None for the root
    operator: str = ""
    parents: "tuple[Node, ...]" = field(default=(), repr=False)  # it hangs below the first
    outcome: Outcome = Outcome()
    pending: bool = False
    rewrites: "Node | None" = None  # what it was to fix, if it is another program instead
    children: "list[Node]" = field(default_factory=list["Node"], repr=False)
    visits: int = 0  # working nodes in its subtree, itself included
    value: float = 0.0  # the sum of their fitness
    in_flight: int = 0  # pending nodes in its subtree: the virtual loss

    @property
    def metric(self) -> float | None:
        """Validation metric; None unless it is a finite number (an integer is one, too)."""
        known = self.outcome.metric is not None and math.isfinite(self.outcome.metric)
        return self.outcome.metric if known else None

    @property
    def fitness(self) -> float:
        """The metric with the sign that makes higher better; minus infinity without one."""
        signed = self.metric if self.higher_is_better or self.metric is None else -self.metric
        return -math.inf if signed is None else signed

    @property
    def working(self) -> bool:
        """Whether it was run and has a metric."""
        return self.metric is not None

    @property
    def buggy(self) -> bool:
        """Whether it was tried and failed."""
        return self.role is not None and not self.pending and not self.working

    @property
    def path(self) -> "list[Node]":
        """From this node to the root, by first parents."""
        found: list[Node] = [self]
        while found[-1].parents:
            found.append(found[-1].parents[0])
        return found

    @property
    def debug_chain(self) -> "list[Node]":
        """From the node that had the idea, through its fixes, to this one."""
        return [*(self.parents[0].debug_chain if self.role == "debug" else ()), self]

    @property
    def resolved(self) -> "Node":
        """The end of the chain of fixes that begins here: itself, if it needed none."""
        return self.children[-1].resolved if self.buggy and self.children else self


class Tree:
    """Every node of a search, below a root that is no program."""

    def __init__(self, *, higher_is_better: bool) -> None:
        self.root = Node(higher_is_better=higher_is_better)
        self.nodes: list[Node] = []

    @property
    def working(self) -> list[Node]:
        """Nodes with a metric, by id."""
        return [n for n in self.nodes if n.working]

    @property
    def best(self) -> Node | None:
        """The working node with the best metric, the oldest of equals."""
        return max(self.working, key=lambda n: n.fitness, default=None)

    def debuggable(self, depth: int) -> list[Node]:
        """Buggy leaves with a program and at most `depth` fixes in a row behind them, as AIDE."""
        given_up = [n.rewrites for n in self.nodes]
        leaves = (n for n in self.nodes if n.buggy and not n.children and n not in given_up)
        return [n for n in leaves if n.outcome.code and len(n.debug_chain) <= depth + 1]

    def open(self, role: Role, operator: str, parents: tuple[Node, ...] = ()) -> Node:
        """Add a pending node below its first parent, or below the root."""
        node = Node(higher_is_better=self.root.higher_is_better, id=len(self.nodes) + 1)
        node.role, node.operator, node.pending = role, operator, True
        node.parents = parents or (self.root,)
        self.nodes.append(node)
        node.parents[0].children.append(node)
        for above in node.path:
            above.in_flight += 1
        return node

    def commit(self, node: Node, outcome: Outcome) -> None:
        """Say what a pending node came to, and back its fitness up to the root.

        A fix that is another program becomes a draft of its own: an idea that was not tried gets
        neither credit nor memory. What it was to fix is given up.
        """
        for above in node.path:
            above.in_flight -= 1
        node.outcome, node.pending = outcome, False
        above = node.parents[0]
        if node.role == "debug" and is_rewritten(above.outcome.code, outcome.code):
            above.children.remove(node)
            node.role, node.parents, node.rewrites = "draft", (self.root,), above
            self.root.children.append(node)
        for above in node.path if node.working else ():
            above.visits += 1
            above.value += node.fitness
