"""The named transforms of a recipe: small, pure functions from a table to a table.

Each is a record in a task file (`op:` names it) with an `apply` from a polars frame to a polars
frame; the caller's frame is never changed. Columns read from CSV arrive as text. Whatever draws
at random is seeded and draws per row in the order of the rows.
"""

import re
from typing import Annotated, Literal, cast

import numpy as np
import polars as pl
from pydantic import Field

from agentbench_tasks.errors import PreparationError
from agentbench_tasks.record import Record


class Rename(Record):
    """Give columns new names."""

    op: Literal["rename"]
    columns: dict[str, str]

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with columns renamed."""
        return frame.rename(self.columns)


class CopyColumn(Record):
    """Keep a second copy of a column under another name."""

    op: Literal["copy_column"]
    column: str
    to: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with column `to` added."""
        return frame.with_columns(pl.col(self.column).alias(self.to))


class MapValues(Record):
    """Replace the values of a column by a table; a value outside it becomes `default`."""

    op: Literal["map_values"]
    column: str
    values: dict[str, str]
    to: str | None = None
    default: str | None = None

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the column mapped; without a default an unknown value raises."""
        old = pl.col(self.column).cast(pl.String)
        if self.default is None:
            new = old.replace_strict(self.values)
        else:
            new = old.replace_strict(self.values, default=self.default)
        return frame.with_columns(new.alias(self.to or self.column))


class Template(Record):
    """A text column from others: `{store}_{dept}`."""

    op: Literal["template"]
    column: str
    template: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the column added; an empty field gives empty text."""
        fields = re.findall(r"\{(\w+)\}", self.template)
        pattern = re.sub(r"\{\w+\}", "{}", self.template)
        parts = [pl.col(field).cast(pl.String).fill_null("") for field in fields]
        return frame.with_columns(pl.format(pattern, *parts).alias(self.column))


class RegexExtract(Record):
    """The first group of a pattern, found in a column."""

    op: Literal["regex_extract"]
    column: str
    pattern: str
    to: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with column `to` added; no match gives null."""
        text = pl.col(self.column).cast(pl.String)
        return frame.with_columns(text.str.extract(self.pattern, 1).alias(self.to))


class RowNumber(Record):
    """A fresh identifier: the row's number from `start`, with an optional prefix."""

    op: Literal["row_number"]
    column: str
    start: int = 0
    prefix: str = ""

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the identifier as its first column."""
        frame = frame.drop(self.column, strict=False)
        number = pl.int_range(self.start, self.start + frame.height, eager=True)
        text = pl.Series(self.column, [f"{self.prefix}{value}" for value in number.to_list()])
        return frame.insert_column(0, text)


class Shuffle(Record):
    """Put the rows in a random order, so that position says nothing."""

    op: Literal["shuffle"]
    seed: int = 0

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the same rows in a seeded random order."""
        return frame[np.random.default_rng(self.seed).permutation(frame.height)]


class Keep(Record):
    """Keep the rows whose column has one of the values, or drop them with `drop: true`."""

    op: Literal["keep"]
    column: str
    values: tuple[str, ...]
    drop: bool = False

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that qualify."""
        inside = pl.col(self.column).cast(pl.String).is_in(list(self.values))
        return frame.filter(~inside if self.drop else inside)


class DropNulls(Record):
    """Drop rows in which one of the columns is empty."""

    op: Literal["drop_nulls"]
    columns: tuple[str, ...]

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the complete rows."""
        return frame.drop_nulls(list(self.columns))


class FillNulls(Record):
    """Put a value where a column is empty."""

    op: Literal["fill_nulls"]
    column: str
    value: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the column filled."""
        return frame.with_columns(pl.col(self.column).cast(pl.String).fill_null(self.value))


class OneHot(Record):
    """One 0/1 column per class of a label column."""

    op: Literal["one_hot"]
    column: str
    classes: tuple[str, ...]
    prefix: str = ""

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with one column per class, without the label column."""
        found = frame[self.column].cast(pl.String).unique()
        if odd := sorted(set(found.to_list()) - set(self.classes), key=str):
            raise PreparationError(f"column {self.column} holds {odd[0]!r}, which is no class")
        label = pl.col(self.column).cast(pl.String)
        columns = [
            (label == name).cast(pl.Int8).alias(f"{self.prefix}{name}") for name in self.classes
        ]
        return frame.with_columns(columns).drop(self.column)


