"""What metrics take: one-dimensional arrays of equal length, finite where they are numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import InvalidSubmissionError, Issue, UndefinedMetricError

Floats = NDArray[np.float64]


def labels(y_true: Any, y_pred: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return class labels as two arrays of one type, text if either side is text."""
    truth, prediction = np.asarray(y_true), np.asarray(y_pred)
    _same_length(truth, prediction)
    if truth.dtype.kind in "USO" or prediction.dtype.kind in "USO":
        return truth.astype(str), prediction.astype(str)
    finite(prediction.astype(np.float64))
    return truth, prediction


def numbers(y_true: Any, y_pred: Any) -> tuple[Floats, Floats]:
    """Return two arrays of finite numbers."""
    truth = np.asarray(y_true, dtype=np.float64)
    prediction = finite(np.asarray(y_pred, dtype=np.float64))
    _same_length(truth, prediction)
    return truth, prediction


def binary(y_true: Any, y_pred: Any) -> tuple[NDArray[np.bool_], Floats]:
    """Return a truth of zeros and ones, and finite scores."""
    truth, scores = numbers(y_true, y_pred)
    if not np.isin(truth, (0.0, 1.0)).all():
        raise UndefinedMetricError("the truth of a binary metric must be 0 or 1")
    return truth == 1.0, scores


def finite(values: Floats) -> Floats:
    """Refuse NaN and infinity: a prediction that holds one is never scored."""
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        issue = Issue(code="not_finite", message=f"{wrong} predictions are not finite", count=wrong)
        raise InvalidSubmissionError((issue,))
    return values


def _same_length(truth: NDArray[Any], prediction: NDArray[Any]) -> None:
    if truth.ndim != 1 or truth.shape != prediction.shape:
        issue = Issue(
            code="wrong_shape",
            message=f"predictions have shape {prediction.shape}, the truth {truth.shape}",
            count=1,
        )
        raise InvalidSubmissionError((issue,))
    if truth.size == 0:
        raise UndefinedMetricError("there is nothing to score: the truth is empty")
