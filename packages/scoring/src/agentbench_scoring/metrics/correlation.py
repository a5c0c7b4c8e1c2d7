"""Correlations; a constant side is undefined, equal values share the mean rank."""

import math

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import (
    InvalidInputError,
    InvalidSubmissionError,
    UndefinedMetricError,
)
from agentbench_scoring.metrics.inputs import (
    BLOCK,
    Floats,
    Values,
    lists,
    matrix,
    real,
    require_same_length,
    tokens,
)
from agentbench_scoring.metrics.ordering import argsort, midranks, ranks
from agentbench_scoring.metrics.spec import metric

_BOUNDS = (-1.0, 1.0)


def _correlation(true: Floats, pred: Floats, name: str) -> float:
    if true.size < 2:
        raise UndefinedMetricError(f"{name} needs two rows or more")
    for side, values in (("y_true", true), ("y_pred", pred)):
        if values.min() == values.max():
            raise UndefinedMetricError(f"{name}: {side} is constant")
    # scaling by the largest value keeps squares of huge or tiny numbers finite
    a = true / np.abs(true).max()
    b = pred / np.abs(pred).max()
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt(np.dot(a, a)) * np.sqrt(np.dot(b, b)))
    if spread == 0:
        raise UndefinedMetricError(f"{name}: a side is constant to rounding")
    return float(np.clip(np.dot(a, b) / spread, -1.0, 1.0))


def _rank_correlation(true: Floats, pred: Floats, name: str) -> float:
    """Pearson of mid-ranks; their mean is (n + 1)/2 with and without ties."""
    n = true.size
    if n < 2:
        raise UndefinedMetricError(f"{name} needs two rows or more")
    first = ranks(true)
    order, new = argsort(pred)
    second = midranks(new)
    middle = (n + 1) / 2
    xx = yy = xy = 0.0
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        x, y = first[order[block]] - middle, second[block] - middle
        # pairwise sums; BLAS would wake its threads for so short a block
        xx += float(np.square(x).sum())
        yy += float(np.square(y).sum())
        xy += float(np.multiply(x, y, out=x).sum())
    for side, spread in (("y_true", xx), ("y_pred", yy)):
        if spread == 0:
            raise UndefinedMetricError(f"{name}: {side} is constant")
    return min(1.0, max(-1.0, xy / math.sqrt(xx) / math.sqrt(yy)))


def _columns(y_true: Values, y_pred: Values) -> tuple[Floats, Floats]:
    true, pred = real(y_true, "y_true"), real(y_pred, "y_pred")
    require_same_length(true, pred)
    return true, pred


def _tables(y_true: Values, y_pred: Values) -> tuple[Floats, Floats]:
    true, pred = matrix(y_true, "y_true"), matrix(y_pred, "y_pred")
    require_same_length(true, pred)
    return true, pred


@metric(
    "pearson", higher_is_better=True, bounds=_BOUNDS, truth="real", prediction="real", min_classes=2
)
def pearson(y_true: Values, y_pred: Values) -> float:
    """Linear correlation."""
    return _correlation(*_columns(y_true, y_pred), "pearson")


@metric(
    "spearman",
    higher_is_better=True,
    bounds=_BOUNDS,
    truth="real",
    prediction="real",
    min_classes=2,
)
def spearman(y_true: Values, y_pred: Values) -> float:
    """Rank correlation: Pearson of mid-ranks."""
    true, pred = _columns(y_true, y_pred)
    return _rank_correlation(true, pred, "spearman")


@metric(
    "spearman_columns",
    higher_is_better=True,
    bounds=_BOUNDS,
    truth="matrix",
    prediction="matrix",
    min_classes=2,
)
def spearman_columns(y_true: Values, y_pred: Values) -> float:
    """Mean over columns of the rank correlation."""
    true, pred = _tables(y_true, y_pred)
    return _mean_spearman(true.T, pred.T, "column")


@metric(
    "spearman_rows",
    higher_is_better=True,
    bounds=_BOUNDS,
    truth="integers",
    prediction="integers",
    min_classes=2,
)
def spearman_rows(y_true: Values, y_pred: Values) -> float:
    """Mean over rows of the rank correlation; rows may differ in length from each other."""
    true, pred = lists(y_true, "y_true"), lists(y_pred, "y_pred")
    require_same_length(true, pred)
    rows = [(real(a, "y_true"), real(b, "y_pred")) for a, b in zip(true, pred, strict=True)]
    for row, (a, b) in enumerate(rows):
        if len(a) != len(b):
            raise InvalidSubmissionError(f"y_pred: row {row} has {len(b)} values, not {len(a)}")
    return float(
        np.mean([_rank_correlation(a, b, f"spearman: row {i}") for i, (a, b) in enumerate(rows)])
    )


