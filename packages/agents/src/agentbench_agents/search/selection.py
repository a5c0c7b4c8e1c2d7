"""Which program to hand in: the best of the top k when they are run again on a hidden split.

The best of many noisy measurements is likely a lucky one; a second measurement, which the search
has never seen, is not biased by having been searched over (arXiv 2603.26499).
"""

from collections.abc import Mapping

from agentbench_agents.search.node import Node, Tree


def top(tree: Tree, k: int) -> list[Node]:
    """Return the k best working nodes by validation metric; of equal programs the first."""
    distinct: dict[str, Node] = {}
    for node in sorted(tree.working, key=lambda n: (-n.fitness, n.id)):
        distinct.setdefault(node.outcome.code, node)
    return list(distinct.values())[:k]


def reorder(ranked: list[Node], metrics: Mapping[int, float]) -> list[Node]:
    """Order candidates by a second measurement (node id -> metric); those without one come last."""
    known = [n for n in ranked if n.id in metrics]
    known.sort(key=lambda n: -metrics[n.id] if n.higher_is_better else metrics[n.id])
    return known + [n for n in ranked if n.id not in metrics]
