"""Distances on the sphere and between shapes."""

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.metrics.inputs import (
    Floats,
    Integers,
    Role,
    Values,
    fault,
    field,
    matrix,
    real,
    require_range,
    require_same_length,
    text,
)
from agentbench_scoring.metrics.masks import pixels
from agentbench_scoring.metrics.rle import Mask, image_size, intersection, parse_rle
from agentbench_scoring.metrics.spec import metric

_CHUNK = 1 << 22  # distances held at once


@metric(
    "mean_angular_error",
    higher_is_better=False,
    bounds=(0.0, float(np.pi)),
    truth={"azimuth": "real", "zenith": "real"},
    prediction={"azimuth": "real", "zenith": "real"},
)
def mean_angular_error(y_true: Values, y_pred: Values) -> float:
    """Mean angle in radians between directions given by azimuth and zenith in radians."""
    a, b = _direction(y_true, "y_true"), _direction(y_pred, "y_pred")
    require_same_length(a, b)
    # atan2 of cross and dot is exact at 0 and π, where arccos loses half the digits
    cross = np.linalg.norm(np.cross(a, b), axis=1)
    return float(np.arctan2(cross, (a * b).sum(axis=1)).mean())


def _direction(values: Values, role: Role) -> Floats:
    azimuth = real(field(values, "azimuth", role), role)
    zenith = real(field(values, "zenith", role), role)
    if len(azimuth) != len(zenith):
        raise fault(role, f"{len(azimuth)} azimuths and {len(zenith)} zeniths")
    sine = np.sin(zenith)
    return np.column_stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(zenith)])


@metric(
    "mean_p50_p95_haversine",
    higher_is_better=False,
    bounds=(0.0, None),
    truth={"trip": "key", "latlon": "matrix"},
    prediction="matrix",
)
def mean_p50_p95_haversine(y_true: Values, y_pred: Values, *, radius: float = 6_371_000.0) -> float:
    """Mean over trips of the mean of the 50th and 95th percentile of the distance, in metres.

    Great-circle distance of (latitude, longitude) in degrees on a sphere of this radius;
    percentiles are interpolated linearly.
    """
    trip = np.array([str(v) for v in field(y_true, "trip", "y_true")])
    true = matrix(field(y_true, "latlon", "y_true"), "y_true")
    pred = matrix(y_pred, "y_pred")
    require_same_length(true, pred)
    require_same_length(trip, true[:, 0])
    if true.shape[1] != 2 or not radius > 0:
        raise InvalidInputError("latlon has two columns, and radius is positive")
    require_range(pred[:, 0], "y_pred", low=-90.0, high=90.0)
    (lat1, lon1), (lat2, lon2) = np.radians(true).T, np.radians(pred).T
    half = (
        np.sin((lat2 - lat1) / 2) ** 2
        + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    )
    distance = 2 * radius * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    values = [np.percentile(distance[trip == name], [50, 95]).mean() for name in np.unique(trip)]
    return float(np.mean(values))


