"""Compare search policies on a seeded noisy landscape, and best-by-validation with re-evaluation.

    uv run python packages/agents/benchmarks/search_landscape.py [--seeds 200] [--quick]

The landscape is Kauffman's NK model: a program has N = 12 components (features, model, ...) with 4
alternatives each; its quality is the mean of N contributions, each of which depends on one
component and K others and is drawn once, uniformly from [0, 1]. K is ruggedness: 0 has one summit,
11 is noise. A draft is a random program; an improvement changes one random component; a crossover
takes each component from either parent; 3 of 10 programs are buggy, and so is 1 of 10 fixes, which
else change nothing. Validation is quality plus Gaussian noise, new for each program that is written
(so an identical copy is measured again), and so is re-evaluation on the hidden split, with the same
standard deviation. Nothing else distinguishes policies: budget, landscape and seed are the same.

What is reported is the true quality of the program handed in, in standard deviations of random
programs above their mean, averaged over seeds; differences are paired by seed, with 95 % Student
intervals. The whole grid is printed, whatever it says.
"""

import argparse
import math
from functools import partial
from random import Random
from statistics import fmean, stdev

import numpy as np

from agentbench_agents.search import (
    MCTS,
    Evolutionary,
    Greedy,
    Node,
    Outcome,
    Policy,
    Tree,
    reorder,
    run_search,
    top,
)

N, ALTERNATIVES = 12, 4
BUGGY, FIX_FAILS, TOP_K = 0.3, 0.1, 5
POLICIES: dict[str, Policy] = {"greedy": Greedy(), "mcts": MCTS(), "evolutionary": Evolutionary()}
Program = tuple[int, ...]


class Landscape:
    """An NK landscape, standardised by 2000 random programs."""

    def __init__(self, seed: int, k: int) -> None:
        rng = np.random.default_rng([seed, k])
        self.neighbours = [
            [i, *rng.choice([j for j in range(N) if j != i], k, replace=False)] for i in range(N)
        ]
        self.tables = rng.random((N, *([ALTERNATIVES] * (k + 1)))) if k <= 6 else None
        random = Random(seed)
        sample = [self._raw(draft(random)) for _ in range(2000)]
        self.mean, self.sd = fmean(sample), stdev(sample)

    def _raw(self, program: Program) -> float:
        return fmean(
            float(self.tables[i][tuple(program[j] for j in self.neighbours[i])]) for i in range(N)
        )

    def quality(self, program: Program) -> float:
        return (self._raw(program) - self.mean) / self.sd


def draft(rng: Random) -> Program:
    return tuple(rng.randrange(ALTERNATIVES) for _ in range(N))


def write(role: str, parents: tuple[Node, ...], rng: Random) -> tuple[Program, bool]:
    """Return a program and whether it is buggy."""
    if role == "draft":
        return draft(rng), rng.random() < BUGGY
    first = decode(parents[0])
    if role == "debug":
        return first, rng.random() < FIX_FAILS
    if role == "crossover":
        second = decode(parents[1])
        return tuple(rng.choice(pair) for pair in zip(first, second, strict=True)), (
            rng.random() < BUGGY
        )
    changed = list(first)
    place = rng.randrange(N)
    changed[place] = rng.choice([a for a in range(ALTERNATIVES) if a != first[place]])
    return tuple(changed), rng.random() < BUGGY


def decode(node: Node) -> Program:
    return tuple(map(int, node.outcome.code.split("\n")))


def search(
    policy: Policy, land: Landscape, *, noise: float, budget: int, seed: int, in_flight: int = 1
) -> Tree:
    tree = Tree(higher_is_better=True)

    def begin() -> tuple[Node, partial[Outcome]] | None:
        index = len(tree.nodes) + 1
        if index > budget:
            return None
        choice = policy.choose(tree, Random(f"{seed} {index} choose"))
        node = tree.open(choice.role, choice.role, choice.parents)
        return node, partial(expand, choice.role, choice.parents, Random(f"{seed} {index} work"))

    def expand(role: str, parents: tuple[Node, ...], rng: Random) -> Outcome:
        program, buggy = write(role, parents, rng)
        metric = None if buggy else land.quality(program) + rng.gauss(0, noise)
        return Outcome(code="\n".join(map(str, program)), metric=metric)

    run_search(tree, begin, in_flight=in_flight, workers=1)
    return tree


def handed_in(tree: Tree, land: Landscape, *, noise: float, seed: int) -> tuple[float, float]:
    """Return true quality: best by validation, best of the top k by another measurement."""
    ranked = top(tree, TOP_K)
    rng = Random(f"{seed} select")
    again = {n.id: land.quality(decode(n)) + rng.gauss(0, noise) for n in ranked}
    return land.quality(decode(ranked[0])), land.quality(decode(reorder(ranked, again)[0]))


def interval(values: list[float]) -> str:
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return f"{fmean(values):+.3f} [{fmean(values) - half:+.3f}, {fmean(values) + half:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--k", type=int, nargs="+", default=[0, 2, 4])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    parser.add_argument("--budget", type=int, nargs="+", default=[30, 100, 300])
    args = parser.parse_args()
    print("| K | noise | budget | greedy | mcts - greedy | evolutionary - greedy |", end=" ")
    print("re-evaluated - by validation: greedy | mcts | evolutionary |")
    print("|" + "---|" * 9)
    for k in args.k:
        lands = [Landscape(seed, k) for seed in range(args.seeds)]
        for noise in args.noise:
            for budget in args.budget:
                scores = {
                    name: [
                        handed_in(
                            search(policy, land, noise=noise, budget=budget, seed=seed),
                            land,
                            noise=noise,
                            seed=seed,
                        )
                        for seed, land in enumerate(lands)
                    ]
                    for name, policy in POLICIES.items()
                }
                row = [k, noise, budget, f"{fmean(s[1] for s in scores['greedy']):.3f}"]
                row += [
                    interval(
                        [a[1] - b[1] for a, b in zip(scores[n], scores["greedy"], strict=True)]
                    )
                    for n in ("mcts", "evolutionary")
                ]
                row += [interval([s[1] - s[0] for s in scores[n]]) for n in POLICIES]
                print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
