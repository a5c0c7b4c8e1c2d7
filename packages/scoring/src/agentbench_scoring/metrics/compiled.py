"""Kernels compiled by numba (extra `fast`); importing this without numba is an ImportError."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_compile: Any = numba.njit(nogil=True, boundscheck=False)


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
