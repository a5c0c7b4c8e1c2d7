"""Errors of real-valued predictions; `y_true` and `y_pred` have shape (n,), or (n, m)."""

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.metrics.inputs import (
    BLOCK,
    Floats,
    Role,
    Values,
    field,
    matrix,
    real,
    require_range,
    require_same_length,
    text,
    weights,
)
from agentbench_scoring.metrics.spec import metric

_ERROR = (0.0, None)


def _columns(y_true: Values, y_pred: Values) -> tuple[Floats, Floats]:
    true, pred = real(y_true, "y_true"), real(y_pred, "y_pred")
    require_same_length(true, pred)
    return true, pred


def _tables(y_true: Values, y_pred: Values) -> tuple[Floats, Floats]:
    true, pred = matrix(y_true, "y_true"), matrix(y_pred, "y_pred")
    require_same_length(true, pred)
    return true, pred


def _mean_square(true: Floats, pred: Floats) -> float:
    """Mean of squared differences, in blocks that stay in cache."""
    total = 0.0
    a, b = true.ravel(), pred.ravel()
    for start in range(0, a.size, BLOCK):
        difference = a[start : start + BLOCK] - b[start : start + BLOCK]
        total += float(np.square(difference, out=difference).sum())
    return total / a.size


def _log1p(values: Floats, role: Role) -> Floats:
    require_range(values, role, low=0.0)
    return np.log1p(values)


@metric("mse", higher_is_better=False, bounds=_ERROR, truth="real", prediction="real")
def mse(y_true: Values, y_pred: Values) -> float:
    """Mean squared error: mean (p - y)²."""
    return _mean_square(*_columns(y_true, y_pred))


@metric("rmse", higher_is_better=False, bounds=_ERROR, truth="real", prediction="real")
def rmse(y_true: Values, y_pred: Values) -> float:
    """Root mean squared error."""
    return _mean_square(*_columns(y_true, y_pred)) ** 0.5


@metric("rmse_flat", higher_is_better=False, bounds=_ERROR, truth="matrix", prediction="matrix")
def rmse_flat(y_true: Values, y_pred: Values) -> float:
    """One RMSE over all cells of several columns."""
    return _mean_square(*_tables(y_true, y_pred)) ** 0.5


@metric("mcrmse", higher_is_better=False, bounds=_ERROR, truth="matrix", prediction="matrix")
def mcrmse(y_true: Values, y_pred: Values) -> float:
    """Mean over columns of the column's RMSE."""
    true, pred = _tables(y_true, y_pred)
    return float(np.sqrt(np.mean((true - pred) ** 2, axis=0)).mean())


@metric("rmsle", higher_is_better=False, bounds=_ERROR, truth="real", prediction="real")
def rmsle(y_true: Values, y_pred: Values) -> float:
    """Root mean squared logarithmic error, √mean (ln(1+p) - ln(1+y))²; negatives are invalid."""
    true, pred = _columns(y_true, y_pred)
    return _mean_square(_log1p(true, "y_true"), _log1p(pred, "y_pred")) ** 0.5


@metric("rmsle_flat", higher_is_better=False, bounds=_ERROR, truth="matrix", prediction="matrix")
def rmsle_flat(y_true: Values, y_pred: Values) -> float:
    """One RMSLE over all cells of several columns."""
    true, pred = _tables(y_true, y_pred)
    return _mean_square(_log1p(true, "y_true"), _log1p(pred, "y_pred")) ** 0.5


@metric("mcrmsle", higher_is_better=False, bounds=_ERROR, truth="matrix", prediction="matrix")
def mcrmsle(y_true: Values, y_pred: Values) -> float:
    """Mean over columns of the column's RMSLE."""
    true, pred = _tables(y_true, y_pred)
    squares = (_log1p(true, "y_true") - _log1p(pred, "y_pred")) ** 2
    return float(np.sqrt(squares.mean(axis=0)).mean())


@metric("mae", higher_is_better=False, bounds=_ERROR, truth="real", prediction="real")
def mae(y_true: Values, y_pred: Values) -> float:
    """Mean absolute error."""
    true, pred = _columns(y_true, y_pred)
    return float(np.abs(true - pred).mean())


@metric("mae_flat", higher_is_better=False, bounds=_ERROR, truth="matrix", prediction="matrix")
def mae_flat(y_true: Values, y_pred: Values) -> float:
    """One mean absolute error over all cells of several columns."""
    true, pred = _tables(y_true, y_pred)
    return float(np.abs(true - pred).mean())


@metric(
    "median_absolute_error", higher_is_better=False, bounds=_ERROR, truth="real", prediction="real"
)
def median_absolute_error(y_true: Values, y_pred: Values) -> float:
    """Median of |p - y|."""
    true, pred = _columns(y_true, y_pred)
    return float(np.median(np.abs(true - pred)))


@metric("weighted_mae", higher_is_better=False, bounds=_ERROR, truth="real", prediction="real")
def weighted_mae(
    y_true: Values, y_pred: Values, *, sample_weight: Values = None, normalize: bool = True
) -> float:
    """Σ w|p - y| over Σ w; with `normalize=False` over the row count (Winton)."""
    true, pred = _columns(y_true, y_pred)
    weight = np.ones(len(true)) if sample_weight is None else weights(sample_weight, len(true))
    divisor = float(weight.sum()) if normalize else len(true)
    return float(np.dot(weight, np.abs(true - pred))) / divisor


