"""The fields of one predicted column, read as the target says, and what is wrong with them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_scoring.issue import Issue, IssueCode
from agentbench_scoring.keys import Keys, row_issue
from agentbench_scoring.metrics.inputs import extremes
from agentbench_scoring.specification import TargetSpec

_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")


def read_target(
    target: TargetSpec, column: pl.Series, keys: Keys
) -> tuple[NDArray[Any], list[Issue]]:
    """The values of a column, shape (rows,), and its faults; lists stay lists."""
    if column.dtype == pl.List:
        cells = [[v for v in row if v not in (None, "")] for row in column.to_list()]
        out = np.empty(len(cells), dtype=object)
        for row, cell in enumerate(cells):
            out[row] = cell
        return out, []
    read = {"float": _read_float, "int": _read_int, "bool": _read_bool, "str": _read_text}
    values, issues = read[target.dtype](target, column, keys)
    if target.values and not issues:
        allowed = {str(label) for label in target.values}
        wrong = np.flatnonzero([str(v) not in allowed for v in values.tolist()])
        if len(wrong):
            message = f"column {target.name!r}: {len(wrong)} labels are not of this task"
            issues.append(row_issue("unknown_label", message, keys, wrong, column=target.name))
    return values, issues


def _faults(
    target: TargetSpec, keys: Keys, masks: Sequence[tuple[IssueCode, pl.Series, str]]
) -> list[Issue]:
    return [
        row_issue(
            code,
            f"column {target.name!r}: {int(mask.sum())} fields are {words}",
            keys,
            np.flatnonzero(mask.to_numpy()),
            column=target.name,
        )
        for code, mask, words in masks
        if mask.any()
    ]


def _read_float(
    target: TargetSpec, column: pl.Series, keys: Keys
) -> tuple[NDArray[Any], list[Issue]]:
    if column.dtype == pl.Float64 and not column.has_nulls() and _in_range(target, column):
        return column.to_numpy(), []
    missing = column.is_null()
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        missing = missing | (column == "").fill_null(value=False)
    number = column.cast(pl.Float64, strict=False)
    masks: list[tuple[IssueCode, pl.Series, str]] = [
        ("missing_value", missing, "empty"),
        ("not_numeric", number.is_null() & ~missing, "not numbers"),
        ("nan", number.is_nan().fill_null(value=False), "NaN"),
        ("infinite", number.is_infinite().fill_null(value=False), "infinite"),
        *_range_masks(target, number),
    ]
    return number.fill_null(0.0).to_numpy(), _faults(target, keys, masks)


def _in_range(target: TargetSpec, column: pl.Series) -> bool:
    """Whether a column without nulls has nothing but finite numbers that the target allows."""
    values = column.to_numpy()
    if not values.size:
        return True
    low, high = extremes(values)  # both NaN if there is one
    return (
        math.isfinite(low)
        and math.isfinite(high)
        and (target.low is None or low >= target.low)
        and (target.high is None or high <= target.high)
    )


def _range_masks(target: TargetSpec, number: pl.Series) -> list[tuple[IssueCode, pl.Series, str]]:
    masks: list[tuple[IssueCode, pl.Series, str]] = []
    usable = number.is_finite() if number.dtype.is_float() else number.is_not_null()
    if target.low is not None:
        outside = (usable & (number < target.low)).fill_null(value=False)
        masks.append(("out_of_range", outside, f"below {target.low:g}"))
    if target.high is not None:
        outside = (usable & (number > target.high)).fill_null(value=False)
        masks.append(("out_of_range", outside, f"above {target.high:g}"))
    return masks


def _read_int(
    target: TargetSpec, column: pl.Series, keys: Keys
) -> tuple[NDArray[Any], list[Issue]]:
    if column.dtype.is_integer() or column.dtype == pl.Boolean:
        whole = column.cast(pl.Int64)
        missing = whole.is_null()
        masks: list[tuple[IssueCode, pl.Series, str]] = [("missing_value", missing, "empty")]
        masks += _range_masks(target, whole)
        return whole.fill_null(0).to_numpy(), _faults(target, keys, masks)
    text = column.cast(pl.String).str.strip_chars()
    missing = text.is_null() | (text == "").fill_null(value=False)
    digits = text.str.replace(r"^([+-]?[0-9]+)\.0*$", "$1")
    written = digits.str.contains(r"^[+-]?[0-9]{1,4000}$").fill_null(value=False)
    number = digits.cast(pl.Float64, strict=False)
    masks = [
        ("missing_value", missing, "empty"),
        ("not_numeric", number.is_null() & ~missing, "not numbers"),
        ("nan", number.is_nan().fill_null(value=False), "NaN"),
        ("not_integer", number.is_not_nan().fill_null(value=False) & ~written, "not integers"),
        *_range_masks(target, number),
    ]
    issues = _faults(target, keys, masks)
    whole = digits.cast(pl.Int64, strict=False)
    if not issues and whole.has_nulls():  # larger than 64 bits: exact Python integers
        out = np.empty(len(digits), dtype=object)
        out[:] = [int(v) for v in digits.to_list()]
        return out, issues
    return whole.fill_null(0).to_numpy(), issues


def _read_bool(
    target: TargetSpec, column: pl.Series, keys: Keys
) -> tuple[NDArray[Any], list[Issue]]:
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    missing = text.is_null() | (text == "").fill_null(value=False)
    known = text.is_in([*_TRUE, *_FALSE]).fill_null(value=False)
    masks: list[tuple[IssueCode, pl.Series, str]] = [
        ("missing_value", missing, "empty"),
        ("not_boolean", ~known & ~missing, "neither true nor false"),
    ]
    values = text.is_in(_TRUE).fill_null(value=False).to_numpy()
    return values, _faults(target, keys, masks)


def _read_text(
    target: TargetSpec, column: pl.Series, keys: Keys
) -> tuple[NDArray[Any], list[Issue]]:
    del target, keys  # any text is text, the empty one too
    out = np.empty(len(column), dtype=object)
    out[:] = column.cast(pl.String).fill_null("").to_list()
    return out, []
