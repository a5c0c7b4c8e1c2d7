"""Detection of boxes; one list of boxes per image."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.metrics.inputs import Role, Values, fault, lists, require_same_length
from agentbench_scoring.metrics.spec import metric

_SHARE = (0.0, 1.0)
Box = tuple[float, float, float, float]


def _images(values: Values, role: Role, width: int) -> list[list[list[Any]]]:
    """Boxes of each image, each a list of `width` values."""
    images = [[list(box) for box in image] for image in lists(values, role)]
    for row, image in enumerate(images):
        for box in image:
            if len(box) != width:
                raise fault(role, f"row {row}: a box has {len(box)} values, not {width}")
            numbers = [v for v in box if not isinstance(v, str)]
            if not np.isfinite(np.array(numbers, dtype=np.float64)).all():
                raise fault(role, f"row {row}: a box holds what is not finite")
    return images


def _corners(x: float, y: float, width: float, height: float, role: Role) -> Box:
    if width <= 0 or height <= 0:
        raise fault(role, f"a box of {width} x {height} has no area")
    return x, y, x + width, y + height


def _ordered(x1: float, y1: float, x2: float, y2: float, role: Role) -> Box:
    if x2 <= x1 or y2 <= y1:
        raise fault(role, f"a box from ({x1}, {y1}) to ({x2}, {y2}) has no area")
    return x1, y1, x2, y2


def _exact(value: float) -> Fraction:
    """The number as written: 0.1 is one tenth, not the nearest binary fraction."""
    return Fraction(str(float(value)))


def _overlap(a: Box, b: Box) -> tuple[float, float]:
    """Intersection and union areas."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(
        0.0, min(a[3], b[3]) - max(a[1], b[1])
    )
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared, union


def _exceeds(a: Box, b: Box, threshold: Fraction) -> bool:
    """IoU > threshold, decided in floats where they are clear and in rationals where not."""
    shared, union = _overlap(a, b)
    gap = shared - float(threshold) * union
    if abs(gap) > 1e-9 * union:
        return gap > 0
    xs = [_exact(v) for v in (*a, *b)]
    wide = max(Fraction(0), min(xs[2], xs[6]) - max(xs[0], xs[4]))
    high = max(Fraction(0), min(xs[3], xs[7]) - max(xs[1], xs[5]))
    inside = wide * high
    sizes = [(xs[k + 2] - xs[k]) * (xs[k + 3] - xs[k + 1]) for k in (0, 4)]
    return inside > threshold * (sum(sizes) - inside)


_WHEAT = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)


@metric(
    "box_precision_map",
    higher_is_better=True,
    bounds=_SHARE,
    truth="boxes",
    prediction="scored_boxes",
)
def box_precision_map(
    y_true: Values, y_pred: Values, *, thresholds: Sequence[float] = _WHEAT
) -> float:
    """Mean over images and thresholds of TP/(TP + FP + FN) (Global Wheat Detection).

    True boxes are [x, y, width, height], predicted ones [confidence, x, y, width, height].
    Predictions match in falling confidence, each the free true box of largest IoU, if that is
    above the threshold. An image without true boxes counts 0 with predictions, 1 without.
    """
    true, pred = _images(y_true, "y_true", 4), _images(y_pred, "y_pred", 5)
    require_same_length(true, pred)
    levels = [_exact(t) for t in thresholds]
    if not levels or not all(0 < level < 1 for level in levels):
        raise InvalidInputError(f"thresholds lie between 0 and 1, not {list(thresholds)}")
    total = 0.0
    for wanted_raw, given_raw in zip(true, pred, strict=True):
        wanted = [_corners(*box, role="y_true") for box in wanted_raw]
        given = sorted(given_raw, key=lambda box: -box[0])
        boxes = [_corners(*box[1:], role="y_pred") for box in given]
        for level in levels:
            hits = _matches(wanted, boxes, level)
            union = len(wanted) + len(boxes) - hits
            total += hits / union if union else 1.0
    return total / (len(true) * len(levels))


def _matches(wanted: list[Box], given: list[Box], level: Fraction) -> int:
    free = [True] * len(wanted)
    hits = 0
    for box in given:
        best, found = 0.0, -1
        for number, other in enumerate(wanted):
            if free[number]:
                shared, union = _overlap(box, other)
                if shared / union > best:
                    best, found = shared / union, number
        if found >= 0 and _exceeds(box, wanted[found], level):
            free[found] = False
            hits += 1
    return hits


@metric(
    "voc_map",
    higher_is_better=True,
    bounds=_SHARE,
    truth="class_boxes",
    prediction="scored_class_boxes",
)
def voc_map(y_true: Values, y_pred: Values, *, iou: float = 0.5) -> float:
    """Mean over the classes of the truth of the average precision at IoU > `iou` (PASCAL 2010).

    True boxes are [class, x1, y1, x2, y2], predicted ones [class, confidence, x1, y1, x2, y2].
    The area under the precision envelope at all points. In falling confidence a prediction takes
    the true box of largest IoU in its image; a second prediction on it is a false positive.
    """
    if not 0 < iou < 1:
        raise InvalidInputError(f"iou lies between 0 and 1, not {iou}")
    true, pred = _images(y_true, "y_true", 5), _images(y_pred, "y_pred", 6)
    require_same_length(true, pred)
    wanted: dict[Any, list[list[Box]]] = {}
    for row, image in enumerate(true):
        for name, *corners in image:
            boxes = wanted.setdefault(name, [[] for _ in true])
            boxes[row].append(_ordered(*corners, role="y_true"))
    if not wanted:
        raise UndefinedMetricError("voc_map: the truth holds no box")
    given: dict[Any, list[tuple[float, int, Box]]] = {name: [] for name in wanted}
    for row, image in enumerate(pred):
        for name, confidence, *corners in image:
            box = _ordered(*corners, role="y_pred")
            if name in given:
                given[name].append((confidence, row, box))
    level = _exact(iou)
    return float(np.mean([_average_precision(wanted[name], given[name], level) for name in wanted]))


def _average_precision(
    wanted: list[list[Box]], given: list[tuple[float, int, Box]], level: Fraction
) -> float:
    used = [[False] * len(boxes) for boxes in wanted]
    hit = np.zeros(len(given), dtype=np.int64)
    for place, (_, row, box) in enumerate(sorted(given, key=lambda guess: -guess[0])):
        overlaps = [_overlap(box, other) for other in wanted[row]]
        if not overlaps:
            continue
        found = int(np.argmax([shared / union for shared, union in overlaps]))
        if not used[row][found] and _exceeds(box, wanted[row][found], level):
            used[row][found] = True
            hit[place] = 1
    if not hit.any():
        return 0.0
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hit == 1].sum() / sum(map(len, wanted)))
