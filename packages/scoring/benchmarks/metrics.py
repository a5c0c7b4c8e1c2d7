"""Metrics against scikit-learn and scipy on the same data in one run: CPU seconds and their ratio.

uv run --no-sync python packages/scoring/benchmarks/metrics.py [--rows 10000000]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
from scipy import stats
from sklearn import metrics as sk

from agentbench_scoring import (
    Leaderboard,
    Scorer,
    SubmissionSpec,
    TargetSpec,
    get_metric,
)
from agentbench_scoring.metrics import auc, classification, ranking


def cpu_seconds(run: Callable[[], object], *, repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def row(name: str, ours: Callable[[], object], peer: Callable[[], object], target: float) -> None:
    ours()  # compiles, warms caches
    mine, theirs = cpu_seconds(ours, repeats=5), cpu_seconds(peer, repeats=2)
    print(
        f"| {name} | {mine * 1e3:.4g} | {theirs * 1e3:.4g} | {theirs / mine:.3g}x | {target:g}x |"
    )
    sys.stdout.flush()


def kernels(n: int) -> None:
    rng = np.random.default_rng(0)
    binary = rng.integers(0, 2, n)
    score, chance = rng.normal(size=n) + binary, rng.uniform(0.01, 0.99, n)
    five, other = rng.integers(0, 5, n), rng.integers(0, 5, n)
    for name, ours, peer, target in (
        (
            "AUC",
            lambda: get_metric("roc_auc")(binary, score),
            lambda: sk.roc_auc_score(binary, score),
            (10, 18),
        ),
        (
            "QWK",
            lambda: get_metric("quadratic_weighted_kappa")(five, other),
            lambda: sk.cohen_kappa_score(five, other, weights="quadratic"),
            (40, 40),
        ),
        (
            "macro-F1",
            lambda: get_metric("f1_macro")(five, other),
            lambda: sk.f1_score(five, other, average="macro"),
            (60, 60),
        ),
        (
            "MCC",
            lambda: get_metric("mcc")(five, other),
            lambda: sk.matthews_corrcoef(five, other),
            (100, 100),
        ),
    ):
        with without_compiled_kernels():
            row(f"{name}, numpy", ours, peer, target[0])
        row(f"{name}, `[fast]`", ours, peer, target[1])
    row(
        "log-loss",
        lambda: get_metric("log_loss")(binary, chance),
        lambda: sk.log_loss(binary, chance),
        60,
    )
    row(
        "accuracy",
        lambda: get_metric("accuracy")(five, other),
        lambda: sk.accuracy_score(five, other),
        40,
    )
    row(
        "Spearman",
        lambda: get_metric("spearman")(score, chance),
        lambda: stats.spearmanr(score, chance),
        3,
    )


@contextmanager
def without_compiled_kernels() -> Iterator[None]:
    """As if numba were not installed."""
    with ExitStack() as stack:
        for module in (auc, classification, ranking):
            stack.enter_context(patch.object(module, "kernels", lambda _rows: None))
        yield


def files(n: int) -> None:
    import pandas as pd

    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        answers, sent = Path(folder) / "answers.csv", Path(folder) / "submission.csv"
        truth = rng.integers(0, 2, n)
        pl.DataFrame({"id": np.arange(n), "p": truth}).write_csv(answers)
        order = rng.permutation(n)
        pl.DataFrame({"id": order, "p": rng.uniform(size=n)}).write_csv(sent)
        spec = SubmissionSpec(id_columns=("id",), targets=(TargetSpec(name="p"),), metric="roc_auc")

        def peer() -> float:
            both = pd.read_csv(answers).merge(pd.read_csv(sent), on="id")
            return sk.roc_auc_score(both["p_x"], both["p_y"])

        row(f"two CSV files to AUC, {n} rows", lambda: Scorer(spec, answers).score(sent), peer, 3)


def lists(n: int) -> None:
    rng = np.random.default_rng(2)
    names = np.array([f"{k:010d}" for k in range(1000)])
    distinct = rng.integers(0, 1000, (n, 1)) + rng.integers(1, 300, (n, 3)).cumsum(axis=1)
    true = [" ".join(r) for r in names[distinct % 1000]]
    pred = [" ".join(r) for r in names[rng.integers(0, 1000, (n, 12))]]

    def of_row(actual: list[str], predicted: list[str]) -> float:
        hits, score = 0.0, 0.0
        for i, p in enumerate(predicted[:12]):
            if p in actual and p not in predicted[:i]:
                hits += 1
                score += hits / (i + 1)
        return score / min(len(actual), 12)

    def plain() -> float:
        return sum(of_row(a.split(), b.split()) for a, b in zip(true, pred, strict=True)) / n

    def of_lists() -> float:
        """As graders call it: both columns are parted, then scored."""
        both = [[text.split() for text in column] for column in (true, pred)]
        return float(np.mean([of_row(a, b) for a, b in zip(*both, strict=True)]))

    def ours() -> float:
        return get_metric("map_at_k")(true, pred, k=12)

    assert abs(ours() - plain()) < 1e-12
    for peer, words in ((plain, "row by row"), (of_lists, "lists first")):
        with without_compiled_kernels():
            row(f"MAP@12, 100 k rows of text, loop {words}, numpy", ours, peer, 20)
        row(f"MAP@12, 100 k rows of text, loop {words}, `[fast]`", ours, peer, 20)


def masks() -> None:
    rng = np.random.default_rng(3)
    side = 12000

    def code() -> str:
        starts = np.sort(rng.choice(side * side // 100, 8000, replace=False)) * 100 + 1
        return " ".join(f"{s} {k}" for s, k in zip(starts, rng.integers(1, 99, 8000), strict=True))

    true, pred = [code()], [code()]

    def decode(text: str) -> np.ndarray:
        out = np.zeros(side * side, dtype=np.uint8)
        numbers = np.array(text.split(), dtype=np.int64)
        for start, length in zip(numbers[::2] - 1, numbers[1::2], strict=True):
            out[start : start + length] = 1
        return out

    def peer() -> float:
        a, b = decode(true[0]), decode(pred[0])
        return 2 * float((a * b).sum()) / float(a.sum() + b.sum())

    size = {"height": side, "width": side}
    row("RLE Dice, 12000² pixels", lambda: get_metric("rle_dice")(true, pred, **size), peer, 1000)


def board() -> None:
    teams = Leaderboard(np.random.default_rng(4).normal(size=4000), higher_is_better=True)
    used = cpu_seconds(lambda: [teams.position(0.5) for _ in range(10_000)], repeats=3) / 10_000
    print(f"\nposition on a board of 4000: {used * 1e6:.2f} us")
    for code in (
        "import agentbench_scoring",
        "from agentbench_scoring import get_metric",
        "from agentbench_scoring import score_submission",
    ):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"python -c '{code}': {spent:.2f} s CPU")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    print(f"{rows} rows; CPU milliseconds\n")
    print("| | ours | peer | ratio | target |\n|---|---|---|---|---|")
    kernels(rows)
    files(1_000_000)
    lists(100_000)
    masks()
    board()


if __name__ == "__main__":
    main()
