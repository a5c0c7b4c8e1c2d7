"""Metrics of predicted labels; `y_true` and `y_pred` have shape (n,)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import (
    InvalidInputError,
    UndefinedMetricError,
)
from agentbench_scoring.metrics.inputs import (
    BLOCK,
    Floats,
    Integers,
    Values,
    binary,
    fault,
    field,
    label_pair,
    labels,
    require_same_length,
)
from agentbench_scoring.metrics.kernels import kernels
from agentbench_scoring.metrics.spec import metric

_SHARE = (0.0, 1.0)
_DENSE = 1 << 10  # up to this many integer values, a value is its own class number


def confusion(y_true: Values, y_pred: Values) -> tuple[Integers, list[Any]]:
    """Counts of shape (K, K), rows true, columns predicted, and the K classes in order."""
    true, pred = label_pair(y_true, y_pred)
    dense = _dense_confusion(true, pred)
    if dense is not None:
        return dense
    classes, codes = np.unique(np.concatenate([true, pred]), return_inverse=True)
    k, n = len(classes), len(true)
    if k > 1 << 13:
        raise InvalidInputError(f"{k} classes make a confusion matrix too large to hold")
    joint = np.bincount(codes[:n] * k + codes[n:], minlength=k * k)
    return joint.reshape(k, k), list(classes)


def _dense_confusion(true: NDArray[Any], pred: NDArray[Any]) -> tuple[Integers, list[Any]] | None:
    """Confusion counts and classes of integers that lie close together, None of others."""
    if any(side.dtype.kind not in "iub" or side.dtype == np.uint64 for side in (true, pred)):
        return None
    for rows in (1 << 16, true.size):  # the first rows have all the labels, as a rule
        low, k = _span(true[:rows], pred[:rows])
        if k > _DENSE:
            return None
        counts = _count(true, pred, low=low, k=k)
        if counts is not None:
            seen = np.flatnonzero(counts.sum(0) + counts.sum(1))
            return counts[np.ix_(seen, seen)], [int(v) + low for v in seen]
    return None


def _span(true: NDArray[Any], pred: NDArray[Any]) -> tuple[int, int]:
    """Smallest integer of both sides, and how many integers there are up to the largest."""
    low = min(int(true.min()), int(pred.min()))
    return low, max(int(true.max()), int(pred.max())) - low + 1


def _count(true: NDArray[Any], pred: NDArray[Any], *, low: int, k: int) -> Integers | None:
    """Confusion counts (k, k) of integers in [low, low + k); None if one lies outside."""
    compiled = kernels(true.size)
    if compiled is not None:
        return compiled.confusion(true, pred, low, k)
    bits = np.uint64((k - 1).bit_length())
    width = 1 << int(bits)
    counts = np.zeros(k * width, dtype=np.int64)
    step = max(1 << 16, counts.size)
    for start in range(0, true.size, step):
        a = _above(true[start : start + step], low)
        b = _above(pred[start : start + step], low)
        if int(a.max()) >= k or int(b.max()) >= k:
            return None
        index = a << bits
        index |= b
        counts += np.bincount(index.view(np.int64), minlength=counts.size)
    return counts.reshape(k, width)[:, :k]


def _above(block: NDArray[Any], low: int) -> NDArray[np.uint64]:
    """Integers minus `low`, modulo 2^64: one below `low` becomes huge."""
    whole = block.astype(np.int64, copy=False)
    return (whole - low if low else whole).view(np.uint64)


def class_counts(y_true: Values, y_pred: Values) -> tuple[Integers, Integers, Integers, list[Any]]:
    """Per class of the union: hits, rows of the truth, rows predicted; and the classes."""
    true, pred = label_pair(y_true, y_pred)
    dense = _dense_confusion(true, pred)
    if dense is not None:
        counts, classes = dense
        return np.diag(counts), counts.sum(1), counts.sum(0), classes
    classes, codes = np.unique(np.concatenate([true, pred]), return_inverse=True)
    k, n = len(classes), len(true)
    hit = codes[:n][codes[:n] == codes[n:]]
    return (
        np.bincount(hit, minlength=k),
        np.bincount(codes[:n], minlength=k),
        np.bincount(codes[n:], minlength=k),
        list(classes),
    )


def _ratio(numerator: Values, denominator: Values) -> Floats:
    """Element-wise quotient with 0/0 = 0."""
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)


def _equal_share(y_true: Values, y_pred: Values) -> float:
    true, pred = label_pair(y_true, y_pred)
    equal = 0
    for start in range(0, true.size, BLOCK):
        block = true[start : start + BLOCK] == pred[start : start + BLOCK]
        equal += int(np.count_nonzero(block))
    return equal / true.size


def _as_declared(values: Values, dtype: str, role: Literal["y_true", "y_pred"]) -> NDArray[Any]:
    """Labels in the dtype that the task declares, exactly: no float stands in between."""
    casts = {"int": int, "str": str, "float": float, "bool": int}
    if dtype not in casts:
        raise InvalidInputError(f"dtype is one of {sorted(casts)}, not {dtype!r}")
    column = labels(values, role)
    out = np.empty(len(column), dtype=object)
    try:
        out[:] = [casts[dtype](v) for v in column.tolist()]
    except ValueError as error:
        raise fault(role, f"holds a label that is not {dtype} ({error})") from error
    return out


@metric("accuracy", higher_is_better=True, bounds=_SHARE, truth="label", prediction="label")
def accuracy(y_true: Values, y_pred: Values, *, dtype: str | None = None) -> float:
    """Share of rows whose label is right; with `dtype`, both sides are read as that type."""
    if dtype is not None:
        y_true = _as_declared(y_true, dtype, "y_true")
        y_pred = _as_declared(y_pred, dtype, "y_pred")
        require_same_length(y_true, y_pred)
        return sum(a == b for a, b in zip(y_true, y_pred, strict=True)) / len(y_true)
    return _equal_share(y_true, y_pred)


@metric("error_rate", higher_is_better=False, bounds=_SHARE, truth="label", prediction="label")
def error_rate(y_true: Values, y_pred: Values) -> float:
    """Share of rows whose label is wrong."""
    return 1.0 - _equal_share(y_true, y_pred)


@metric(
    "balanced_accuracy", higher_is_better=True, bounds=_SHARE, truth="label", prediction="label"
)
def balanced_accuracy(y_true: Values, y_pred: Values) -> float:
    """Mean recall over the classes of the truth."""
    hits, rows, _, _ = class_counts(y_true, y_pred)
    return float((hits[rows > 0] / rows[rows > 0]).mean())


def _binary_counts(y_true: Values, y_pred: Values) -> tuple[int, int, int]:
    """True positives, positive rows, positive predictions."""
    true, pred = binary(y_true, "y_true"), binary(y_pred, "y_pred")
    require_same_length(true, pred)
    return (
        int(np.count_nonzero(true & pred)),
        int(np.count_nonzero(true)),
        int(np.count_nonzero(pred)),
    )


@metric("fbeta", higher_is_better=True, bounds=_SHARE, truth="binary", prediction="binary")
def fbeta(y_true: Values, y_pred: Values, *, beta: float = 1.0) -> float:
    """F_β of class 1: (1 + β²) TP / ((1 + β²) TP + β² FN + FP); undefined when all are negative."""
    if not beta > 0:
        raise InvalidInputError(f"beta must be positive, not {beta}")
    hits, rows, predicted = _binary_counts(y_true, y_pred)
    if rows + predicted == 0:
        raise UndefinedMetricError("F-score: no positive row and no positive prediction")
    return (1 + beta**2) * hits / (beta**2 * rows + predicted)


@metric("f1", higher_is_better=True, bounds=_SHARE, truth="binary", prediction="binary")
def f1(y_true: Values, y_pred: Values) -> float:
    """F1 of class 1: 2 TP / (2 TP + FP + FN); undefined when all are negative."""
    return fbeta.function(y_true, y_pred, beta=1.0)


@metric("f1_macro", higher_is_better=True, bounds=_SHARE, truth="label", prediction="label")
def f1_macro(y_true: Values, y_pred: Values, *, labels: Sequence[Any] | None = None) -> float:
    """Mean F1 over `labels`, or over the union of true and predicted labels.

    A label of the list that occurs on neither side counts 0, as in scikit-learn.
    """
    hits, rows, predicted, classes = class_counts(y_true, y_pred)
    scores = dict(zip(classes, _ratio(2 * hits, rows + predicted).tolist(), strict=True))
    if labels is None:
        return float(np.mean(list(scores.values())))
    if not len(labels):
        raise InvalidInputError("labels is empty")
    return float(np.mean([scores.get(label, 0.0) for label in labels]))


@metric("f1_micro", higher_is_better=True, bounds=_SHARE, truth="label", prediction="label")
def f1_micro(y_true: Values, y_pred: Values) -> float:
    """F1 of pooled counts; with one label a row this is the accuracy."""
    return _equal_share(y_true, y_pred)


@metric("recall_macro", higher_is_better=True, bounds=_SHARE, truth="label", prediction="label")
def recall_macro(y_true: Values, y_pred: Values) -> float:
    """Mean recall over the union of true and predicted labels; a label never true counts 0."""
    hits, rows, _, _ = class_counts(y_true, y_pred)
    return float(_ratio(hits, rows).mean())


@metric(
    "weighted_component_recall",
    higher_is_better=True,
    bounds=_SHARE,
    truth={"component": "key", "label": "label"},
    prediction="label",
)
def weighted_component_recall(
    y_true: Values, y_pred: Values, *, weights: Mapping[str, float] | None = None
) -> float:
    """Weighted mean over components of the component's macro recall (Bengali.AI: 2, 1, 1).

    `weights` maps components to weights; without it grapheme_root weighs 2 and others 1.
    """
    component = np.array([str(v) for v in field(y_true, "component", "y_true")])
    true, pred = label_pair(field(y_true, "label", "y_true"), y_pred)
    require_same_length(component, true)
    names = np.unique(component).tolist()
    weight = {name: 2.0 if name == "grapheme_root" else 1.0 for name in names}
    if weights is not None:
        weight = dict(weights)
    if set(weight) != set(names):
        raise InvalidInputError(f"weights are for {sorted(weight)}, the components are {names}")
    recalls = {
        name: recall_macro.function(true[component == name], pred[component == name])
        for name in names
    }
    return sum(weight[n] * recalls[n] for n in names) / sum(weight.values())


@metric("mcc", higher_is_better=True, bounds=(-1.0, 1.0), truth="label", prediction="label")
def mcc(y_true: Values, y_pred: Values) -> float:
    """Matthews correlation (Gorodkin's R_K for several classes); 0 if one side is constant."""
    hits, rows, predicted, _ = class_counts(y_true, y_pred)
    c, t, p = float(hits.sum()), rows.astype(np.float64), predicted.astype(np.float64)
    n = t.sum()
    spread_true, spread_pred = n * n - np.dot(t, t), n * n - np.dot(p, p)
    if spread_true == 0 or spread_pred == 0:
        return 0.0
    value = (c * n - np.dot(t, p)) / np.sqrt(spread_true * spread_pred)
    return float(np.clip(value, -1.0, 1.0))


def _kappa(
    y_true: Values, y_pred: Values, *, power: int, min_rating: int | None, max_rating: int | None
) -> float:
    """1 - Σ W O / Σ W E with W = |i - j|^power over rating values."""
    true = _ratings(y_true, "y_true", min_rating, max_rating)
    pred = _ratings(y_pred, "y_pred", min_rating, max_rating)
    counts, classes = confusion(true, pred)
    value = np.array(classes, dtype=np.float64)
    weight = np.abs(value[:, None] - value[None, :]) ** power
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    chance = float((weight * expected).sum())
    if chance == 0:
        raise UndefinedMetricError("kappa: truth and prediction are one and the same constant")
    return 1.0 - float((weight * counts).sum()) / chance


def _ratings(
    values: Values, role: Literal["y_true", "y_pred"], low: int | None, high: int | None
) -> NDArray[Any]:
    rating = labels(values, role)
    if rating.dtype.kind == "f":
        if (rating != np.rint(rating)).any():
            raise fault(role, "ratings must be integers")
        rating = rating.astype(np.int64)
    if rating.dtype.kind not in "iub":
        raise fault(role, f"ratings must be integers, not {rating.dtype}")
    if rating.size and low is not None and int(rating.min()) < low:
        raise fault(role, f"rating {rating.min()} is below {low}")
    if rating.size and high is not None and int(rating.max()) > high:
        raise fault(role, f"rating {rating.max()} is above {high}")
    return rating


@metric(
    "quadratic_weighted_kappa",
    higher_is_better=True,
    bounds=(-1.0, 1.0),
    truth="label",
    prediction="label",
    min_classes=1,
)
def quadratic_weighted_kappa(
    y_true: Values, y_pred: Values, *, min_rating: int | None = None, max_rating: int | None = None
) -> float:
    """Cohen's kappa with weights (i - j)² of the rating values themselves.

    Ratings outside [min_rating, max_rating] are invalid. Values, not positions among the ratings
    that happen to be present, set the weights.
    """
    return _kappa(y_true, y_pred, power=2, min_rating=min_rating, max_rating=max_rating)


@metric(
    "linear_weighted_kappa",
    higher_is_better=True,
    bounds=(-1.0, 1.0),
    truth="label",
    prediction="label",
)
def linear_weighted_kappa(
    y_true: Values, y_pred: Values, *, min_rating: int | None = None, max_rating: int | None = None
) -> float:
    """Cohen's kappa with weights |i - j| of the rating values themselves."""
    return _kappa(y_true, y_pred, power=1, min_rating=min_rating, max_rating=max_rating)
