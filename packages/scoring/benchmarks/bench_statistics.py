"""Time of the statistics, beside the plain way of doing the same; CPU seconds, best of five.

Run from the root: uv run python packages/scoring/benchmarks/bench_statistics.py
"""

import math
import time
from collections.abc import Callable

import numpy as np

from agentbench_scoring.aggregates import aggregate
from agentbench_scoring.bootstrap import suite_weights, weighted_iqm
from agentbench_scoring.profile import score_distribution
from agentbench_scoring.ratings import battles_to_wins, clustered_bradley_terry
from agentbench_scoring.report_files import write_report
from agentbench_scoring.results import read_results

AGENTS, TASKS, SEEDS = 8, 75, 3


def cpu_seconds(work: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """Best CPU and best wall seconds."""
    best_cpu = best_wall = math.inf
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        best_cpu = min(best_cpu, time.process_time() - cpu)
        best_wall = min(best_wall, time.perf_counter() - wall)
    return best_cpu, best_wall


def line(name: str, ours: Callable[[], object], peer: Callable[[], object] | None = None) -> None:
    cpu, wall = cpu_seconds(ours)
    text = f"{name:58s} cpu {cpu:8.4f} s  wall {wall:8.4f} s"
    if peer is not None:
        other, _ = cpu_seconds(peer, 1)
        text += f"  peer cpu {other:8.4f} s  ratio {other / cpu:7.1f}"
    print(text)


def scores(rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    skill = np.linspace(-0.6, 0.6, AGENTS)
    effect = rng.normal(size=(AGENTS, TASKS))
    return {
        f"agent-{i}": [skill[i] + effect[i, t] + rng.normal(size=SEEDS) for t in range(TASKS)]
        for i in range(AGENTS)
    }


def logistic_rounds(wins: np.ndarray, rounds: int) -> None:
    """The usual way: one logistic regression per resample."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    pairs = [(i, j) for i in range(AGENTS) for j in range(AGENTS) if i != j]
    design = np.zeros((len(pairs), AGENTS))
    for row, (i, j) in enumerate(pairs):
        design[row, [i, j]] = 1, -1
    x = np.vstack([design, design])
    y = np.r_[np.ones(len(pairs)), np.zeros(len(pairs))]
    for _ in range(rounds):
        total = wins[rng.integers(TASKS, size=TASKS)].sum(axis=0)
        weight = np.array([total[i, j] for i, j in pairs] + [total[j, i] for i, j in pairs])
        LogisticRegression(C=1e6, fit_intercept=False, tol=1e-8).fit(x, y, sample_weight=weight)


def loop_iqm(values: np.ndarray, rounds: int) -> None:
    from scipy.stats import trim_mean

    rng = np.random.default_rng(0)
    for _ in range(rounds):
        draw = rng.integers(SEEDS, size=values.shape)
        trim_mean(np.take_along_axis(values, draw, axis=0), 0.25, axis=None)


def loop_profile(values: np.ndarray, taus: np.ndarray) -> None:
    for tau in taus:
        (values > tau).mean()


def table(rng: np.random.Generator) -> list[dict[str, object]]:
    return [
        {
            "run_id": f"{a}-{t}-{s}",
            "task": f"task-{t}",
            "family": f"family-{t // 3}",
            "agent": f"agent-{a}",
            "seed": s,
            "status": "scored",
            "human_rank": float(rng.random()),
            "steps": int(rng.integers(1, 60)),
            "cost_usd": float(rng.random()),
        }
        for a in range(AGENTS)
        for t in range(TASKS)
        for s in range(SEEDS)
    ]


def main() -> None:
    import tempfile

    rng = np.random.default_rng(0)
    runs = scores(rng)
    agents, wins = battles_to_wins(runs)
    line(
        "Bradley-Terry, 1000 clustered rounds, 8 agents x 75 tasks",
        lambda: clustered_bradley_terry(wins, agents, range(TASKS), rounds=1000),
        lambda: logistic_rounds(wins, 1000),
    )
    line("battles of all runs", lambda: battles_to_wins(runs))
    values = rng.random((SEEDS, TASKS))
    tasks = np.tile(np.arange(TASKS), SEEDS).tolist()

    def our_iqm() -> object:
        weights = suite_weights(tasks, 2000, np.random.default_rng(0))
        assert weights is not None
        return weighted_iqm(values.ravel(), weights)

    line("IQM, 2000 stratified rounds, 3 x 75", our_iqm, lambda: loop_iqm(values, 2000))
    taus = np.linspace(0, 1, 101)
    line("score distribution, 101 thresholds", lambda: score_distribution({"a": values}, taus))
    rows = table(rng)
    results = read_results(rows)
    line("read 1800 rows", lambda: read_results(rows))
    line("aggregate 1800 rows, both intervals everywhere", lambda: aggregate(results))
    with tempfile.TemporaryDirectory() as folder:
        line("write_report, four formats", lambda: write_report(results, folder))


if __name__ == "__main__":
    main()
