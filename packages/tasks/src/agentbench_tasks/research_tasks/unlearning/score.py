# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Scorer: loads weights, never code, and compares them with networks that never saw the forget set.

Score = F * (RA / RA_retrained) * (TA / TA_retrained): forgetting quality, and accuracy on retained
and on new examples relative to retraining.
"""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Arrays
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.ensemble import forward, softmax
from agentbench_tasks.research_tasks.unlearning.metric import (
    forget_epsilons,
    forgetting_quality,
)

Array = np.ndarray[Any, Any]
_LARGEST = 1e4


def statistic(*, labels: Arrays, inputs: Arrays, read: OutputReader) -> Statistic:
    """Units are the examples of the forget set."""
    names = [k for k in inputs if k[0] in "wb" and k[1:].isdigit()]
    weights = {k: read(k, inputs[k].shape) for k in names}
    weights = {k: np.clip(v, -_LARGEST, _LARGEST).astype(np.float32) for k, v in weights.items()}
    x, y = np.asarray(inputs["forget_x"]), np.asarray(inputs["forget_y"])
    epsilons = forget_epsilons(confidence(weights, x, y), np.asarray(labels["retrained"]))
    kept = _accuracy(weights, labels["all_retain_x"], labels["all_retain_y"])
    new = _accuracy(weights, labels["new_x"], labels["new_y"])
    utility = kept / float(labels["retain_accuracy"]) * new / float(labels["new_accuracy"])

    def value(units: Array) -> float:
        return forgetting_quality(epsilons[units]) * utility

    return Statistic(n=len(y), value=value)


def confidence(weights: dict[str, Array], x: Array, y: Array) -> Array:
    """Logit-scaled confidence in the true label of all models: (M, S)."""
    return log_odds(forward(weights, x)[0], y)


def log_odds(logits: Array, y: Array) -> Array:
    """Log p - log(1 - p), p the probability of label y (S,), from logits (..., S, classes)."""
    logits = logits.astype(np.float64)
    p = np.take_along_axis(
        softmax(logits), np.broadcast_to(y[:, None], (*logits.shape[:-1], 1)), -1
    )
    p = np.clip(p[..., 0], 1e-9, 1 - 1e-9)
    return np.log(p) - np.log1p(-p)


def _accuracy(weights: dict[str, Array], x: Any, y: Any) -> float:  # noqa: ANN401 - arrays
    return float((forward(weights, np.asarray(x))[0].argmax(-1) == np.asarray(y)).mean())
