"""Transforms that change columns: every row stays, in its place.

Pure functions from a table to a table; the caller's frame is never changed.
"""

import re
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import polars as pl

from agentbench_tasks.errors import PreparationError
from agentbench_tasks.record import Record
from agentbench_tasks.transforms import (
    ArgMax,
    Choose,
    Constant,
    CopyColumn,
    DropColumns,
    DropWord,
    FillNulls,
    GroupMembers,
    Indicators,
    MapValues,
    NormaliseRows,
    NumberInGroup,
    OneHot,
    PadLists,
    PopLast,
    RegexExtract,
    RegexReplace,
    Rename,
    RowNumber,
    Template,
    Threshold,
)

Apply = Callable[[Any, pl.DataFrame], pl.DataFrame]


def rename(rule: Rename, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with columns renamed."""
    return frame.rename(rule.columns)


def copy_column(rule: CopyColumn, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with column `to` added."""
    return frame.with_columns(pl.col(rule.column).alias(rule.to))


def map_values(rule: MapValues, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the column mapped; without a default an unknown value raises."""
    old = pl.col(rule.column).cast(pl.String)
    if rule.default is None:
        new = old.replace_strict(rule.values)
    else:
        new = old.replace_strict(rule.values, default=rule.default)
    return frame.with_columns(new.alias(rule.to or rule.column))


def template(rule: Template, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the column added; an empty field gives empty text."""
    fields = re.findall(r"\{(\w+)\}", rule.template)
    pattern = re.sub(r"\{\w+\}", "{}", rule.template)
    parts = [pl.col(field).cast(pl.String).fill_null("") for field in fields]
    return frame.with_columns(pl.format(pattern, *parts).alias(rule.column))


def regex_extract(rule: RegexExtract, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with column `to` added; no match gives null."""
    text = pl.col(rule.column).cast(pl.String)
    return frame.with_columns(text.str.extract(rule.pattern, 1).alias(rule.to))


def row_number(rule: RowNumber, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the identifier as its first column."""
    frame = frame.drop(rule.column, strict=False)
    number = pl.int_range(rule.start, rule.start + frame.height, eager=True)
    text = pl.Series(rule.column, [f"{rule.prefix}{value}" for value in number.to_list()])
    return frame.insert_column(0, text)


def fill_nulls(rule: FillNulls, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the column filled."""
    return frame.with_columns(pl.col(rule.column).cast(pl.String).fill_null(rule.value))


def one_hot(rule: OneHot, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with one column per class, without the label column."""
    found = frame[rule.column].cast(pl.String).unique()
    if odd := sorted(set(found.to_list()) - set(rule.classes), key=str):
        raise PreparationError(f"column {rule.column} holds {odd[0]!r}, which is no class")
    label = pl.col(rule.column).cast(pl.String)
    columns = [(label == name).cast(pl.Int8).alias(f"{rule.prefix}{name}") for name in rule.classes]
    return frame.with_columns(columns).drop(rule.column)


def indicators(rule: Indicators, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with one column per class, without the label column."""
    labels = pl.col(rule.column).cast(pl.String).fill_null("").str.split(rule.separator)
    columns = [
        labels.list.contains(name).cast(pl.Int8).alias(f"{rule.prefix}{name}")
        for name in rule.classes
    ]
    return frame.with_columns(columns).drop(rule.column)


def arg_max(rule: ArgMax, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with column `to` added; the first of equal columns wins."""
    values = frame.select(pl.col(rule.columns).cast(pl.Float64)).to_numpy()
    places = cast("list[int]", values.argmax(axis=1).tolist())
    names = [rule.columns[place] for place in places]
    return frame.with_columns(pl.Series(rule.to, names, dtype=pl.String))


def pad_lists(rule: PadLists, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with longer lists; one that is long enough stays."""
    length = pl.col(rule.like).str.len_chars()
    return frame.with_columns(
        pl.col(name).list.concat(
            pl.lit(0.0).repeat_by((length - pl.col(name).list.len().cast(pl.Int64)).clip(0))
        )
        for name in rule.columns
    )


def pop_last(rule: PopLast, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the shortened list and the new column."""
    parts = pl.col(rule.column).cast(pl.String).str.split(rule.separator)
    head = parts.list.slice(0, parts.list.len() - 1).list.join(rule.separator)
    return frame.with_columns(head.alias(rule.column), parts.list.last().alias(rule.to))


def drop_word(rule: DropWord, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with column `to` added; sentences under three words stay whole."""
    rng = np.random.default_rng(rule.seed)
    shortened: list[str] = []
    for sentence in frame[rule.column].cast(pl.String).fill_null("").to_list():
        words = str(sentence).split(" ")
        if len(words) > 2:
            del words[int(rng.integers(1, len(words) - 1))]
        shortened.append(" ".join(words))
    return frame.with_columns(pl.Series(rule.to, shortened, dtype=pl.String))


def number_in_group(rule: NumberInGroup, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the numbers added as `column`."""
    order = pl.Series("__order__", np.random.default_rng(rule.seed).permutation(frame.height))
    number = pl.col("__order__").rank("ordinal").over(rule.by).cast(pl.Int64)
    numbered = frame.with_columns(order).with_columns(number.alias(rule.column))
    return numbered.drop("__order__")


def normalise_rows(rule: NormaliseRows, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with rows that sum to 1; a row of zeros raises no error and is null."""
    numbers = [pl.col(column).cast(pl.Float64) for column in rule.columns]
    total = pl.sum_horizontal(numbers)
    return frame.with_columns(
        [pl.when(total > 0).then(number / total).name.keep() for number in numbers]
    )


def regex_replace(rule: RegexReplace, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the column changed."""
    text = pl.col(rule.column).cast(pl.String)
    return frame.with_columns(text.str.replace_all(rule.pattern, rule.to))


def threshold(rule: Threshold, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with column `to` added."""
    number = pl.col(rule.column).cast(pl.Float64).fill_null(0.0)
    return frame.with_columns((number >= rule.at).cast(pl.Int8).alias(rule.to))


def constant(rule: Constant, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the column added."""
    return frame.with_columns(pl.lit(rule.value).alias(rule.column))


def choose(rule: Choose, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with column `to` added."""
    chosen = pl.col(rule.default)
    for name, source in rule.values.items():
        chosen = pl.when(pl.col(rule.column) == name).then(pl.col(source)).otherwise(chosen)
    return frame.with_columns(chosen.alias(rule.to))


def drop_columns(rule: DropColumns, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame without them."""
    return frame.drop(rule.columns)


def group_members(rule: GroupMembers, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with column `to` added."""
    members = pl.col(rule.column).cast(pl.String).str.join(rule.separator).over(rule.by)
    return frame.with_columns(members.alias(rule.to))


COLUMNS: dict[type[Record], Apply] = {
    Rename: rename,
    CopyColumn: copy_column,
    MapValues: map_values,
    Template: template,
    RegexExtract: regex_extract,
    RowNumber: row_number,
    FillNulls: fill_nulls,
    OneHot: one_hot,
    Indicators: indicators,
    ArgMax: arg_max,
    PadLists: pad_lists,
    PopLast: pop_last,
    DropWord: drop_word,
    NumberInGroup: number_in_group,
    NormaliseRows: normalise_rows,
    RegexReplace: regex_replace,
    Threshold: threshold,
    Constant: constant,
    Choose: choose,
    DropColumns: drop_columns,
    GroupMembers: group_members,
}