@metric("r2", higher_is_better=True, bounds=(None, 1.0), truth="real", prediction="real")
def r2(y_true: Values, y_pred: Values) -> float:
    """Coefficient of determination; with a constant truth 1 if perfect, else 0."""
    true, pred = _columns(y_true, y_pred)
    if len(true) < 2:
        raise UndefinedMetricError("r2 needs two rows or more")
    if (true == true[0]).all():
        return 1.0 if (true == pred).all() else 0.0
    return 1.0 - _mean_square(true, pred) / float(np.var(true))


@metric(
    "weighted_zero_mean_r2",
    higher_is_better=True,
    bounds=(None, 1.0),
    truth="real",
    prediction="real",
)
def weighted_zero_mean_r2(y_true: Values, y_pred: Values, *, sample_weight: Values = None) -> float:
    """1 - Σ w(y - p)² / Σ w y²; undefined when the weighted truth is zero everywhere."""
    true, pred = _columns(y_true, y_pred)
    weight = np.ones(len(true)) if sample_weight is None else weights(sample_weight, len(true))
    scale = float(np.dot(weight, true * true))
    if scale == 0:
        raise UndefinedMetricError("weighted_zero_mean_r2: the truth is zero in every row")
    return 1.0 - float(np.dot(weight, (true - pred) ** 2)) / scale


@metric("smape", higher_is_better=False, bounds=(0.0, 200.0), truth="real", prediction="real")
def smape(y_true: Values, y_pred: Values) -> float:
    """Symmetric mean absolute percentage error, 100/n Σ 2|p - y|/(|y| + |p|), with 0/0 = 0."""
    true, pred = _columns(y_true, y_pred)
    size = np.abs(true) + np.abs(pred)
    ratio = np.divide(2 * np.abs(true - pred), size, out=np.zeros_like(size), where=size > 0)
    return 100.0 * float(ratio.mean())


@metric("rmspe", higher_is_better=False, bounds=_ERROR, truth="real", prediction="real")
def rmspe(y_true: Values, y_pred: Values, *, ignore_zero: bool = False) -> float:
    """√mean ((y - p)/y)²; rows with y = 0 make it undefined unless `ignore_zero` drops them."""
    true, pred = _columns(y_true, y_pred)
    keep = true != 0
    if not keep.all() and not ignore_zero:
        raise UndefinedMetricError("rmspe divides by y_true, which holds zeros")
    if not keep.any():
        raise UndefinedMetricError("rmspe: y_true is zero in every row")
    return float(np.sqrt(np.mean(((true[keep] - pred[keep]) / true[keep]) ** 2)))


@metric("pinball", higher_is_better=False, bounds=_ERROR, truth="real", prediction="real")
def pinball(y_true: Values, y_pred: Values, *, alpha: float = 0.5) -> float:
    """Quantile loss: mean max(α(y - q), (α - 1)(y - q))."""
    if not 0 < alpha < 1:
        raise InvalidInputError(f"alpha is a quantile between 0 and 1, not {alpha}")
    true, pred = _columns(y_true, y_pred)
    above = true - pred
    return float(np.maximum(alpha * above, (alpha - 1) * above).mean())


@metric(
    "grouped_log_mae",
    higher_is_better=False,
    bounds=(None, None),
    truth={"value": "real", "type": "key"},
    prediction="real",
)
def grouped_log_mae(y_true: Values, y_pred: Values, *, floor: float = 1e-9) -> float:
    """Mean over groups of ln max(MAE of the group, floor); perfect is ln floor = -20.723."""
    if not floor > 0:
        raise InvalidInputError(f"floor must be positive, not {floor}")
    true, pred = _columns(field(y_true, "value", "y_true"), y_pred)
    names = text([str(v) for v in field(y_true, "type", "y_true")], "y_true")
    require_same_length(true, names)
    _, group = np.unique(np.array(names), return_inverse=True)
    errors = np.bincount(group, weights=np.abs(true - pred)) / np.bincount(group)
    return float(np.log(np.maximum(errors, floor)).mean())


@metric(
    "wrmsse",
    higher_is_better=False,
    bounds=_ERROR,
    truth={"train": "matrix", "test": "matrix", "weights": "real"},
    prediction="matrix",
)
def wrmsse(y_true: Values, y_pred: Values) -> float:
    """Weighted root mean squared scaled error (M5): Σ w √(mean (y - p)² / mean (Δ train)²).

    Rows are series. A series starts at its first non-zero training value; weights are used as
    they are given. A series whose scale is zero makes the value undefined if it has weight.
    """
    train = matrix(field(y_true, "train", "y_true"), "y_true")
    test, pred = _tables(field(y_true, "test", "y_true"), y_pred)
    weight = weights(field(y_true, "weights", "y_true"), len(test))
    require_same_length(train[:, 0], test[:, 0])
    scale = np.array([_naive_scale(series) for series in train])
    used: NDArray[np.bool_] = weight > 0
    if (scale[used] == 0).any():
        raise UndefinedMetricError("wrmsse: a weighted series does not change in training")
    errors = ((test - pred) ** 2).mean(axis=1)
    return float(np.dot(weight[used], np.sqrt(errors[used] / scale[used])))


def _naive_scale(series: Floats) -> float:
    """Mean squared step of a series from its first non-zero value on; 0 if it has no step."""
    started = series[int(np.argmax(series != 0)) :]
    return float(np.mean(np.diff(started) ** 2)) if len(started) > 1 else 0.0
