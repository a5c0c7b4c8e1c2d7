"""Metrics of classes and of scores for classes."""

from typing import Any

import numpy as np

from agentbench_scoring.errors import InvalidSubmissionError, Issue, UndefinedMetricError
from agentbench_scoring.metrics import Metric, MetricSpec
from agentbench_scoring.metrics.arrays import binary, labels


def accuracy(y_true: Any, y_pred: Any) -> float:
    """Share of exact matches."""
    truth, prediction = labels(y_true, y_pred)
    return float(np.mean(np.equal(truth, prediction)))


def roc_auc(y_true: Any, y_pred: Any) -> float:
    """(#{s⁺ > s⁻} + ½ #{s⁺ = s⁻}) / (P N): ties count half; any finite score is accepted.

    Raises:
        UndefinedMetricError: The truth holds one class only.
    """
    truth, scores = binary(y_true, y_pred)
    positive, negative = np.sort(scores[truth]), np.sort(scores[~truth])
    if not positive.size or not negative.size:
        raise UndefinedMetricError("ROC AUC needs both classes in the truth")
    below = np.searchsorted(negative, positive, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(negative, positive, side="right").sum(dtype=np.int64)
    return float((below + not_above) / (2.0 * positive.size * negative.size))


def log_loss(y_true: Any, y_pred: Any, *, eps: float = 1e-15) -> float:
    """−mean ln p(truth), p clipped to [eps, 1 − eps]; p outside [0, 1] is invalid."""
    truth, p = binary(y_true, y_pred)
    wrong = int(((p < 0) | (p > 1)).sum())
    if wrong:
        issue = Issue(
            code="out_of_range", message=f"{wrong} probabilities are outside [0, 1]", count=wrong
        )
        raise InvalidSubmissionError((issue,))
    p = np.clip(p, eps, 1 - eps)
    return float(-np.mean(np.where(truth, np.log(p), np.log1p(-p))))


METRICS = (
    Metric(
        MetricSpec(name="accuracy", higher_is_better=True, low=0.0, high=1.0, kind="label"),
        accuracy,
    ),
    Metric(
        MetricSpec(
            name="roc_auc", higher_is_better=True, low=0.0, high=1.0, kind="score", min_classes=2
        ),
        roc_auc,
    ),
    Metric(
        MetricSpec(
            name="log_loss", higher_is_better=False, low=0.0, high=float("inf"), kind="score"
        ),
        log_loss,
    ),
)
