# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Mean average precision of temporal segments (ActivityNet, as ActionFormer computes it)."""

from typing import Any

import numpy as np

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
Array = np.ndarray[Any, Any]


def temporal_iou(segment: Array, others: Array) -> Array:
    """Return the overlap over the union of one segment (2,) with others (M, 2)."""
    inter = np.minimum(segment[1], others[:, 1]) - np.maximum(segment[0], others[:, 0])
    inter = np.maximum(inter, 0.0)
    union = (others[:, 1] - others[:, 0]) + (segment[1] - segment[0]) - inter
    return np.where(union > 0, inter / np.where(union > 0, union, 1), 0.0)


def match(detections: Array, truth: Array) -> Array:
    """Say which detections of one video and one class are true positives.

    In order of descending score, a detection takes the unused true segment with which it overlaps
    most, if the overlap reaches the threshold.

    Args:
        detections: start, end, sorted by descending score (M, 2).
        truth: start, end (K, 2).

    Returns:
        Booleans (M, 5), a column per threshold.
    """
    hits = np.zeros((len(detections), len(THRESHOLDS)), bool)
    used = np.zeros((len(truth), len(THRESHOLDS)), bool)
    for i, detection in enumerate(detections):
        overlap = temporal_iou(detection, truth)
        order = np.argsort(-overlap, kind="stable")
        for t, threshold in enumerate(THRESHOLDS):
            for j in order:
                if overlap[j] < threshold:
                    break
                if not used[j, t]:
                    used[j, t] = hits[i, t] = True
                    break
    return hits


def interpolated_ap(precision: Array, recall: Array) -> float:
    """Area under the precision envelope: sum of (r_i - r_{i-1}) * max_{j >= i} p_j."""
    p = np.concatenate([[0.0], precision, [0.0]])
    r = np.concatenate([[0.0], recall, [1.0]])
    p = np.maximum.accumulate(p[::-1])[::-1]
    steps = np.flatnonzero(r[1:] != r[:-1]) + 1
    return float(((r[steps] - r[steps - 1]) * p[steps]).sum())


def average_precision(hits: Array, n_truth: int) -> float:
    """AP from hits (M,) sorted by descending score, and the number of true segments."""
    if not len(hits):
        return 0.0
    tp = np.cumsum(hits)
    return interpolated_ap(tp / np.arange(1, len(hits) + 1), tp / n_truth)
