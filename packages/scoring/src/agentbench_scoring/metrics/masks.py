"""Overlap of segmentation masks given as run-length codes."""

from collections.abc import Callable, Sequence

import numpy as np

from agentbench_scoring.errors import (
    InvalidInputError,
    InvalidSubmissionError,
    UndefinedMetricError,
)
from agentbench_scoring.metrics.inputs import Values, lists, require_same_length, text
from agentbench_scoring.metrics.rle import Mask, Runs, image_size, intersection, parse_rle
from agentbench_scoring.metrics.spec import metric

_SHARE = (0.0, 1.0)
# IoU thresholds .50 .55 ... .95 as integers over 100, so that comparing is exact
_PERCENT = tuple(range(50, 100, 5))


def _pairs(
    y_true: Values, y_pred: Values, sizes: Callable[[int], int | None]
) -> list[tuple[Mask, Mask]]:
    true, pred = text(y_true, "y_true"), text(y_pred, "y_pred")
    require_same_length(true, pred)
    return [
        (
            parse_rle(a, size=sizes(row), role="y_true", row=row),
            parse_rle(b, size=sizes(row), role="y_pred", row=row),
        )
        for row, (a, b) in enumerate(zip(true, pred, strict=True))
    ]


def _one_size(height: int | None, width: int | None) -> Callable[[int], int | None]:
    if (height is None) != (width is None):
        raise InvalidInputError("give both height and width, or neither")
    size = None if height is None or width is None else image_size(height, width)
    return lambda _row: size


def _share_or(both_empty: float) -> float:
    if not 0 <= both_empty <= 1:
        raise InvalidInputError(f"both_empty lies in [0, 1], not {both_empty}")
    return float(both_empty)


@metric("rle_dice", higher_is_better=True, bounds=_SHARE, truth="rle", prediction="rle")
def rle_dice(
    y_true: Values,
    y_pred: Values,
    *,
    height: int | None = None,
    width: int | None = None,
    both_empty: float = 1.0,
) -> float:
    """Mean over rows of 2|A ∩ B|/(|A| + |B|); `both_empty` (1 HuBMAP, 0 UW-Madison) for ∅, ∅."""
    empty = _share_or(both_empty)
    scores = [
        2 * intersection(a, b) / total if (total := a.area + b.area) else empty
        for a, b in _pairs(y_true, y_pred, _one_size(height, width))
    ]
    return float(np.mean(scores))


@metric("rle_dice_global", higher_is_better=True, bounds=_SHARE, truth="rle", prediction="rle")
def rle_dice_global(
    y_true: Values, y_pred: Values, *, height: int | None = None, width: int | None = None
) -> float:
    """2 Σ|A ∩ B|/Σ(|A| + |B|) over all rows; undefined when every mask is empty."""
    pairs = _pairs(y_true, y_pred, _one_size(height, width))
    total = sum(a.area + b.area for a, b in pairs)
    if total == 0:
        raise UndefinedMetricError("rle_dice_global: every mask is empty")
    return 2 * sum(intersection(a, b) for a, b in pairs) / total


@metric("rle_fbeta", higher_is_better=True, bounds=_SHARE, truth="rle", prediction="rle")
def rle_fbeta(
    y_true: Values,
    y_pred: Values,
    *,
    height: int | None = None,
    width: int | None = None,
    beta: float = 0.5,
) -> float:
    """Mean over rows of the pixels' F_β (Vesuvius: β = 0.5); two empty masks are undefined."""
    if not beta > 0:
        raise InvalidInputError(f"beta must be positive, not {beta}")
    scores: list[float] = []
    for row, (a, b) in enumerate(_pairs(y_true, y_pred, _one_size(height, width))):
        below = beta**2 * a.area + b.area
        if below == 0:
            raise UndefinedMetricError(f"rle_fbeta: both masks of row {row} are empty")
        scores.append((1 + beta**2) * intersection(a, b) / below)
    return float(np.mean(scores))


