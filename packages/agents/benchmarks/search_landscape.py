"""Compare search policies on seeded noisy landscapes, and best-by-validation with re-evaluation.

    uv run python packages/agents/benchmarks/search_landscape.py [--seeds 200] [--land nk basins]

Two families of landscapes, with nothing in them that knows of a policy:

* `nk`, Kauffman's NK model: a program is N = 12 components (features, model, ...) with 4
  alternatives each; its quality is the mean of 12 contributions, each of which depends on one
  component and K others and is drawn once, uniformly from [0, 1]. K is ruggedness: 0 has one
  summit. An improvement changes one random component.
* `basins`: a program is a point in [0, 1]^d, its quality
  1 - mean_i((x_i - o_i)^2 + 0.3 sin^2(12 (x_i - o_i))), with the summit o drawn for each seed: some
  four valleys along each axis. An improvement is a Gaussian step of sd 0.08 along every axis.

A draft is a random program; a crossover takes each component from either parent; 3 of 10 programs
are buggy, and so is 1 of 10 fixes, which else change nothing. Validation is quality plus Gaussian
noise, drawn for each program that is written (a copy is measured again), and so is re-evaluation on
the hidden split, with the same standard deviation. Policies have their published settings. Budget,
landscape and seed are the same for all.

What is reported is the true quality of the program handed in after re-evaluation of the top 5, in
standard deviations of random programs above their mean, so noise is in the same unit; averaged over
seeds; differences are paired by seed, with 95 % Student intervals. The whole grid is printed,
whatever it says.
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

BUGGY, FIX_FAILS, TOP_K = 0.3, 0.1, 5
POLICIES: dict[str, Policy] = {"greedy": Greedy(), "mcts": MCTS(), "evolutionary": Evolutionary()}
Program = tuple[float, ...]


class Landscape:
    """Quality of programs, standardised by 2000 random ones."""

    def __init__(self, seed: int) -> None:
        rng = Random(f"{seed} sample")
        sample = [self.raw(self.draft(rng)) for _ in range(2000)]
        self.mean, self.sd = fmean(sample), stdev(sample)

    def quality(self, program: Program) -> float:
        return (self.raw(program) - self.mean) / self.sd

    def raw(self, program: Program) -> float:
        raise NotImplementedError

    def draft(self, rng: Random) -> Program:
        raise NotImplementedError

    def improve(self, program: Program, rng: Random) -> Program:
        raise NotImplementedError


class NK(Landscape):
    N, ALTERNATIVES = 12, 4

    def __init__(self, seed: int, k: int) -> None:
        rng = np.random.default_rng([seed, k])
        self.places = [
            [i, *rng.choice([j for j in range(self.N) if j != i], k, replace=False)]
            for i in range(self.N)
        ]
        self.tables = [rng.random([self.ALTERNATIVES] * (k + 1)) for _ in range(self.N)]
        super().__init__(seed)

    def raw(self, program: Program) -> float:
        pairs = zip(self.tables, self.places, strict=True)
        return fmean(float(t[tuple(int(program[j]) for j in p)]) for t, p in pairs)

    def draft(self, rng: Random) -> Program:
        return tuple(rng.randrange(self.ALTERNATIVES) for _ in range(self.N))

    def improve(self, program: Program, rng: Random) -> Program:
        changed = list(program)
        place = rng.randrange(self.N)
        changed[place] = rng.choice([a for a in range(self.ALTERNATIVES) if a != program[place]])
        return tuple(changed)


class Basins(Landscape):
    def __init__(self, seed: int, d: int) -> None:
        rng = Random(f"{seed} summit {d}")
        self.summit = [rng.random() for _ in range(d)]
        super().__init__(seed)

    def raw(self, program: Program) -> float:
        away = [x - o for x, o in zip(program, self.summit, strict=True)]
        return 1 - fmean(a * a + 0.3 * math.sin(12 * a) ** 2 for a in away)

    def draft(self, rng: Random) -> Program:
        return tuple(rng.random() for _ in self.summit)

    def improve(self, program: Program, rng: Random) -> Program:
        return tuple(min(1.0, max(0.0, x + rng.gauss(0, 0.08))) for x in program)


LANDS = {"nk": (NK, "K", (0, 2, 4)), "basins": (Basins, "d", (1, 2, 4))}


def write(land: Landscape, node: Node, rng: Random) -> tuple[Program, bool]:
    """Return a program and whether it is buggy."""
    parents = [decode(parent) for parent in node.parents if parent.role]
    if node.role == "debug":
        return parents[0], rng.random() < FIX_FAILS
    if node.role == "draft":
        program = land.draft(rng)
    elif node.role == "crossover":
        program = tuple(rng.choice(pair) for pair in zip(*parents, strict=True))
    else:
        program = land.improve(parents[0], rng)
    return program, rng.random() < BUGGY


def decode(node: Node) -> Program:
    return tuple(map(float, node.outcome.code.split("\n")))


def search(policy: Policy, land: Landscape, *, noise: float, budget: int, seed: int) -> Tree:
    tree = Tree(higher_is_better=True)

    def begin() -> tuple[Node, partial[Outcome]] | None:
        if len(tree.nodes) == budget:
            return None
        rng = Random(f"{seed} {len(tree.nodes)}")
        choice = policy.choose(tree, rng)
        node = tree.open(choice.role, choice.role, choice.parents)
        return node, partial(expand, node, rng)

    def expand(node: Node, rng: Random) -> Outcome:
        program, buggy = write(land, node, rng)
        metric = None if buggy else land.quality(program) + rng.gauss(0, noise)
        return Outcome(code="\n".join(map(str, program)), metric=metric)

    run_search(tree, begin, in_flight=1, workers=1)
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
    return f"{fmean(values):+.2f} [{fmean(values) - half:+.2f}, {fmean(values) + half:+.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--land", nargs="+", choices=LANDS, default=list(LANDS))
    parser.add_argument("--noise", type=float, nargs="+", default=[0.25, 1.0])
    parser.add_argument("--budget", type=int, nargs="+", default=[30, 100, 300])
    args = parser.parse_args()
    print("| landscape | noise | budget | greedy | mcts - greedy | evolutionary - greedy |", end="")
    print(" re-evaluated - by validation: greedy | mcts | evolutionary |")
    print("|" + "---|" * 9)
    for kind in args.land:
        make, letter, values = LANDS[kind]
        for value in values:
            lands = [make(seed, value) for seed in range(args.seeds)]
            for noise in args.noise:
                for budget in args.budget:
                    row = measure(lands, noise=noise, budget=budget)
                    print(
                        f"| {kind}, {letter} = {value} | {noise} | {budget} | {row} |", flush=True
                    )


def measure(lands: list[Landscape], *, noise: float, budget: int) -> str:
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
    row = [f"{fmean(again for _, again in scores['greedy']):.2f}"]
    for name in ("mcts", "evolutionary"):
        pairs = zip(scores[name], scores["greedy"], strict=True)
        row.append(interval([ours[1] - greedy[1] for ours, greedy in pairs]))
    row += [interval([again - first for first, again in scores[name]]) for name in POLICIES]
    return " | ".join(row)


if __name__ == "__main__":
    main()