class Indicators(Record):
    """One 0/1 column per class of a column that lists several labels in one text."""

    op: Literal["indicators"]
    column: str
    classes: tuple[str, ...]
    separator: str = ","
    prefix: str = ""

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with one column per class, without the label column."""
        labels = pl.col(self.column).cast(pl.String).fill_null("").str.split(self.separator)
        columns = [
            labels.list.contains(name).cast(pl.Int8).alias(f"{self.prefix}{name}")
            for name in self.classes
        ]
        return frame.with_columns(columns).drop(self.column)


class ArgMax(Record):
    """The name of the largest of several columns: one-hot columns become one label."""

    op: Literal["arg_max"]
    columns: tuple[str, ...]
    to: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with column `to` added; the first of equal columns wins."""
        values = frame.select(pl.col(self.columns).cast(pl.Float64)).to_numpy()
        places = cast("list[int]", values.argmax(axis=1).tolist())
        names = [self.columns[place] for place in places]
        return frame.with_columns(pl.Series(self.to, names, dtype=pl.String))


class Melt(Record):
    """Wide columns to long rows: one row per column and former row.

    With `number`, the name column holds the column's place (0, 1, ...) in place of its name.
    """

    op: Literal["melt"]
    columns: tuple[str, ...]
    name: str
    value: str
    number: bool = False

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the long frame, each former row's values together, in column order."""
        index = [column for column in frame.columns if column not in self.columns]
        place = {column: str(number) for number, column in enumerate(self.columns)}
        pairs = [
            pl.struct(
                pl.lit(place[column] if self.number else column).alias(self.name),
                pl.col(column).alias(self.value),
            )
            for column in self.columns
        ]
        long = frame.select(*index, pl.concat_list(pairs).alias("__pairs__"))
        return long.explode("__pairs__").unnest("__pairs__")


class Explode(Record):
    """List columns to one row per element, numbered from 0 in `index`."""

    op: Literal["explode"]
    columns: tuple[str, ...]
    index: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the long frame."""
        number = pl.int_ranges(pl.col(self.columns[0]).list.len()).alias(self.index)
        return frame.with_columns(number).explode(*self.columns, self.index)


class PopLast(Record):
    """Take the last element of a separated list out into its own column."""

    op: Literal["pop_last"]
    column: str
    to: str
    separator: str = ","

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the shortened list and the new column."""
        parts = pl.col(self.column).cast(pl.String).str.split(self.separator)
        head = parts.list.slice(0, parts.list.len() - 1).list.join(self.separator)
        return frame.with_columns(head.alias(self.column), parts.list.last().alias(self.to))


class DropWord(Record):
    """Remove one inner word of a sentence, drawn per row; the result goes to `to`."""

    op: Literal["drop_word"]
    column: str
    to: str
    seed: int = 0

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with column `to` added; sentences under three words stay whole."""
        rng = np.random.default_rng(self.seed)
        shortened: list[str] = []
        for sentence in frame[self.column].cast(pl.String).fill_null("").to_list():
            words = str(sentence).split(" ")
            if len(words) > 2:
                del words[int(rng.integers(1, len(words) - 1))]
            shortened.append(" ".join(words))
        return frame.with_columns(pl.Series(self.to, shortened, dtype=pl.String))


class PickPerGroup(Record):
    """Keep one row per group: a random one, or the first or last `count` by `sort_by`."""

    op: Literal["pick_per_group"]
    by: str
    which: Literal["random", "first", "last"]
    sort_by: str | None = None
    count: int = 1
    seed: int = 0

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the picked rows, in their old order."""
        if self.which == "random":
            order = pl.Series(np.random.default_rng(self.seed).permutation(frame.height))
        elif self.sort_by is None:
            order = pl.int_range(frame.height, eager=True)
        else:
            column = frame[self.sort_by]
            numbers = column.cast(pl.Float64, strict=False)
            order = column if numbers.null_count() > column.null_count() else numbers
        place = order.alias("__order__").rank("ordinal", descending=self.which == "last")
        rank = place.alias("__order__").to_frame().with_columns(frame[self.by].alias("__by__"))
        keep = rank.select(pl.col("__order__").rank("ordinal").over("__by__") <= self.count)
        return frame.filter(keep.to_series())


class NumberInGroup(Record):
    """Number the rows of each group from 1 in a random order."""

    op: Literal["number_in_group"]
    by: str
    column: str
    seed: int = 0

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the numbers added as `column`."""
        order = pl.Series("__order__", np.random.default_rng(self.seed).permutation(frame.height))
        number = pl.col("__order__").rank("ordinal").over(self.by).cast(pl.Int64)
        numbered = frame.with_columns(order).with_columns(number.alias(self.column))
        return numbered.drop("__order__")


class JoinGroup(Record):
    """One row per group, a column's values joined to one text in the order of `sort_by`."""

    op: Literal["join_group"]
    by: tuple[str, ...]
    column: str
    sort_by: str | None = None
    separator: str = " "
    unique: bool = False

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return groups in order of appearance; further columns keep the group's first value."""
        ordered = frame if self.sort_by is None else frame.sort(self.sort_by, maintain_order=True)
        values = pl.col(self.column).cast(pl.String)
        if self.unique:
            values = values.unique(maintain_order=True)
        rest = pl.exclude(*self.by, self.column).first()
        joined = values.str.join(self.separator)
        return ordered.group_by(*self.by, maintain_order=True).agg(joined, rest)


