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
_WRITTEN = b"0123456789 \t\r\n"
_EIGHT = np.uint64(8)
_JOINS = tuple(
    (np.uint64(10**digits << bits | 1), np.uint64(bits), np.uint64(mask))
    for digits, bits, mask in (
        (1, 8, 0x00FF00FF00FF00FF),
        (2, 16, 0x0000FFFF0000FFFF),
        (4, 32, 0x00000000FFFFFFFF),
    )
)


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
    if not cell.isascii() or (written := cell.encode()).translate(None, _WRITTEN):
        raise fault(role, f"row {row}: a run-length code holds positive integers only")
    numbers = _integers(written)
    if numbers is None:
        raise fault(role, f"row {row}: a run-length code holds a number of 16 digits or more")
    if numbers.size % 2:
        raise fault(role, f"row {row}: a run-length code has pairs, not {numbers.size} numbers")
    if not numbers.size:
        return Mask(numbers, numbers)
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    ends = starts + lengths
    if starts[0] < 0 or lengths.min() < 1:
        raise fault(role, f"row {row}: starts count from 1 and lengths are at least 1")
    if (starts[1:] < ends[:-1]).any():
        raise fault(role, f"row {row}: runs must be sorted and must not overlap")
    if size is not None and ends[-1] > size:
        raise fault(role, f"row {row}: the last run ends at {ends[-1]} of {size} pixels")
    return Mask(starts, ends)


def _integers(written: bytes) -> Runs | None:
    """The decimal integers of a text of digits and blanks; None if one has 16 digits or more."""
    padded = b" " * 16 + written + b" "
    gaps = np.flatnonzero(np.frombuffer(padded, dtype=np.uint8) <= ord(" "))
    digits = np.diff(gaps) - 1
    ends = gaps[1:][digits > 0]
    digits = digits[digits > 0].astype(np.uint64)
    if digits.size and digits.max() > 15:
        return None
    words = np.ndarray(len(padded) - 7, dtype="<u8", buffer=padded, strides=(1,))
    numbers = _eight_digits(words[ends - 8], np.minimum(digits, _EIGHT))
    long = np.flatnonzero(digits > 8)
    if long.size:
        upper = _eight_digits(words[ends[long] - 16], digits[long] - _EIGHT)
        numbers[long] += upper * np.uint64(10**8)
    return numbers.view(np.int64)


def _eight_digits(words: NDArray[np.uint64], digits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """What the last `digits` (at most 8) characters of each word of 8 say, as an integer.

    Neighbours are joined to numbers of two digits, of four and of eight, within each word.
    """
    unused = (_EIGHT - digits) << np.uint64(3)
    number = ((words >> unused) << unused) & np.uint64(0x0F0F0F0F0F0F0F0F)
    for factor, bits, mask in _JOINS:
        number *= factor
        number >>= bits
        number &= mask
    return number


def image_size(height: int, width: int) -> int:
    """Pixels of an image; the sides must be positive."""
    if height < 1 or width < 1:
        raise InvalidInputError(f"an image cannot have {height} x {width} pixels")
    return height * width


def intersection(a: Mask, b: Mask) -> int:
    """Pixels that two masks share, in time linear in their runs.

    With at most two runs over a pixel, two lie from the (k + 1)th start to the kth end, if that is
    later. The sorted halves of a list are merged by a stable sort.
    """
    if not len(a.starts) or not len(b.starts):
        return 0
    starts = np.sort(np.concatenate([a.starts, b.starts]), kind="stable")
    ends = np.sort(np.concatenate([a.ends, b.ends]), kind="stable")
    return int(np.maximum(ends[:-1] - starts[1:], 0).sum())
