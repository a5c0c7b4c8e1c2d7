"""Losses of predicted probabilities and distributions."""

import math
from collections.abc import Sequence
from typing import Any, Literal

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
    binary,
    binary_integers,
    binary_matrix,
    fault,
    field,
    matrix,
    probability,
    real,
    require_range,
    require_same_length,
    unchecked,
)
from agentbench_scoring.metrics.inputs import (
    labels as read_labels,
)
from agentbench_scoring.metrics.spec import metric

_LOSS = (0.0, None)
Eps = float | Literal["auto"]


def _epsilon(eps: Eps) -> float:
    """1e-15 is Kaggle's; "auto" is the float64 machine epsilon, as in scikit-learn."""
    if eps == "auto":
        return float(np.finfo(np.float64).eps)
    if isinstance(eps, str) or not 0 < eps < 0.5:
        raise InvalidInputError(f"eps is a number in (0, 0.5) or 'auto', not {eps!r}")
    return float(eps)


def _binary_pair(y_true: Values, y_pred: Values) -> tuple[NDArray[np.bool_], Floats]:
    true, pred = binary(y_true, "y_true"), probability(y_pred, "y_pred")
    require_same_length(true, pred)
    return true, pred


_ONE, _ONE_INTEGER = np.float64(1.0).view(np.int64), np.int64(1)
_FLOOR = 1e-16


def _log_likelihood(chances: Floats, eps: float) -> float:
    """Σ ln clip(chance, eps, 1 - eps)."""
    clipped = np.clip(chances, eps, 1 - eps)
    return _log_product(clipped) if eps >= _FLOOR else float(np.log(clipped).sum())


def _log_product(factors: Floats) -> float:
    """Σ ln |factor| of magnitudes of at least 1e-16: one logarithm for a product of 16.

    Such a product stays above 1e-256, far from underflow.
    """
    whole = factors.size - factors.size % 16
    products = np.multiply.reduce(factors[:whole].reshape(16, -1), axis=0)
    return float(np.log(np.abs(products)).sum() + np.log(np.abs(factors[whole:])).sum())


@metric("log_loss", higher_is_better=False, bounds=_LOSS, truth="binary", prediction="probability")
def log_loss(y_true: Values, y_pred: Values, *, eps: Eps = 1e-15) -> float:
    """Binary cross-entropy, -mean ln clip(p of the true class, eps, 1 - eps).

    `eps` is Kaggle's 1e-15; "auto" is the float64 epsilon. One class is enough.
    """
    clip = _epsilon(eps)
    true, pred = binary_integers(y_true, "y_true"), unchecked(y_pred, "y_pred")
    require_same_length(true, pred)
    margin = max(clip, _FLOOR)
    total = 0.0
    for start in range(0, pred.size, BLOCK):
        block = pred[start : start + BLOCK]
        # p - (1 - y) is ± the chance of the true class; 1 - y is written as bits of 1.0 or 0.0
        other = true[start : start + BLOCK] - _ONE_INTEGER
        other &= _ONE
        chance = np.subtract(block, other.view(np.float64), out=other.view(np.float64))
        if block.min() >= margin and block.max() <= 1 - margin:  # false for NaN
            total += _log_product(chance)
        else:
            require_range(pred, "y_pred", low=0.0, high=1.0)
            total += _log_likelihood(np.abs(chance), clip)
    return -total / pred.size


@metric(
    "balanced_log_loss",
    higher_is_better=False,
    bounds=_LOSS,
    truth="binary",
    prediction="probability",
    min_classes=2,
)
def balanced_log_loss(y_true: Values, y_pred: Values) -> float:
    """Mean of the two classes' mean log losses."""
    true, pred = _binary_pair(y_true, y_pred)
    if true.all() or not true.any():
        raise UndefinedMetricError("balanced_log_loss needs both classes")
    means = [
        _log_likelihood(pred[true], 1e-15) / int(true.sum()),
        _log_likelihood(1 - pred[~true], 1e-15) / int((~true).sum()),
    ]
    return -sum(means) / 2