class SumGroup(Record):
    """One row per group: the sums of some columns (votes), the first value of the others."""

    op: Literal["sum_group"]
    by: tuple[str, ...]
    columns: tuple[str, ...]

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return groups in order of appearance: `columns` summed, the others' first values."""
        sums = pl.col(self.columns).cast(pl.Float64).sum()
        rest = pl.exclude(*self.by, *self.columns).first()
        return frame.group_by(*self.by, maintain_order=True).agg(sums, rest)


class NormaliseRows(Record):
    """Divide several columns by their row's sum, so that they are a distribution."""

    op: Literal["normalise_rows"]
    columns: tuple[str, ...]

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with rows that sum to 1; a row of zeros raises no error and is null."""
        numbers = [pl.col(column).cast(pl.Float64) for column in self.columns]
        total = pl.sum_horizontal(numbers)
        return frame.with_columns(
            [pl.when(total > 0).then(number / total).name.keep() for number in numbers]
        )


class TruncateGroups(Record):
    """Keep, of each group, a random number of first rows (at least `least`), as time goes on."""

    op: Literal["truncate_groups"]
    by: str
    least: int = 2
    seed: int = 0

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the kept rows in their old order; the last row of a group is always dropped."""
        rng = np.random.default_rng(self.seed)
        groups = frame.group_by(self.by, maintain_order=True).len()
        sizes = cast("list[int]", groups["len"].to_list())
        kept = [int(rng.integers(min(self.least, n - 1), max(n, 2))) for n in sizes]
        limits = groups.select(self.by, pl.Series("__kept__", kept))
        place = pl.int_range(pl.len()).over(self.by)
        marked = frame.join(limits, on=self.by, how="left", maintain_order="left")
        return marked.filter(place < pl.col("__kept__")).drop("__kept__")


class RegexReplace(Record):
    """Replace every match of a pattern in a column."""

    op: Literal["regex_replace"]
    column: str
    pattern: str
    to: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the column changed."""
        text = pl.col(self.column).cast(pl.String)
        return frame.with_columns(text.str.replace_all(self.pattern, self.to))


class Threshold(Record):
    """A number column to 0/1: 1 from `at` upwards; an empty field is 0."""

    op: Literal["threshold"]
    column: str
    at: float
    to: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with column `to` added."""
        number = pl.col(self.column).cast(pl.Float64).fill_null(0.0)
        return frame.with_columns((number >= self.at).cast(pl.Int8).alias(self.to))


class Constant(Record):
    """A column with one value."""

    op: Literal["constant"]
    column: str
    value: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the column added."""
        return frame.with_columns(pl.lit(self.value).alias(self.column))


class Choose(Record):
    """A column that takes each row's value from another column, named by a third."""

    op: Literal["choose"]
    to: str
    column: str
    values: dict[str, str]
    default: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with column `to` added."""
        chosen = pl.col(self.default)
        for name, source in self.values.items():
            chosen = pl.when(pl.col(self.column) == name).then(pl.col(source)).otherwise(chosen)
        return frame.with_columns(chosen.alias(self.to))


class DropColumns(Record):
    """Remove columns."""

    op: Literal["drop_columns"]
    columns: tuple[str, ...]

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame without them."""
        return frame.drop(self.columns)


class GroupMembers(Record):
    """Give every row the values of a column over its whole group, joined to one text."""

    op: Literal["group_members"]
    by: str
    column: str
    to: str
    separator: str = " "

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with column `to` added."""
        members = pl.col(self.column).cast(pl.String).str.join(self.separator).over(self.by)
        return frame.with_columns(members.alias(self.to))


Transform = Annotated[
    Rename
    | CopyColumn
    | MapValues
    | Template
    | RegexExtract
    | RowNumber
    | Shuffle
    | Keep
    | DropNulls
    | FillNulls
    | OneHot
    | Indicators
    | ArgMax
    | Melt
    | Explode
    | PopLast
    | DropWord
    | PickPerGroup
    | NumberInGroup
    | JoinGroup
    | SumGroup
    | NormaliseRows
    | TruncateGroups
    | RegexReplace
    | Threshold
    | Constant
    | Choose
    | DropColumns
    | GroupMembers,
    Field(discriminator="op"),
]


def apply_all(transforms: tuple[Transform, ...], frame: pl.DataFrame) -> pl.DataFrame:
    """Apply transforms in order."""
    for transform in transforms:
        frame = transform.apply(frame)
    return frame
