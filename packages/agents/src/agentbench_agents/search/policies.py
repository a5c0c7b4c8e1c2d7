"""Which node to expand next, and how: greedy, Monte-Carlo tree search, evolutionary.

A policy is a pure function of the tree and of a random generator made for this one choice, so that
a search is repeated by its seed however its programs were scheduled.
"""

import math
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Protocol

from agentbench_agents.search.node import Node, Role, Tree


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do, and the nodes to start from (none for a draft)."""

    role: Role
    parents: tuple[Node, ...] = ()


class Policy(Protocol):
    """Chooses the next expansion; pending nodes are in the tree."""

    def choose(self, tree: Tree, rng: Random) -> Choice:
        """Return what to try next."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy:
    """AIDE's policy (arXiv 2502.13138): `drafts` programs, then the best is improved.

    With probability `debug_prob` a random buggy leaf is fixed instead, unless it has more than
    `debug_depth` fixes behind it.
    """

    drafts: int = 5
    debug_prob: float = 0.5
    debug_depth: int = 3

    def choose(self, tree: Tree, rng: Random) -> Choice:
        """Draft, debug or improve."""
        if sum(n.role == "draft" for n in tree.nodes) < self.drafts:
            return Choice("draft")
        broken = tree.debuggable(self.debug_depth) if rng.random() < self.debug_prob else []
        if broken:
            return Choice("debug", (rng.choice(broken),))
        return Choice("improve", (tree.best,)) if tree.best else Choice("draft")


@dataclass(frozen=True, slots=True, kw_only=True)
class MCTS:
    """Monte-Carlo tree search as in AIRA (arXiv 2507.02554), without roll-outs.

    UCT(k) = q(k) + c · √(ln N / n(k)), where q is the mean fitness of k's subtree, min-max
    normalised over the whole tree (1/2 while all are equal), n and N the visits of k and of its
    parent. A pending node counts as a visit of the worst fitness. A leaf gets `children` children
    in a row; a buggy one is fixed at once, up to `debug_depth`, and stands for its fix.
    """

    c: float = 0.25
    children: int = 5
    debug_depth: int = 20

    def choose(self, tree: Tree, rng: Random) -> Choice:  # noqa: ARG002 - nothing is drawn
        """Fix what is broken, fill a node that has children, or descend to a leaf."""
        broken = tree.debuggable(self.debug_depth)
        if broken:
            return Choice("debug", (broken[0],))
        begun = (n for n in (tree.root, *tree.working) if 0 < len(n.children) < self.children)
        node = next(begun, None) or self._descend(tree)
        return Choice("draft") if node is tree.root else Choice("improve", (node,))

    def _descend(self, tree: Tree) -> Node:
        fitness = [n.fitness for n in tree.working]
        low, high = min(fitness, default=0.0), max(fitness, default=0.0)

        def uct(child: Node, parent: Node) -> float:
            n = child.visits + child.in_flight
            mean = (child.value + child.in_flight * low) / n
            q = 0.5 if high == low else (mean - low) / (high - low)
            return q + self.c * math.sqrt(math.log(parent.visits + parent.in_flight) / n)

        node = tree.root
        while alive := [k for k in node.children if k.visits]:
            above = node
            node = max(alive, key=lambda k: uct(k, above)).resolved
        return node


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolutionary:
    """Steady-state evolution with the settings of AIRA (arXiv 2507.02554), on one island.

    The first `per_generation` individuals are drafts. Later ones have a parent drawn with
    probability ∝ exp(fitness), min-max normalised over the population, and join it if they are not
    below its mean. From generation `crossover_from`, counted from 0, they have a second parent with
    probability `crossover_prob`. A buggy one is fixed at once, up to `debug_depth`.
    """

    per_generation: int = 5
    crossover_prob: float = 0.5
    crossover_from: int = 2
    debug_depth: int = 10

    def choose(self, tree: Tree, rng: Random) -> Choice:
        """Fix what is broken, draft, cross or improve."""
        broken = tree.debuggable(self.debug_depth)
        if broken:
            return Choice("debug", (broken[0],))
        generation = sum(n.role != "debug" for n in tree.nodes) // self.per_generation
        population = self.population(tree)
        if generation == 0 or not population:
            return Choice("draft")
        first = _draw(population, rng)
        others = [n for n in population if n is not first]
        if generation < self.crossover_from or not others or rng.random() >= self.crossover_prob:
            return Choice("improve", (first,))
        return Choice("crossover", (first, _draw(others, rng)))

    def population(self, tree: Tree) -> list[Node]:
        """Return who has joined: all drafts, then whoever was not below the mean at the time."""
        members: list[Node] = []
        for node in tree.working:
            drafted = not members or node.debug_chain[0].role == "draft"
            if drafted or node.fitness >= fmean(n.fitness for n in members):
                members.append(node)
        return members


def _draw(population: list[Node], rng: Random) -> Node:
    """Draw one node with probability ∝ exp of its fitness, min-max normalised."""
    fitness = [n.fitness for n in population]
    low, span = min(fitness), max(fitness) - min(fitness)
    weights = [math.exp((f - low) / span if span else 0.5) for f in fitness]
    return rng.choices(population, weights)[0]
