"""Transforms that change which rows there are, or their order.

Pure functions from a table to a table; the caller's frame is never changed.
Whatever draws at random is seeded and draws per row in the order of the rows.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import polars as pl

from agentbench_tasks.record import Record
from agentbench_tasks.transforms import (
    DropNulls,
    Explode,
    JoinGroup,
    Keep,
    Melt,
    PickPerGroup,
    Shuffle,
    SumGroup,
    TruncateGroups,
)

Apply = Callable[[Any, pl.DataFrame], pl.DataFrame]


def shuffle(rule: Shuffle, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the same rows in a seeded random order."""
    return frame[np.random.default_rng(rule.seed).permutation(frame.height)]


def keep(rule: Keep, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that qualify."""
    inside = pl.col(rule.column).cast(pl.String).is_in(list(rule.values))
    return frame.filter(~inside if rule.drop else inside)


def drop_nulls(rule: DropNulls, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the complete rows."""
    return frame.drop_nulls(list(rule.columns))


def melt(rule: Melt, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the long frame, each former row's values together, in column order."""
    index = [column for column in frame.columns if column not in rule.columns]
    place = {column: str(number) for number, column in enumerate(rule.columns)}
    pairs = [
        pl.struct(
            pl.lit(place[column] if rule.number else column).alias(rule.name),
            pl.col(column).alias(rule.value),
        )
        for column in rule.columns
    ]
    long = frame.select(*index, pl.concat_list(pairs).alias("__pairs__"))
    return long.explode("__pairs__").unnest("__pairs__")


def explode(rule: Explode, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the long frame."""
    number = pl.int_ranges(pl.col(rule.columns[0]).list.len()).alias(rule.index)
    return frame.with_columns(number).explode(*rule.columns, rule.index)


def pick_per_group(rule: PickPerGroup, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the picked rows, in their old order."""
    if rule.which == "random":
        order = pl.Series(np.random.default_rng(rule.seed).permutation(frame.height))
    elif rule.sort_by is None:
        order = pl.int_range(frame.height, eager=True)
    else:
        column = frame[rule.sort_by]
        numbers = column.cast(pl.Float64, strict=False)
        order = column if numbers.null_count() > column.null_count() else numbers
    place = order.alias("__order__").rank("ordinal", descending=rule.which == "last")
    rank = place.alias("__order__").to_frame().with_columns(frame[rule.by].alias("__by__"))
    keep = rank.select(pl.col("__order__").rank("ordinal").over("__by__") <= rule.count)
    return frame.filter(keep.to_series())


def join_group(rule: JoinGroup, frame: pl.DataFrame) -> pl.DataFrame:
    """Return groups in order of appearance; further columns keep the group's first value."""
    ordered = frame if rule.sort_by is None else frame.sort(rule.sort_by, maintain_order=True)
    values = pl.col(rule.column).cast(pl.String)
    if rule.unique:
        values = values.unique(maintain_order=True)
    rest = pl.exclude(*rule.by, rule.column).first()
    joined = values.str.join(rule.separator)
    return ordered.group_by(*rule.by, maintain_order=True).agg(joined, rest)


def sum_group(rule: SumGroup, frame: pl.DataFrame) -> pl.DataFrame:
    """Return groups in order of appearance: `columns` summed, the others' first values."""
    sums = pl.col(rule.columns).cast(pl.Float64).sum()
    rest = pl.exclude(*rule.by, *rule.columns).first()
    return frame.group_by(*rule.by, maintain_order=True).agg(sums, rest)


def truncate_groups(rule: TruncateGroups, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the kept rows in their old order; the last row of a group is always dropped."""
    rng = np.random.default_rng(rule.seed)
    groups = frame.group_by(rule.by, maintain_order=True).len()
    sizes = cast("list[int]", groups["len"].to_list())
    kept = [int(rng.integers(min(rule.least, n - 1), max(n, 2))) for n in sizes]
    limits = groups.select(rule.by, pl.Series("__kept__", kept))
    place = pl.int_range(pl.len()).over(rule.by)
    marked = frame.join(limits, on=rule.by, how="left", maintain_order="left")
    return marked.filter(place < pl.col("__kept__")).drop("__kept__")


ROWS: dict[type[Record], Apply] = {
    Shuffle: shuffle,
    Keep: keep,
    DropNulls: drop_nulls,
    Melt: melt,
    Explode: explode,
    PickPerGroup: pick_per_group,
    JoinGroup: join_group,
    SumGroup: sum_group,
    TruncateGroups: truncate_groups,
}
