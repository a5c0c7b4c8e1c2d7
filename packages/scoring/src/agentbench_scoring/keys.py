"""The ids of tables: which row of a submission answers which row of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_scoring.issue import Issue, IssueCode
from agentbench_scoring.metrics.inputs import BLOCK

_KEY = "\x1fkey"
_POWERS = [np.uint64(10**k) for k in range(1, 20)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The ids of a table: one key a row, integers or text, and how they are shown."""

    values: NDArray[np.int64] | pl.Series
    shown: pl.DataFrame

    def examples(self, rows: NDArray[Any]) -> tuple[str, ...]:
        """The ids of the first ten of these rows; fields of a compound id joined by a comma."""
        found = self.shown[[int(row) for row in rows[:10]]].rows()
        return tuple(",".join("" if v is None else str(v) for v in row)[:200] for row in found)


def whole_ids(ids: pl.Series) -> pl.Series | None:
    """Ids that are all integers of 64 bits, written as Python writes them; None of others."""
    if ids.dtype.is_integer():
        return ids
    if ids.dtype != pl.String:
        return None
    whole = ids.cast(pl.Int64, strict=False)
    if whole.has_nulls():
        return None
    # a sign, a space or a leading zero makes the text longer than the integer
    same = int(ids.str.len_bytes().sum()) == _written_length(whole.to_numpy())
    return whole if same else None


def _written_length(integers: NDArray[np.int64]) -> int:
    """Characters of the integers in decimal, without separators."""
    written = len(integers)
    for start in range(0, len(integers), BLOCK):  # a block stays in the cache for all its passes
        block = integers[start : start + BLOCK]
        if int(block.min()) < 0:
            written += int(np.count_nonzero(block < 0))
            size = block.view(np.uint64).copy()
            size[block < 0] = 0 - size[block < 0]
        else:
            size = block.view(np.uint64)
        most = int(size.max())
        written += sum(int(np.count_nonzero(size >= power)) for power in _POWERS if power <= most)
    return written


def keyed(
    frame: pl.DataFrame, id_columns: Sequence[str], *, as_integers: bool, repeat_ids: bool
) -> tuple[pl.DataFrame, Keys, list[Issue]]:
    """The table (rows of one id gathered, if they may repeat), its keys, and faulty ids."""
    ids = frame.select(*id_columns)
    key, wrong = _integer_key(ids.to_series(0)) if as_integers else _text_key(ids)
    if repeat_ids:
        first = [pl.col(name).first() for name in id_columns]
        rest = [pl.col(name) for name in frame.columns if name not in id_columns]
        frame = frame.with_columns(key.alias(_KEY))
        frame = frame.group_by(_KEY, maintain_order=True).agg(*first, *rest)
        ids, key = frame.select(*id_columns), frame[_KEY]
        wrong = key.is_null()
    issues: list[Issue] = []
    values = key.fill_null(-1).to_numpy() if as_integers else key.fill_null("")
    keys = Keys(values=values, shown=ids)
    if wrong.any():
        rows = np.flatnonzero(wrong.to_numpy())
        what = "are not integers" if as_integers else "are empty"
        issues.append(row_issue("invalid_id", f"{len(rows)} ids {what}", keys, rows))
    return frame, keys, issues


def _integer_key(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    whole = ids.cast(pl.Int64, strict=False)
    if not ids.dtype.is_integer() and (whole.has_nulls() or ids.dtype != pl.String):
        text = ids.cast(pl.String).str.strip_chars()
        whole = text.str.replace(r"^([+-]?[0-9]+)\.0*$", "$1").cast(pl.Int64, strict=False)
    return whole, whole.is_null()


def _text_key(ids: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    columns = [pl.col(name).cast(pl.String) for name in ids.columns]
    key = ids.select(pl.concat_str(columns, separator="\x1f").alias(_KEY)).to_series()
    return key, key.is_null()


def row_issue(
    code: IssueCode, message: str, keys: Keys, rows: NDArray[Any], column: str | None = None
) -> Issue:
    """An issue of these rows, with their number and the first ten ids."""
    return Issue(
        code=code, message=message, count=len(rows), ids=keys.examples(rows), column=column
    )


def align(answers: Keys, submitted: Keys) -> tuple[NDArray[np.int64] | None, list[Issue]]:
    """For each row of the answers its row in the submission; None if ids differ."""
    if isinstance(answers.values, np.ndarray) and isinstance(submitted.values, np.ndarray):
        found = _match_integers(answers.values, submitted.values)
    else:
        found = _match_text(pl.Series(answers.values), pl.Series(submitted.values))
    order, missing, unknown, duplicate = found
    issues: list[Issue] = []
    if len(missing):
        issues.append(row_issue("missing_id", f"{len(missing)} ids are missing", answers, missing))
    if len(unknown):
        message = f"{len(unknown)} rows have an id that is not asked for"
        issues.append(row_issue("unknown_id", message, submitted, unknown))
    if len(duplicate):
        message = f"{len(duplicate)} rows repeat an id"
        issues.append(row_issue("duplicate_id", message, submitted, duplicate))
    return (None if issues else order), issues


_Matched = tuple[NDArray[np.int64], NDArray[Any], NDArray[Any], NDArray[Any]]
_NONE: NDArray[np.int64] = np.empty(0, dtype=np.int64)


def _match_integers(wanted: NDArray[np.int64], given: NDArray[np.int64]) -> _Matched:
    if wanted is given and (wanted[1:] > wanted[:-1]).all():
        return np.arange(len(wanted)), _NONE, _NONE, _NONE
    if wanted is not given and np.array_equal(wanted, given):
        return np.arange(len(wanted)), _NONE, _NONE, _NONE
    low, high = int(wanted.min()), int(wanted.max())
    if high - low > 8 * len(wanted) + (1 << 20):
        return _match_text(pl.Series(wanted), pl.Series(given))
    place = np.full(high - low + 1, -1, dtype=np.int64)
    if wanted is not given and len(wanted) == len(given):
        if low <= int(given.min()) and int(given.max()) <= high:
            place[given - low] = np.arange(len(given))
            order = place[wanted - low]
            if order.min() >= 0:  # as many rows as ids, and each id has one
                return order, _NONE, _NONE, _NONE
        place.fill(-1)
    inside = (given >= low) & (given <= high)
    rows = np.flatnonzero(inside)
    place[given[rows[::-1]] - low] = rows[::-1]  # the first row of a repeated id stays
    order = place[wanted - low]
    repeated = rows[place[given[rows] - low] != rows]
    asked = np.zeros(high - low + 1, dtype=np.bool_)
    asked[wanted - low] = True
    known = inside.copy()
    known[rows] = asked[given[rows] - low]
    return order, np.flatnonzero(order < 0), np.flatnonzero(~known), repeated[known[repeated]]


def _match_text(wanted: pl.Series, given: pl.Series) -> _Matched:
    left = pl.DataFrame({_KEY: wanted}).with_row_index("row")
    right = pl.DataFrame({_KEY: given}).with_row_index("place")
    first = right.unique(_KEY, keep="first", maintain_order=True)
    joined = left.join(first, on=_KEY, how="left", maintain_order="left")
    order = joined["place"].cast(pl.Int64).fill_null(-1).to_numpy()
    unknown = right.join(left, on=_KEY, how="anti", maintain_order="left")["place"].to_numpy()
    repeated = right.filter(~pl.col(_KEY).is_first_distinct())["place"].to_numpy()
    return order, np.flatnonzero(order < 0), unknown, np.setdiff1d(repeated, unknown)
