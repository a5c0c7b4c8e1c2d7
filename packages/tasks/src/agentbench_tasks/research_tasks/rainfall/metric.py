# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Critical success index, the metric of Weather4cast."""

from typing import Any

import numpy as np

THRESHOLDS = (0.2, 1.0, 5.0, 10.0, 15.0)
"""mm/h."""


def contingency(
    predicted: np.ndarray[Any, Any], observed: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Count hits and hits + misses + false alarms of every sample.

    Args:
        predicted: Rain rates in mm/h, (N, ...).
        observed: Rain rates in mm/h, same shape.

    Returns:
        Two arrays (N, 5), a column per threshold: TP, and TP + FN + FP.
    """
    axes = tuple(range(1, predicted.ndim))
    hits, union = [], []
    for threshold in THRESHOLDS:
        p, o = predicted >= threshold, observed >= threshold
        hits.append((p & o).sum(axes))
        union.append((p | o).sum(axes))
    return np.stack(hits, 1), np.stack(union, 1)


def mean_csi(hits: np.ndarray[Any, Any], union: np.ndarray[Any, Any]) -> float:
    """Mean over thresholds of CSI = TP / (TP + FN + FP), pooled over samples, leads and pixels.

    A threshold that is neither predicted nor observed anywhere counts 0, as in Weather4cast.
    """
    tp, all_ = hits.sum(0), union.sum(0)
    return float(np.mean(np.where(all_ > 0, tp / np.maximum(all_, 1), 0.0)))