def normalised_rows(
    values: Values, role: Literal["y_true", "y_pred"], *, normalize: bool
) -> Floats:
    """Shape (n, K), rows of sum 1; a zero row is invalid, any sum is right with `normalize`."""
    table = matrix(values, role)
    require_range(table, role, low=0.0)
    total = table.sum(axis=1)
    if not normalize:
        if (np.abs(total - 1) > 1e-6).any():
            worst = total[int(np.argmax(np.abs(total - 1)))]
            raise fault(role, f"rows must sum to 1, found {worst}")
        return table
    if (total <= 0).any() or not np.isfinite(total).all():
        row = int(np.flatnonzero((total <= 0) | ~np.isfinite(total))[0])
        raise fault(role, f"row {row} sums to {total[row]}: it has no direction")
    return table / total[:, None]


@metric(
    "log_loss_multiclass",
    higher_is_better=False,
    bounds=_LOSS,
    truth="class",
    prediction="probability_matrix",
)
def log_loss_multiclass(
    y_true: Values, y_pred: Values, *, labels: Sequence[Any] | None = None, normalize: bool = True
) -> float:
    """-mean ln clip(p of the true class, 1e-15, 1 - 1e-15), rows divided by their sum first.

    `y_true` (n,) holds labels; column k of `y_pred` (n, K) is `labels[k]`, or class k without
    `labels`. A row of zeros, a negative or a value above 1 is invalid. With `normalize=False`
    rows must sum to 1 already.
    """
    table = normalised_rows(y_pred, "y_pred", normalize=normalize)
    require_range(matrix(y_pred, "y_pred"), "y_pred", high=1.0)
    true = read_labels(y_true, "y_true")
    require_same_length(true, table[:, 0])
    columns = list(range(table.shape[1])) if labels is None else list(labels)
    if len(columns) != table.shape[1] or len(set(columns)) != len(columns):
        raise InvalidInputError(
            f"{len(columns)} labels, {len(set(columns))} distinct, for {table.shape[1]} columns"
        )
    position = {label: k for k, label in enumerate(columns)}
    try:
        chosen = np.array([position[label] for label in true.tolist()])
    except KeyError as error:
        raise InvalidInputError(f"y_true: label {error} is not among {columns}") from error
    return -_log_likelihood(table[np.arange(len(true)), chosen], 1e-15) / len(true)


@metric(
    "weighted_multilabel_log_loss",
    higher_is_better=False,
    bounds=_LOSS,
    truth="binary_matrix",
    prediction="probability_matrix",
)
def weighted_multilabel_log_loss(
    y_true: Values,
    y_pred: Values,
    *,
    positive_weights: Sequence[float] | None = None,
    negative_weights: Sequence[float] | None = None,
    normalize: bool = True,
) -> float:
    """Mean over rows of Σⱼ wⱼ lⱼ / Σⱼ wⱼ, where wⱼ depends on column and class (RSNA 2022).

    The weights (one for each column, 1 by default) apply where the label is 1 or 0. With
    `normalize=False` the weighted losses of a row are summed and not divided.
    """
    true, pred = binary_matrix(y_true, "y_true"), matrix(y_pred, "y_pred")
    require_same_length(true, pred)
    require_range(pred, "y_pred", low=0.0, high=1.0)
    m = true.shape[1]
    positive = np.ones(m) if positive_weights is None else np.asarray(positive_weights, float)
    negative = np.ones(m) if negative_weights is None else np.asarray(negative_weights, float)
    if positive.shape != (m,) or negative.shape != (m,) or min(positive.min(), negative.min()) < 0:
        raise InvalidInputError(f"weights must be {m} numbers, none negative")
    weight = np.where(true, positive, negative)
    loss = -np.log(np.clip(np.where(true, pred, 1 - pred), 1e-15, 1 - 1e-15))
    rows = (weight * loss).sum(axis=1)
    if normalize:
        total = weight.sum(axis=1)
        if (total == 0).any():
            raise UndefinedMetricError("weighted_multilabel_log_loss: the weights of a row are 0")
        rows = rows / total
    return float(rows.mean())


@metric(
    "kl_divergence",
    higher_is_better=False,
    bounds=_LOSS,
    truth="matrix",
    prediction="probability_matrix",
)
def kl_divergence(y_true: Values, y_pred: Values) -> float:
    """Mean over rows of Σ t ln(t/p); t is divided by its row sum, p is clipped at 1e-15.

    Rows of `y_pred` must lie in [0, 1] and sum to 1 within 1e-6; t = 0 adds nothing.
    """
    true = normalised_rows(y_true, "y_true", normalize=True)
    pred = normalised_rows(y_pred, "y_pred", normalize=False)
    require_same_length(true, pred)
    require_range(pred, "y_pred", high=1.0 + 1e-6)
    chances = np.clip(pred, 1e-15, 1 - 1e-15)
    terms = np.zeros_like(true)
    some = true > 0
    terms[some] = true[some] * np.log(true[some] / chances[some])
    return max(0.0, float(terms.sum(axis=1).mean()))


