"""Run-length encoded masks as sorted runs: "start length start length ...", 1-indexed.

Pixels are numbered down the columns (column-major). Masks are compared run by run and never
decoded, so cost grows with the number of runs and not with the size of the image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.metrics.inputs import Role, fault

Runs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mask:
    """Runs [start, end) of pixel numbers from 0, sorted and disjoint."""

    starts: Runs
    ends: Runs

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int((self.ends - self.starts).sum())


def parse_rle(cell: str, *, size: int | None, role: Role, row: int) -> Mask:
    """The mask of one cell; empty text is the empty mask.

    Args:
        cell: "start length ...", decimal integers.
        size: Pixels of the image; None if unknown.
        role: Which argument it is from, for the error.
        row: Its row, for the error.

    Raises:
        InvalidSubmissionError: Odd count, not integers, a length below 1, runs that are not
            sorted or overlap, or a pixel outside the image (in `y_pred`).
        InvalidInputError: The same in `y_true`.
    """
    if not isinstance(cell, str):  # pyright: ignore[reportUnnecessaryIsInstance] (lists hold anything)
        raise fault(role, f"row {row} is {cell!r}, not a run-length code")
    words = cell.split()
    if len(words) % 2:
        raise fault(role, f"row {row}: a run-length code has pairs, not {len(words)} numbers")
    if not cell.isascii() or not all(w.isdigit() and len(w) < 18 for w in words):
        raise fault(role, f"row {row}: a run-length code holds positive integers only")
    numbers = np.array(words, dtype=np.int64)
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    ends = starts + lengths
    if not words:
        return Mask(starts, ends)
    if starts[0] < 0 or lengths.min() < 1:
        raise fault(role, f"row {row}: starts count from 1 and lengths are at least 1")
    if (starts[1:] < ends[:-1]).any():
        raise fault(role, f"row {row}: runs must be sorted and must not overlap")
    if size is not None and ends[-1] > size:
        raise fault(role, f"row {row}: the last run ends at {ends[-1]} of {size} pixels")
    return Mask(starts, ends)


def image_size(height: int, width: int) -> int:
    """Pixels of an image; the sides must be positive."""
    if height < 1 or width < 1:
        raise InvalidInputError(f"an image cannot have {height} x {width} pixels")
    return height * width


def intersection(a: Mask, b: Mask) -> int:
    """Pixels that two masks share: O((runs of a + runs of b) log) by prefix sums."""
    if not len(a.starts) or not len(b.starts):
        return 0
    return int((_covered(b, a.ends) - _covered(b, a.starts)).sum())


def _covered(mask: Mask, points: Runs) -> Runs:
    """For each point, how many pixels of the mask lie before it."""
    total = np.concatenate([[0], np.cumsum(mask.ends - mask.starts)])
    run = np.searchsorted(mask.starts, points, side="right")
    over = np.where(run > 0, np.maximum(mask.ends[run - 1] - points, 0), 0)
    return total[run] - over
