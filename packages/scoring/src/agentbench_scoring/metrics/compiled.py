"""Kernels compiled by numba (extra `fast`); importing this without numba is an ImportError."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_compile: Any = numba.njit(nogil=True, boundscheck=False)


@_compile
def split(
    chosen: NDArray[np.bool_], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values chosen and the others, in their order."""
    inside, outside = np.empty(values.size + 1), np.empty(values.size + 1)
    i, j = 0, 0
    for row in range(values.size):  # both are written, so that nothing is guessed
        inside[i] = outside[j] = values[row]
        i += chosen[row]
        j += not chosen[row]
    return inside[:i], outside[:j]


@_compile
def wins_and_ties(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> int:
    """2 #{p > n} + #{p = n} of two sorted arrays, by one merge."""
    total, below, up_to = 0, 0, 0
    n = negative.size
    for value in positive:
        while below < n and negative[below] < value:
            below += 1
        up_to = max(up_to, below)
        while up_to < n and negative[up_to] <= value:
            up_to += 1
        total += below + up_to
    return total


@_compile
def confusion(
    true: NDArray[np.integer[Any]], pred: NDArray[np.integer[Any]], low: int, k: int
) -> NDArray[np.int64] | None:
    """Counts (k, k) of pairs of integers in [low, low + k); None if one lies outside.

    Four tables are filled in turn, so that no count waits for the one before.
    """
    tables = np.zeros((4, k, k), dtype=np.int64)
    for i in range(true.size):
        a, b = np.int64(true[i]) - low, np.int64(pred[i]) - low
        if a < 0 or b < 0 or a >= k or b >= k:
            return None
        tables[i & 3, a, b] += 1
    return tables.sum(axis=0)


@_compile
def _is_space(character: int) -> bool:
    """Whether Python's `str.split` parts ASCII text here."""
    return character == 32 or 9 <= character <= 13 or 28 <= character <= 31


@_compile
def _next_word(text: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Start and end of the next word of the row; equal, at the newline, when there is none."""
    while at < text.size and text[at] != 10 and _is_space(text[at]):
        at += 1
    start = at
    while at < text.size and not _is_space(text[at]):
        at += 1
    return start, at


@_compile
def _find(  # noqa: PLR0917 (compiled code has no keywords)
    text: NDArray[np.uint8],
    start: int,
    end: int,
    others: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    n: int,
) -> int:
    """Which of n words of `others` equals text[start:end]; -1 if none."""
    length = end - start
    for i in range(n):
        if ends[i] - starts[i] != length:
            continue
        at = length - 1  # words of a task often share how they begin
        while at >= 0 and text[start + at] == others[starts[i] + at]:
            at -= 1
        if at < 0:
            return i
    return -1


@_compile
def map_at_k(true: NDArray[np.uint8], pred: NDArray[np.uint8], rows: int, k: int) -> float:
    """Mean average precision at k of rows of ASCII words, rows parted by newlines.

    A negative result -r - 1 says that row r has no true word.
    """
    starts = np.empty(true.size // 2 + 1, dtype=np.int64)
    ends, found = np.empty_like(starts), np.empty(starts.size, dtype=np.bool_)
    total, t, p = 0.0, 0, 0
    for row in range(rows):
        n = 0
        while True:
            start, t = _next_word(true, t)
            if start == t:
                break
            if _find(true, start, t, true, starts, ends, n) < 0:
                starts[n], ends[n], found[n] = start, t, False
                n += 1
        if n == 0:
            return -row - 1.0
        place, hits, precision = 0, 0, 0.0
        while True:
            start, p = _next_word(pred, p)
            if start == p:
                break
            place += 1
            if place <= k:
                match = _find(pred, start, p, true, starts, ends, n)
                if match >= 0 and not found[match]:
                    found[match] = True
                    hits += 1
                    precision += hits / place
        total += precision / min(n, k)
        t, p = t + 1, p + 1
    return total / rows
