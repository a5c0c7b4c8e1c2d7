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


PAD = " " * 8  # before and after a text, so that eight bytes can be read anywhere in it

_Words = tuple[NDArray[np.uint8], NDArray[np.uint64]]


def words_of(text: bytes) -> _Words:
    """A text as its bytes and, at each byte but the last seven, as the eight that begin there."""
    eights = np.ndarray(len(text) - 7, dtype="<u8", buffer=text, strides=(1,))
    return np.frombuffer(text, dtype=np.uint8), eights


@_compile
def _is_space(character: int) -> bool:
    """Whether Python's `str.split` parts ASCII text here."""
    return character == 32 or 9 <= character <= 13 or 28 <= character <= 31


@_compile
def _first_low(eight: np.uint64) -> Any:
    """Which of eight ASCII bytes is the first below 33; 8 if none is."""
    found = (eight - np.uint64(0x2121212121212121)) & np.uint64(0x8080808080808080)
    if found == 0:
        return 8
    lowest = (found & (~found + np.uint64(1))) >> np.uint64(7)
    return np.int64((lowest * np.uint64(0x0001020304050607)) >> np.uint64(56))


@_compile
def _next_word(words: _Words, at: int) -> tuple[int, int]:
    """Start and end of the next word of the row; equal, at the newline, when there is none."""
    text, eights = words
    while text[at] != 10 and _is_space(text[at]):
        at += 1
    start = at
    while True:
        step = _first_low(eights[at])
        at += step
        if step < 8:
            if _is_space(text[at]):
                return start, at
            at += 1


@_compile
def _tail(words: _Words, start: int, end: int) -> np.uint64:
    """The last eight bytes of a word, or all of a shorter one."""
    unused = max(0, 8 - (end - start))
    return words[1][end - 8] >> np.uint64(8 * unused)


@_compile
def _same(words: _Words, start: int, end: int, others: _Words, other: int) -> bool:
    """Whether text[start:end] is what begins at `other`, but for the last eight bytes."""
    for i in range(end - start - 8):  # noqa: SIM110 (compiled code has no generators)
        if words[0][start + i] != others[0][other + i]:
            return False
    return True


@_compile
def _distinct_words(
    words: _Words,
    at: int,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    tails: NDArray[np.uint64],
) -> tuple[int, int]:
    """Number of distinct words of the row, which are written to the arrays, and its end."""
    n = 0
    while True:
        start, at = _next_word(words, at)
        if start == at:
            return n, at
        tail, i = _tail(words, start, at), 0
        while i < n and not (
            tails[i] == tail
            and ends[i] - starts[i] == at - start
            and _same(words, start, at, words, starts[i])
        ):
            i += 1
        if i == n:
            starts[n], ends[n], tails[n] = start, at, tail
            n += 1


@_compile
def map_at_k(true: _Words, pred: _Words, rows: int, k: int) -> float:
    """Mean average precision at k of rows of ASCII words, rows parted by newlines.

    A row of blanks lies before and after them. A negative result -r - 1 says that row r has no
    true word, NaN that there are not as many rows.
    """
    most = true[0].size // 2 + 1
    starts, ends = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    tails, found = np.empty(most, dtype=np.uint64), np.empty(most, dtype=np.bool_)
    total, t, p = 0.0, 9, 9
    for row in range(rows):
        if t >= true[0].size - 8 or p >= pred[0].size - 8:
            return np.nan
        n, t = _distinct_words(true, t, starts, ends, tails)
        if n == 0:
            return -row - 1.0
        found[:n] = False
        place, hits, precision = 0, 0, 0.0
        while True:
            start, p = _next_word(pred, p)
            if start == p:
                break
            place += 1
            tail = _tail(pred, start, p)
            for i in range(n if place <= k else 0):
                if (
                    tails[i] == tail
                    and not found[i]
                    and ends[i] - starts[i] == p - start
                    and _same(pred, start, p, true, starts[i])
                ):
                    found[i] = True
                    hits += 1
                    precision += hits / place
        total += precision / min(n, k)
        t, p = t + 1, p + 1
    if t != true[0].size - 8 or p != pred[0].size - 8:
        return np.nan
    return total / rows