@metric(
    "brier_score",
    higher_is_better=False,
    bounds=(0.0, 1.0),
    truth="binary",
    prediction="probability",
)
def brier_score(y_true: Values, y_pred: Values) -> float:
    """Mean (p - y)²."""
    true, pred = _binary_pair(y_true, y_pred)
    return float(np.mean((pred - true) ** 2))


@metric(
    "probabilistic_f1",
    higher_is_better=True,
    bounds=(0.0, 1.0),
    truth="binary",
    prediction="probability",
)
def probabilistic_f1(y_true: Values, y_pred: Values) -> float:
    """F1 of soft counts: cTP = Σ p over positives, cFP = Σ p over negatives; 0 if cTP is 0."""
    true, pred = _binary_pair(y_true, y_pred)
    if not true.any():
        raise UndefinedMetricError("probabilistic_f1 needs a positive row")
    soft_hits = float(pred[true].sum())
    return 2 * soft_hits / (float(pred.sum()) + int(true.sum()))


@metric(
    "crps_gaussian",
    higher_is_better=False,
    bounds=_LOSS,
    truth="real",
    prediction={"mean": "real", "std": "real"},
)
def crps_gaussian(y_true: Values, y_pred: Values) -> float:
    """Continuous ranked probability score of normal forecasts, closed form (Gneiting 2005).

    σ (z (2Φ(z) - 1) + 2φ(z) - 1/√π), z = (y - μ)/σ; σ must be positive.
    """
    true = real(y_true, "y_true")
    mean = real(field(y_pred, "mean", "y_pred"), "y_pred")
    std = real(field(y_pred, "std", "y_pred"), "y_pred")
    require_same_length(true, mean)
    require_same_length(true, std)
    if std.min() <= 0:
        raise InvalidSubmissionError(f"y_pred: std must be positive, found {std.min()}")
    z = (true - mean) / std
    cumulative = 0.5 * (1 + np.array([math.erf(v / math.sqrt(2)) for v in z.tolist()]))
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    score = std * (z * (2 * cumulative - 1) + 2 * density - 1 / math.sqrt(math.pi))
    return max(0.0, float(score.mean()))


@metric("crps_ensemble", higher_is_better=False, bounds=_LOSS, truth="real", prediction="matrix")
def crps_ensemble(y_true: Values, y_pred: Values) -> float:
    """CRPS of ensembles (n, members): mean|x - y| - ½ mean|x - x'| over all pairs (NRG form)."""
    true, members = real(y_true, "y_true"), matrix(y_pred, "y_pred")
    require_same_length(true, members[:, 0] if members.shape[1] else members)
    ordered = np.sort(members, axis=1)
    m = members.shape[1]
    rank = np.arange(1 - m, m, 2, dtype=np.float64)
    half_spread = (ordered @ rank) / (m * m)
    return max(0.0, float((np.abs(members - true[:, None]).mean(axis=1) - half_spread).mean()))


@metric(
    "laplace_log_likelihood",
    higher_is_better=True,
    bounds=(None, None),
    truth="real",
    prediction={"value": "real", "confidence": "real"},
)
def laplace_log_likelihood(
    y_true: Values, y_pred: Values, *, max_delta: float = 1000.0, min_sigma: float = 70.0
) -> float:
    """Mean of -√2 min(|e|, max_delta)/σ - ln(√2 σ), σ = max(confidence, min_sigma) (OSIC)."""
    true = real(y_true, "y_true")
    value = real(field(y_pred, "value", "y_pred"), "y_pred")
    confidence = real(field(y_pred, "confidence", "y_pred"), "y_pred")
    require_same_length(true, value)
    require_same_length(true, confidence)
    if not (max_delta > 0 and min_sigma > 0):
        raise InvalidInputError("max_delta and min_sigma must be positive")
    sigma = np.maximum(confidence, min_sigma)
    error = np.minimum(np.abs(true - value), max_delta)
    return float(np.mean(-math.sqrt(2) * error / sigma - np.log(math.sqrt(2) * sigma)))
