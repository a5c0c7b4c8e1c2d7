# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Scorer: detected segments against annotated ones."""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Arrays
from agentbench_tasks.research_score import InvalidOutputError, OutputReader, Statistic
from agentbench_tasks.research_tasks.localisation.metric import (
    THRESHOLDS,
    average_precision,
    match,
)

MAX_PER_VIDEO = 200
Array = np.ndarray[Any, Any]


def statistic(*, labels: Arrays, inputs: Arrays, read: OutputReader) -> Statistic:
    """Units are videos; classes that no video of a subset holds are left out of its mean."""
    n = len(inputs["duration"] if "duration" in inputs else inputs["features"])
    truth = np.asarray(labels["segments"], np.float64)
    found = read("detections", (None, 5))
    if len(found) > MAX_PER_VIDEO * n:
        raise InvalidOutputError(
            f"detections.npy has {len(found)} rows, at most {MAX_PER_VIDEO * n}"
        )
    classes = np.unique(truth[:, 1])
    ranked = [_class_hits(found, truth, c) for c in classes]
    annotated = [np.bincount(truth[truth[:, 1] == c, 0].astype(int), minlength=n) for c in classes]

    def value(units: Array) -> float:
        keep = np.zeros(n, bool)
        keep[units] = True
        scores = [
            np.mean([average_precision(h[keep[v], t], k) for t in range(len(THRESHOLDS))])
            for (v, h), counts in zip(ranked, annotated, strict=True)
            if (k := int(counts[units].sum()))
        ]
        return float(np.mean(scores))

    return Statistic(n=n, value=value)


def _class_hits(found: Array, truth: Array, c: float) -> tuple[Array, Array]:
    """Return videos (M,) and hits (M, 5) of the detections of a class, best score first."""
    mine = found[found[:, 1] == c]
    mine = mine[np.argsort(-mine[:, 4], kind="stable")]
    videos = mine[:, 0].astype(np.int64)
    hits = np.zeros((len(mine), len(THRESHOLDS)), bool)
    true = truth[truth[:, 1] == c]
    for video in np.unique(true[:, 0]):
        rows = np.flatnonzero(mine[:, 0] == video)
        hits[rows] = match(mine[rows][:, 2:4], true[true[:, 0] == video][:, 2:4])
    known = (mine[:, 0] == videos) & (videos >= 0) & (videos <= truth[:, 0].max())
    return np.where(known, videos, 0), hits
