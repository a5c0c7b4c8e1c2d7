"""The order of float64 columns, by one sort of integers that hold both value and row number."""

import numpy as np
from numpy.typing import NDArray

from agentbench_scoring.metrics.inputs import BLOCK, Floats, Integers

_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
Orders = NDArray[np.int64]
Flags = NDArray[np.bool_]


def codes(values: Floats) -> Integers:
    """Integers in the order of finite floats, shape (n,); equal floats (0.0, -0.0) are equal."""
    out = np.empty(values.size, dtype=np.int64)
    for start in range(0, values.size, BLOCK):
        _encode(values[start : start + BLOCK], out[start : start + BLOCK])
    return out


def _encode(block: Floats, out: Integers) -> None:
    bits = (block + 0.0).view(np.int64)  # -0.0 becomes 0.0
    np.right_shift(bits, 63, out=out)  # a negative float has its magnitude inverted
    np.bitwise_and(out, _MAGNITUDE, out=out)
    np.bitwise_xor(out, bits, out=out)


def argsort(values: Floats) -> tuple[Orders, Flags]:
    """The stable order of finite floats, and where in it a new value begins.

    Code and row number share 64 bits, so that one sort of integers gives the order. Low bits of
    the code that have no room are dropped, and rows they would part are ordered afterwards.

    Returns:
        `order` of shape (n,), `values[order]` rises; `new` of shape (n,) is True where
        `values[order]` differs from the value before, and at the first.
    """
    n = values.size
    if not n:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
    low, high = codes(np.array([values.min(), values.max()])).tolist()
    row_bits = max(1, (n - 1).bit_length())
    dropped = max(0, (high - low).bit_length() + row_bits - 63)
    keys = np.empty(n, dtype=np.int64)
    for start in range(0, n, BLOCK):
        key = keys[start : start + BLOCK]
        _encode(values[start : start + BLOCK], key)
        key -= low  # modulo 2^64: the span may take all 64 bits
        unsigned = key.view(np.uint64)
        unsigned >>= np.uint64(dropped)
        unsigned <<= np.uint64(row_bits)
        unsigned |= np.arange(start, start + key.size, dtype=np.uint64)
    keys.sort()
    order, new = np.empty(n, dtype=np.int64), np.ones(n, dtype=np.bool_)
    for start in range(0, n, BLOCK):
        block = keys[start : start + BLOCK + 1] >> row_bits
        np.not_equal(block[1:], block[:-1], out=new[start + 1 : start + BLOCK + 1])
        block = keys[start : start + BLOCK]
        np.bitwise_and(block, (1 << row_bits) - 1, out=order[start : start + BLOCK])
    if dropped and not new.all():
        _separate(values, order, new)
    return order, new


def _separate(values: Floats, order: Orders, new: Flags) -> None:
    """Order by value, in place, the runs whose codes differ only in the bits that were dropped."""
    crowded = ~new
    crowded[:-1] |= ~new[1:]
    places = np.flatnonzero(crowded)
    rows, run = order[places], np.cumsum(new)[places]
    rows = rows[np.lexsort((values[rows], run))]
    order[places] = rows
    new[places[1:]] |= values[rows[1:]] != values[rows[:-1]]


def midranks(new: Flags) -> Floats:
    """Ranks from 1 along a sorted column, equal values sharing their mean rank; `new` as above."""
    n = new.size
    if new.all():
        return np.arange(1.0, n + 1)
    start = np.flatnonzero(new)
    size = np.diff(np.r_[start, n])
    return np.repeat(start + (size + 1) / 2, size)


def ranks(values: Floats) -> Floats:
    """Ranks from 1 of finite floats, shape (n,); equal values share their mean rank."""
    order, new = argsort(values)
    out = np.empty(values.size)
    out[order] = midranks(new)
    return out