def _mean_spearman(true: Floats, pred: Floats, what: str) -> float:
    values = [
        _rank_correlation(a, b, f"spearman: {what} {i}")
        for i, (a, b) in enumerate(zip(true, pred, strict=True))
    ]
    return float(np.mean(values))


@metric(
    "kendall_tau_b",
    higher_is_better=True,
    bounds=_BOUNDS,
    truth="real",
    prediction="real",
    min_classes=2,
)
def kendall_tau_b(y_true: Values, y_pred: Values) -> float:
    """(C - D)/√((n₀ - n₁)(n₀ - n₂)) over pairs, n₁ and n₂ pairs tied on either side."""
    true, pred = _columns(y_true, y_pred)
    for side, values in (("y_true", true), ("y_pred", pred)):
        if values.min() == values.max():
            raise UndefinedMetricError(f"kendall_tau_b: {side} is constant")
    order = np.lexsort((pred, true))
    a, b = true[order], pred[order]
    pairs = len(a) * (len(a) - 1) // 2
    tied_a, tied_b = _tied_pairs(a), _tied_pairs(np.sort(b))
    both = np.rec.fromarrays([a, b])
    tied_both = _run_pairs(np.flatnonzero(np.r_[True, both[1:] != both[:-1]]), len(a))
    discordant = inversions(np.unique(b, return_inverse=True)[1])
    concordant = pairs - tied_a - tied_b + tied_both - discordant
    scale = np.sqrt(float(pairs - tied_a)) * np.sqrt(float(pairs - tied_b))
    return float(np.clip((concordant - discordant) / scale, -1.0, 1.0))


def _run_pairs(start: NDArray[np.intp], n: int) -> int:
    size = np.diff(np.r_[start, n])
    return int((size * (size - 1) // 2).sum())


def _tied_pairs(ordered: Floats) -> int:
    return _run_pairs(np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]), len(ordered))


def inversions(values: NDArray[np.intp]) -> int:
    """Pairs i < j with values[i] > values[j], by bottom-up merge sort; O(n log² n) in numpy."""
    n = len(values)
    array = values.astype(np.int64)
    count, width = 0, 1
    while width < n:
        block = np.arange(n) // (2 * width)
        right = (np.arange(n) // width) % 2 == 1
        # within a block, left elements greater than each right element
        span = int(array.max()) + 1
        key = block * span + array
        left_keys, right_keys = key[~right], key[right]
        ends = np.searchsorted(block[~right], block[right], side="right")
        count += int((ends - np.searchsorted(left_keys, right_keys, side="right")).sum())
        array = array[np.argsort(key, kind="stable")]
        width *= 2
    return count


@metric(
    "kendall_tau_pooled",
    higher_is_better=True,
    bounds=_BOUNDS,
    truth="tokens",
    prediction="tokens",
)
def kendall_tau_pooled(y_true: Values, y_pred: Values) -> float:
    """1 - 4 Σ inversions / Σ n(n - 1) over all orderings (AI4Code).

    Each predicted row must be a permutation of the true row: no repeat, nothing missing.
    """
    true, pred = tokens(y_true, "y_true"), tokens(y_pred, "y_pred")
    require_same_length(true, pred)
    swaps, pairs = 0, 0
    for row, (a, b) in enumerate(zip(true, pred, strict=True)):
        place = {item: i for i, item in enumerate(a)}
        if len(place) != len(a):
            raise InvalidInputError(f"y_true: row {row} repeats an item")
        if len(a) != len(b) or set(b) != place.keys():
            raise InvalidSubmissionError(f"y_pred: row {row} is not a permutation of the items")
        swaps += inversions(np.array([place[item] for item in b], dtype=np.intp))
        pairs += len(a) * (len(a) - 1)
    if pairs == 0:
        raise UndefinedMetricError("kendall_tau_pooled needs a row of two items or more")
    return 1 - 4 * swaps / pairs