def _passed(shared: int, union: int) -> int:
    """How many of the thresholds .5 .. .95 an IoU exceeds, strictly and exactly."""
    return sum(100 * shared > percent * union for percent in _PERCENT)


@metric("mask_map_iou", higher_is_better=True, bounds=_SHARE, truth="rle", prediction="rle")
def mask_map_iou(
    y_true: Values, y_pred: Values, *, heights: int | Sequence[int], widths: int | Sequence[int]
) -> float:
    """Mean over rows of the share of thresholds t = .5, .55 ... .95 with IoU > t (TGS salt).

    Two empty masks count 1, one empty mask 0. `heights` and `widths` are one for all rows or one
    for each row.
    """
    n = len(text(y_true, "y_true"))
    h = np.broadcast_to(np.asarray(heights, dtype=np.int64), (n,))
    w = np.broadcast_to(np.asarray(widths, dtype=np.int64), (n,))
    scores: list[float] = []
    for a, b in _pairs(y_true, y_pred, lambda row: image_size(int(h[row]), int(w[row]))):
        shared = intersection(a, b)
        union = a.area + b.area - shared
        scores.append(_passed(shared, union) / len(_PERCENT) if union else 1.0)
    return float(np.mean(scores))


@metric("mask_f2_iou", higher_is_better=True, bounds=_SHARE, truth="rles", prediction="rles")
def mask_f2_iou(
    y_true: Values, y_pred: Values, *, height: int | None = None, width: int | None = None
) -> float:
    """Mean over images and thresholds of F2 = 5 TP/(5 TP + 4 FN + FP) of matched masks (Airbus).

    A predicted mask hits the true mask of IoU > t, each used once. No ship and none predicted
    counts 1. Predicted masks of one image must not overlap.
    """
    sizes = _one_size(height, width)
    true, pred = lists(y_true, "y_true"), lists(y_pred, "y_pred")
    require_same_length(true, pred)
    scores: list[float] = []
    for row, (a, b) in enumerate(zip(true, pred, strict=True)):
        size = sizes(row)
        wanted = [parse_rle(c, size=size, role="y_true", row=row) for c in a if c]
        given = [parse_rle(c, size=size, role="y_pred", row=row) for c in b if c]
        _refuse_overlap(given, row)
        scores.append(_image_f2(wanted, given))
    return float(np.mean(scores))


def _refuse_overlap(masks: list[Mask], row: int) -> None:
    if len(masks) < 2:
        return
    starts = np.concatenate([mask.starts for mask in masks])
    ends = np.concatenate([mask.ends for mask in masks])
    order = np.argsort(starts, kind="stable")
    if (starts[order][1:] < ends[order][:-1]).any():
        raise InvalidSubmissionError(f"y_pred: masks of row {row} overlap")


def _image_f2(wanted: list[Mask], given: list[Mask]) -> float:
    if not wanted and not given:
        return 1.0
    # disjoint predictions: at IoU > 1/2 a true mask has at most one partner, and because true
    # masks may overlap each other, a prediction takes the true mask of largest IoU that is free
    overlaps: list[tuple[float, int, int, int, int]] = []
    for i, mask in enumerate(wanted):
        for j, other in enumerate(given):
            shared = intersection(mask, other)
            union = mask.area + other.area - shared
            if 2 * shared > union:
                overlaps.append((shared / union, i, j, shared, union))
    overlaps.sort(key=lambda overlap: -overlap[0])
    total = 0.0
    for percent in _PERCENT:
        used_true: set[int] = set()
        used_pred: set[int] = set()
        for _, i, j, shared, union in overlaps:
            if i not in used_true and j not in used_pred and 100 * shared > percent * union:
                used_true.add(i)
                used_pred.add(j)
        hits = len(used_true)
        total += 5 * hits / (4 * len(wanted) + len(given))
    return total / len(_PERCENT)


def pixels(mask: Mask, height: int) -> Runs:
    """(row, column) of every pixel of a mask, shape (area, 2)."""
    lengths = mask.ends - mask.starts
    first = np.repeat(mask.starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    number = first + np.arange(mask.area)
    return np.column_stack([number % height, number // height])
