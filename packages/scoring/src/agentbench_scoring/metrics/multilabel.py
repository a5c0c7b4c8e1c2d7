"""Sets of labels per row, and spans of characters: F-scores of overlaps."""

from typing import Any

import numpy as np

from agentbench_scoring.errors import (
    InvalidInputError,
    InvalidSubmissionError,
    UndefinedMetricError,
)
from agentbench_scoring.metrics.inputs import Role, Values, fault, require_same_length, text
from agentbench_scoring.metrics.spec import metric

_SHARE = (0.0, 1.0)


def _sets(y_true: Values, y_pred: Values) -> list[tuple[set[str], set[str]]]:
    true, pred = text(y_true, "y_true"), text(y_pred, "y_pred")
    require_same_length(true, pred)
    return [(set(a.split()), set(b.split())) for a, b in zip(true, pred, strict=True)]


@metric("f1_samples", higher_is_better=True, bounds=_SHARE, truth="text", prediction="text")
def f1_samples(y_true: Values, y_pred: Values, *, both_empty: float = 1.0) -> float:
    """Mean over rows of 2|T ∩ P|/(|T| + |P|) of the sets of words; `both_empty` for ∅ and ∅."""
    if not 0 <= both_empty <= 1:
        raise InvalidInputError(f"both_empty lies in [0, 1], not {both_empty}")
    rows = _sets(y_true, y_pred)
    scores = [2 * len(t & p) / (len(t) + len(p)) if t or p else both_empty for t, p in rows]
    return float(np.mean(scores))


@metric(
    "f1_micro_multilabel", higher_is_better=True, bounds=_SHARE, truth="text", prediction="text"
)
def f1_micro_multilabel(y_true: Values, y_pred: Values) -> float:
    """2 Σ|T ∩ P|/(Σ|T| + Σ|P|); labels never true count as false positives."""
    return fbeta_micro_multilabel.function(y_true, y_pred, beta=1.0)


@metric(
    "fbeta_micro_multilabel", higher_is_better=True, bounds=_SHARE, truth="text", prediction="text"
)
def fbeta_micro_multilabel(y_true: Values, y_pred: Values, *, beta: float = 2.0) -> float:
    """F_β of pooled counts over sets of words (iMet: β = 2)."""
    if not beta > 0:
        raise InvalidInputError(f"beta must be positive, not {beta}")
    rows = _sets(y_true, y_pred)
    hits = sum(len(t & p) for t, p in rows)
    true, predicted = sum(len(t) for t, _ in rows), sum(len(p) for _, p in rows)
    if true + predicted == 0:
        raise UndefinedMetricError("F-score: no label on either side")
    return (1 + beta**2) * hits / (beta**2 * true + predicted)


def _spans(cell: str, row: int, role: Role) -> list[tuple[int, int]]:
    """Disjoint sorted [start, end) spans of a cell such as "0 5;7 9"; overlaps are merged."""
    spans: list[tuple[int, int]] = []
    for part in cell.replace(";", ",").split(","):
        words = part.split()
        if not words and not cell.strip():
            continue
        if len(words) != 2 or not all(w.isascii() and w.isdigit() and len(w) < 16 for w in words):
            raise fault(role, f"row {row}: {part[:50]!r} is not a span 'start end'")
        start, end = int(words[0]), int(words[1])
        if end <= start:
            raise fault(role, f"row {row}: span {start} {end} is empty")
        spans.append((start, end))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _length(spans: list[tuple[int, int]]) -> int:
    return sum(end - start for start, end in spans)


def _overlap(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> int:
    i = j = shared = 0
    while i < len(a) and j < len(b):
        shared += max(0, min(a[i][1], b[j][1]) - max(a[i][0], b[j][0]))
        if a[i][1] <= b[j][1]:
            i += 1
        else:
            j += 1
    return shared


@metric("char_span_micro_f1", higher_is_better=True, bounds=_SHARE, truth="text", prediction="text")
def char_span_micro_f1(y_true: Values, y_pred: Values) -> float:
    """2 TP/(2 TP + FP + FN) of characters, pooled over rows (NBME).

    A cell is "start end;start end", ends excluded; empty for no span. A malformed span is invalid.
    """
    true, pred = text(y_true, "y_true"), text(y_pred, "y_pred")
    require_same_length(true, pred)
    hits = total = 0
    for row, (a, b) in enumerate(zip(true, pred, strict=True)):
        wanted, given = _spans(a, row, "y_true"), _spans(b, row, "y_pred")
        hits += _overlap(wanted, given)
        total += _length(wanted) + _length(given)
    if total == 0:
        raise UndefinedMetricError("char_span_micro_f1: no character is marked on either side")
    return 2 * hits / total


def _points(cell: str, row: int, role: Role, width: int) -> list[list[Any]]:
    words = cell.split()
    if len(words) % width:
        raise fault(role, f"row {row}: {len(words)} words are no groups of {width}")
    groups: list[list[Any]] = []
    for start in range(0, len(words), width):
        try:
            numbers = [float(word) for word in words[start + 1 : start + width]]
        except ValueError as error:
            raise fault(role, f"row {row}: {error}") from error
        if not np.isfinite(numbers).all():
            raise fault(role, f"row {row}: a coordinate is not finite")
        groups.append([words[start], *numbers])
    return groups


@metric("point_in_box_f1", higher_is_better=True, bounds=_SHARE, truth="text", prediction="text")
def point_in_box_f1(y_true: Values, y_pred: Values) -> float:
    """F1 of labelled points strictly inside labelled boxes, pooled (Kuzushiji).

    A true cell is "label x y width height ...", a predicted one "label x y ...". Each box takes
    one point. More than 1200 points in a row are invalid.
    """
    true, pred = text(y_true, "y_true"), text(y_pred, "y_pred")
    require_same_length(true, pred)
    hits = boxes_total = points_total = 0
    for row, (a, b) in enumerate(zip(true, pred, strict=True)):
        boxes, points = _points(a, row, "y_true", 5), _points(b, row, "y_pred", 3)
        if len(points) > 1200:
            raise InvalidSubmissionError(f"y_pred: row {row} has {len(points)} points, over 1200")
        boxes_total, points_total = boxes_total + len(boxes), points_total + len(points)
        free = [True] * len(boxes)
        for label, x, y in points:
            for number, (name, left, top, width, height) in enumerate(boxes):
                inside = left < x < left + width and top < y < top + height
                if free[number] and name == label and inside:
                    free[number] = False
                    hits += 1
                    break
    if boxes_total + points_total == 0:
        raise UndefinedMetricError("point_in_box_f1: no box and no point")
    return 2 * hits / (boxes_total + points_total)