def directed_hausdorff(a: Floats, b: Floats) -> float:
    """Max over points of a of the distance to the nearest point of b; shapes (n, 3), (m, 3)."""
    squared_b = (b * b).sum(axis=1)
    farthest = 0.0
    step = max(1, _CHUNK // len(b))
    for start in range(0, len(a), step):
        block = a[start : start + step]
        nearest = ((block * block).sum(axis=1)[:, None] - 2 * block @ b.T + squared_b).min(axis=1)
        farthest = max(farthest, float(nearest.max()))
    return max(0.0, farthest) ** 0.5


def _hausdorff(a: Integers, b: Integers, shape: tuple[int, ...]) -> float:
    """Symmetric Hausdorff distance of voxel coordinates divided by the shape.

    0 for two empty sets; for one empty set the diagonal √3, which no two voxels reach.
    """
    if not len(a) and not len(b):
        return 0.0
    if not len(a) or not len(b):
        return 3.0**0.5
    scale = np.array(shape, dtype=np.float64)
    shared = _rows_in(a, b, shape)
    only_a, only_b = a[~shared[0]], b[~shared[1]]
    # points of both sets are at distance 0 and cannot be the farthest
    one = directed_hausdorff(only_a / scale, b / scale) if len(only_a) else 0.0
    other = directed_hausdorff(only_b / scale, a / scale) if len(only_b) else 0.0
    return max(one, other)


def _rows_in(
    a: Integers, b: Integers, shape: tuple[int, ...]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    number_a = np.ravel_multi_index(tuple(a.T), shape)
    number_b = np.ravel_multi_index(tuple(b.T), shape)
    return np.isin(number_a, number_b), np.isin(number_b, number_a)


@metric(
    "hausdorff_3d",
    higher_is_better=False,
    bounds=(0.0, 3.0**0.5),
    truth="voxels",
    prediction="voxels",
)
def hausdorff_3d(y_true: Values, y_pred: Values) -> float:
    """Symmetric Hausdorff distance of two voxel masks, coordinates divided by the shape.

    Masks have shape (depth, height, width) and hold 0 and 1. Two empty masks are at distance 0, an
    empty and a filled one at √3.
    """
    true, pred = _voxels(y_true, "y_true"), _voxels(y_pred, "y_pred")
    require_same_length(true, pred)
    return _hausdorff(np.argwhere(true), np.argwhere(pred), true.shape)


def _voxels(values: Values, role: Role) -> NDArray[np.bool_]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise fault(role, f"is no voxel mask: {error}") from error
    if array.ndim != 3 or ((array != 0) & (array != 1)).any():
        raise fault(role, "must hold 0 and 1 in shape (depth, height, width)")
    return array == 1


@metric(
    "dice_hausdorff",
    higher_is_better=True,
    bounds=(None, 1.0),
    truth={
        "mask": "rle",
        "volume": "key",
        "slice": "real",
        "height": "real",
        "width": "real",
    },
    prediction="rle",
)
def dice_hausdorff(y_true: Values, y_pred: Values, *, dice_weight: float = 0.4) -> float:
    """0.4 Dice + 0.6 (1 - Hausdorff) of organ masks (UW-Madison GI tract).

    Dice is the mean over slices, 0 where both masks are empty. The Hausdorff distance is that of
    `hausdorff_3d`, averaged over volumes; a volume is all slices of one class of one scan, named by
    `volume`, in the order of `slice`. Masks are run-length codes of height x width pixels.
    """
    masks = text(field(y_true, "mask", "y_true"), "y_true")
    given = text(y_pred, "y_pred")
    require_same_length(masks, given)
    if not 0 <= dice_weight <= 1:
        raise InvalidInputError(f"dice_weight lies in [0, 1], not {dice_weight}")
    volume = np.array([str(v) for v in field(y_true, "volume", "y_true")])
    number, height, width = (
        real(field(y_true, name, "y_true"), "y_true").astype(np.int64)
        for name in ("slice", "height", "width")
    )
    for column in (number, height, width):
        require_same_length(column, volume)
    require_same_length(masks, volume.tolist())
    pairs: list[tuple[Mask, Mask]] = []
    for row, (a, b) in enumerate(zip(masks, given, strict=True)):
        size = image_size(int(height[row]), int(width[row]))
        pairs.append(
            (
                parse_rle(a, size=size, role="y_true", row=row),
                parse_rle(b, size=size, role="y_pred", row=row),
            )
        )
    dice = [2 * intersection(a, b) / max(1, a.area + b.area) for a, b in pairs]
    distances: list[float] = []
    for name in np.unique(volume):
        rows = np.flatnonzero(volume == name)
        rows = rows[np.argsort(number[rows], kind="stable")]
        shape = (len(rows), int(height[rows].max()), int(width[rows].max()))
        sides = [_volume([pairs[row][side] for row in rows], height[rows]) for side in (0, 1)]
        distances.append(_hausdorff(sides[0], sides[1], shape))
    return float(dice_weight * np.mean(dice) + (1 - dice_weight) * (1 - np.mean(distances)))


def _volume(masks: list[Mask], heights: Integers) -> Integers:
    """(depth, row, column) of every voxel of a stack of masks."""
    parts = [
        np.column_stack([np.full(mask.area, depth), pixels(mask, int(height))])
        for depth, (mask, height) in enumerate(zip(masks, heights, strict=True))
    ]
    return np.concatenate(parts).astype(np.int64)
