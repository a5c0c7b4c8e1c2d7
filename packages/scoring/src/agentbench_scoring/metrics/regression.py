"""Metrics of numbers."""

from typing import Any

import numpy as np

from agentbench_scoring.metrics import Metric, MetricSpec
from agentbench_scoring.metrics.arrays import numbers


def rmse(y_true: Any, y_pred: Any) -> float:
    """√ mean (y − ŷ)²."""
    truth, prediction = numbers(y_true, y_pred)
    return float(np.sqrt(np.mean(np.square(truth - prediction))))


def mae(y_true: Any, y_pred: Any) -> float:
    """Mean |y − ŷ|."""
    truth, prediction = numbers(y_true, y_pred)
    return float(np.mean(np.abs(truth - prediction)))


METRICS = tuple(
    Metric(
        MetricSpec(
            name=function.__name__,
            higher_is_better=False,
            low=0.0,
            high=float("inf"),
            kind="value",
        ),
        function,
    )
    for function in (rmse, mae)
)
