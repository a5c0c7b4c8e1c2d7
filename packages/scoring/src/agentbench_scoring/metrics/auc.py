"""Areas under curves of a binary truth against a real score; ties count half (mid-rank)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.metrics.inputs import (
    Floats,
    Values,
    binary,
    binary_matrix,
    field,
    matrix,
    real,
    require_same_length,
)
from agentbench_scoring.metrics.kernels import kernels
from agentbench_scoring.metrics.spec import metric

Bools = NDArray[np.bool_]


def _pair(y_true: Values, y_pred: Values, name: str) -> tuple[Bools, Floats]:
    true, score = binary(y_true, "y_true"), real(y_pred, "y_pred")
    require_same_length(true, score)
    _require_two_classes(true, name)
    return true, score


def _require_two_classes(true: Bools, name: str) -> None:
    positives = int(np.count_nonzero(true))
    if positives in (0, true.size):
        raise UndefinedMetricError(
            f"{name} needs both classes; all {true.size} rows are of class {int(positives > 0)}"
        )


def area(true: Bools, score: Floats) -> float:
    """(#{s⁺ > s⁻} + ½ #{s⁺ = s⁻}) / (P N) for booleans and finite scores, both classes present."""
    compiled = kernels(true.size)
    if compiled is not None:
        positive, negative = compiled.split(true, score)
    else:  # taking by index is faster than taking by a mask
        positive, negative = score[np.flatnonzero(true)], score[np.flatnonzero(~true)]
    positive.sort()
    negative.sort()
    count = wins_and_ties if compiled is None else compiled.wins_and_ties
    doubled = int(count(positive, negative))
    return doubled / (2 * positive.size * negative.size)


def wins_and_ties(positive: Floats, negative: Floats) -> int:
    """2 #{p > n} + #{p = n} of two sorted arrays, by a search in the longer one."""
    if positive.size > negative.size:  # pairs that are neither won nor tied are lost
        return 2 * positive.size * negative.size - wins_and_ties(negative, positive)
    below = np.searchsorted(negative, positive, side="left")
    doubled = 2 * int(below.sum())
    tied = negative[np.minimum(below, negative.size - 1)] == positive
    if tied.any():
        up_to = np.searchsorted(negative, positive[tied], side="right")
        doubled += int(up_to.sum()) - int(below[tied].sum())
    return doubled


@metric(
    "roc_auc",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    truth="binary",
    prediction="score",
    min_classes=2,
)
def roc_auc(y_true: Values, y_pred: Values) -> float:
    """Area under the ROC curve; any real score, ties mid-rank, one class is undefined."""
    return area(*_pair(y_true, y_pred, "roc_auc"))


@metric(
    "roc_auc_columns",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    truth="binary_matrix",
    prediction="matrix",
    min_classes=2,
)
def roc_auc_columns(y_true: Values, y_pred: Values) -> float:
    """Mean over columns of the column's ROC AUC; undefined if one column has one class."""
    true, score = binary_matrix(y_true, "y_true"), matrix(y_pred, "y_pred")
    require_same_length(true, score)
    columns = range(true.shape[1])
    for column in columns:
        _require_two_classes(true[:, column], f"roc_auc_columns: column {column}")
    return float(np.mean([area(true[:, c], score[:, c]) for c in columns]))


@metric(
    "gini_normalized",
    higher_is_better=True,
    bounds=(-1.0, 1.0),
    truth="real",
    prediction="score",
    min_classes=2,
)
def gini_normalized(
    y_true: Values, y_pred: Values, *, ties: Literal["average", "order"] = "average"
) -> float:
    """Gini of the truth ordered by prediction over Gini of the perfect order.

    G = Σ cumsum(y by falling p)/Σ y - (n + 1)/2, over n. Equal predictions share the mean of
    their truth (`ties="average"`, equal to 2 AUC - 1 for a binary truth), or keep the row order
    (`ties="order"`, as Kaggle's code does). The truth must not be negative nor constant.
    """
    true, score = real(y_true, "y_true"), real(y_pred, "y_pred")
    require_same_length(true, score)
    if ties not in ("average", "order"):
        raise InvalidInputError(f"ties is 'average' or 'order', not {ties!r}")
    if true.min() < 0:
        raise InvalidInputError("gini_normalized: y_true must not be negative")
    if true.min() == true.max():
        raise UndefinedMetricError("gini_normalized: y_true is constant")
    return _gini(true, score, ties=ties) / _gini(true, true, ties="average")


def _gini(true: Floats, score: Floats, *, ties: str) -> float:
    order = np.argsort(-score, kind="stable")
    gains = true[order]
    if ties == "average":
        start = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
        size = np.diff(np.r_[start, len(score)])
        gains = np.repeat(np.add.reduceat(gains, start) / size, size)
    n = len(true)
    return (float(np.cumsum(gains).sum()) / float(true.sum()) - (n + 1) / 2) / n


def roc_curve(true: Bools, score: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates at every distinct threshold, from (0, 0) to (1, 1)."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    hits = np.cumsum(true[order])[last]
    tpr = np.r_[0.0, hits / true.sum()]
    fpr = np.r_[0.0, (last + 1 - hits) / (~true).sum()]
    return fpr, tpr


@metric(
    "weighted_auc",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    truth="binary",
    prediction="score",
    min_classes=2,
)
def weighted_auc(
    y_true: Values,
    y_pred: Values,
    *,
    tpr_thresholds: Sequence[float] = (0.0, 0.4, 1.0),
    weights: Sequence[float] = (2.0, 1.0),
) -> float:
    """ROC area in bands of the true positive rate, each with a weight, over the largest possible.

    Σ wᵢ areaᵢ / Σ wᵢ (bᵢ₊₁ - bᵢ), where areaᵢ is the part of the area between the heights bᵢ and
    bᵢ₊₁. The default bands are those of ALASKA2; the normaliser is 1.4 there.
    """
    true, score = _pair(y_true, y_pred, "weighted_auc")
    bands = np.asarray(tpr_thresholds, dtype=np.float64)
    weight = np.asarray(weights, dtype=np.float64)
    if len(bands) != len(weight) + 1 or (np.diff(bands) <= 0).any():
        raise InvalidInputError("tpr_thresholds must rise, one more of them than weights")
    if bands[0] < 0 or bands[-1] > 1 or weight.min() < 0 or not weight.any():
        raise InvalidInputError("tpr_thresholds lie in [0, 1]; weights are not negative, not all 0")
    fpr, tpr = roc_curve(true, score)
    # the area below the curve and between two heights is the area of the clipped curve
    areas = np.array([_clipped_area(fpr, tpr, lo, hi) for lo, hi in pairwise(bands.tolist())])
    return float(np.dot(weight, areas) / np.dot(weight, np.diff(bands)))


def _clipped_area(fpr: Floats, tpr: Floats, low: float, high: float) -> float:
    """∫ (clip(tpr, low, high) - low) d fpr, exactly: crossings of the band edges are inserted."""
    x0, x1, y0, y1 = fpr[:-1], fpr[1:], tpr[:-1], tpr[1:]
    rise = np.where(y1 > y0, y1 - y0, 1.0)
    # share of each segment that lies below `low` and above `high`
    below = np.clip((low - y0) / rise, 0, 1) * (y1 > y0) + (y1 <= y0) * (y0 <= low)
    above = np.clip((y1 - high) / rise, 0, 1) * (y1 > y0) + (y1 <= y0) * (y0 >= high)
    inside = np.clip(1.0 - below - above, 0, 1)
    mean_height = (np.clip(y0, low, high) + np.clip(y1, low, high)) / 2 - low
    return float(np.sum((x1 - x0) * (inside * mean_height + above * (high - low))))


@metric(
    "bias_auc",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    truth={"target": "binary", "groups": "groups"},
    prediction="score",
    min_classes=2,
)
def bias_auc(y_true: Values, y_pred: Values, *, power: float = -5.0, weight: float = 0.25) -> float:
    """Jigsaw's bias metric: w AUC + w Σ M_p(AUC over groups) of subgroup, BPSN and BNSP.

    M_p is the power mean. Subgroup: rows of the group. BPSN: background positives and subgroup
    negatives. BNSP: background negatives and subgroup positives. A row outside every group is
    background. An AUC with one class is undefined.
    """
    true, score = _pair(field(y_true, "target", "y_true"), y_pred, "bias_auc")
    groups = field(y_true, "groups", "y_true")
    if not isinstance(groups, Mapping) or not groups:
        raise InvalidInputError("y_true: groups must map each identity to its 0/1 column")
    if power == 0 or not 0 <= weight <= 1 / 3:
        raise InvalidInputError("power must not be 0, and weight must lie in [0, 1/3]")
    parts: dict[str, list[float]] = {"subgroup": [], "BPSN": [], "BNSP": []}
    for name, column in cast("Mapping[str, Any]", groups).items():
        member = binary(column, "y_true")
        require_same_length(member, true)
        rows = {
            "subgroup": member,
            "BPSN": (~member & true) | (member & ~true),
            "BNSP": (~member & ~true) | (member & true),
        }
        for part, chosen in rows.items():
            if not chosen.any():
                raise UndefinedMetricError(f"bias_auc: no rows in {part} of {name!r}")
            _require_two_classes(true[chosen], f"bias_auc: {part} of {name!r}")
            parts[part].append(area(true[chosen], score[chosen]))
    means = [_power_mean(np.array(values), power) for values in parts.values()]
    return (1 - 3 * weight) * area(true, score) + weight * sum(means)


def _power_mean(values: Floats, power: float) -> float:
    if power < 0 and values.min() == 0:
        return 0.0
    return float(np.mean(values**power) ** (1 / power))


@metric(
    "amex_metric",
    higher_is_better=True,
    bounds=(None, 1.0),
    truth="binary",
    prediction="score",
    min_classes=2,
)
def amex_metric(y_true: Values, y_pred: Values) -> float:
    """½ (weighted normalised Gini) + ½ (share of positives in the top 4 % of weight).

    Negatives weigh 20. The cut-off is int(0.04 Σ w); rows with equal scores keep their order, as
    in the original, so that ties make the value depend on the row order.
    """
    true, score = _pair(y_true, y_pred, "amex_metric")
    target = true[np.argsort(-score, kind="stable")].astype(np.float64)
    weight = np.where(target == 1, 1.0, 20.0)
    top = np.cumsum(weight) <= int(0.04 * weight.sum())
    captured = float(target[top].sum() / target.sum())
    best = np.sort(target)[::-1]
    return 0.5 * (_weighted_gini(target) / _weighted_gini(best) + captured)


def _weighted_gini(target: Floats) -> float:
    weight = np.where(target == 1, 1.0, 20.0)
    random = np.cumsum(weight / weight.sum())
    lorentz = np.cumsum(target) / target.sum()
    return float(np.dot(lorentz - random, weight))


@metric(
    "average_precision",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    truth="binary",
    prediction="score",
)
def average_precision(y_true: Values, y_pred: Values) -> float:
    """Σ (Rₙ - Rₙ₋₁) Pₙ over distinct thresholds; undefined without a positive."""
    true, score = binary(y_true, "y_true"), real(y_pred, "y_pred")
    require_same_length(true, score)
    if not true.any():
        raise UndefinedMetricError("average_precision needs a positive row")
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])
    hits = np.cumsum(true[order])[last]
    recall = hits / true.sum()
    return float(np.dot(np.diff(np.r_[0.0, recall]), hits / (last + 1)))
