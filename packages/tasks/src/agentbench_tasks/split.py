"""Which rows are held out: the six methods of a recipe's `split`, seeded and deterministic."""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_tasks.errors import PreparationError
from agentbench_tasks.recipe import Split

Mask = NDArray[np.bool_]


def split_columns(split: Split) -> list[str]:
    """Columns of the main table that the split looks at."""
    return [column for column in (split.by, split.stratify) if column is not None]


def held_out(split: Split, columns: pl.DataFrame, sides: pl.Series | None = None) -> Mask:
    """Mark the rows that go to the test side.

    Args:
        split: The rule.
        columns: The columns named by `split_columns`, one row per row of the main table.
        sides: For method `given`: `train` or `test` for every row.

    Returns:
        One boolean per row, shape (n,), true for the test side.

    Raises:
        PreparationError: One of the sides would be empty.
    """
    rng = np.random.default_rng(split.seed)
    n = columns.height if sides is None else len(sides)
    match split.method:
        case "random":
            keys = None if split.stratify is None else columns[split.stratify]
            mask = _random(rng, n, split, keys)
        case "per_class":
            mask = _random(rng, n, split, columns[_by(split)])
        case "group":
            mask = _groups(rng, split, columns[_by(split)])
        case "time":
            mask = _latest(split, columns[_by(split)])
        case "fixed_ids":
            mask = columns[_by(split)].cast(pl.String).is_in(list(split.ids)).to_numpy()
        case "given":
            if sides is None:
                raise PreparationError("split method 'given' needs the side of every row")
            mask = (sides == "test").to_numpy()
    if not 0 < int(mask.sum()) < n:
        raise PreparationError(
            f"split {split.method} of {n} rows puts {int(mask.sum())} on the test side:"
            " both sides need rows"
        )
    return mask


def _by(split: Split) -> str:
    return split.by or ""


def _count(split: Split, n: int) -> int:
    """How many of n to hold out: never none, never all.

    An absolute `n` is the number for the whole competition's data; on a stand-in with fewer rows
    it becomes at most 40 % of them.
    """
    if split.n is not None:
        wanted = split.n if split.n <= n // 2 else math.floor(0.4 * n)
    else:
        wanted = math.floor((split.test or 0) * n + 0.5)
    return min(max(wanted, 1), n - 1)


def _random(rng: np.random.Generator, n: int, split: Split, keys: pl.Series | None) -> Mask:
    """A uniform draw; with keys, the same share of every key's rows, by largest remainder."""
    mask = np.zeros(n, dtype=np.bool_)
    if keys is None:
        mask[rng.permutation(n)[: _count(split, n)]] = True
        return mask
    codes = keys.cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.int64) - 1
    sizes = np.bincount(codes)
    share = _count(split, n) / n * sizes
    take = np.floor(share).astype(np.int64)
    missing = _count(split, n) - int(take.sum())
    take[np.argsort(take - share, kind="stable")[:missing]] += 1
    order = rng.permutation(n)
    order = order[np.argsort(codes[order], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank_in_key = np.arange(n) - np.repeat(starts, sizes)
    mask[order[rank_in_key < np.repeat(take, sizes)]] = True
    return mask


def _groups(rng: np.random.Generator, split: Split, groups: pl.Series) -> Mask:
    """Whole groups, drawn uniformly among the sorted distinct values."""
    values = groups.cast(pl.String).unique().sort()
    if len(values) < 2:
        raise PreparationError(f"split by group {groups.name!r}: only {len(values)} group")
    drawn = rng.permutation(len(values))[: _count(split, len(values))]
    return groups.cast(pl.String).is_in(values[np.sort(drawn).tolist()].to_list()).to_numpy()


def _latest(split: Split, times: pl.Series) -> Mask:
    """The last distinct values: numbers as numbers, everything else as text (ISO dates sort)."""
    numbers = times.cast(pl.Float64, strict=False)
    keys = times.cast(pl.String) if numbers.null_count() > times.null_count() else numbers
    values = keys.unique().sort()
    if len(values) < 2:
        raise PreparationError(f"split by time {times.name!r}: only {len(values)} distinct value")
    first = values[len(values) - _count(split, len(values))]
    return (keys >= first).fill_null(value=False).to_numpy()
