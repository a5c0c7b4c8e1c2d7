"""What a submission must look like, and everything that is wrong with one that does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.issue import Issue, IssueCode
from agentbench_scoring.metrics import Metric, get_metric
from agentbench_scoring.reading import Limits, UnreadableTableError, read_table

_KEY = "\x1fkey"
_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TargetSpec(_Record):
    """One predicted column.

    Args:
        name: Its header.
        dtype: What a field holds. Text also carries lists, run-length codes and boxes; the
            metric says which.
        low: Smallest number allowed.
        high: Largest number allowed.
        values: The values allowed, all of them; empty if any is.
    """

    name: str
    dtype: Literal["float", "int", "str", "bool"] = "float"
    low: float | None = None
    high: float | None = None
    values: tuple[int | str, ...] = ()


class SubmissionSpec(_Record):
    """The table to hand in and the metric that scores it.

    Args:
        id_columns: Columns that together name a row.
        targets: The predicted columns, in the order in which the metric takes them.
        metric: Name of the metric; None where only the form is checked.
        params: Its parameters.
        id_dtype: "int" compares ids as integers (`7`, `7.0`), "str" as text; "auto" is "int" if
            every id of the answers is an integer written without leading zeros.
        answer_columns: Where the answers differ: from a field of the metric's truth (or a
            parameter such as `sample_weight`) to the column or columns that hold it. A plain
            truth is the field `y_true`. By default truth columns carry the targets' names.
        part_column: Column of the answers that assigns each row to a part, such as "public" and
            "private"; rows of the part "ignored" must be submitted and are never scored.
        repeat_ids: Whether an id may fill several rows, whose fields then form one list in the
            order of the file (ranked guesses, one mask a row).
        n_rows: Rows that the table must have, where that is known without answers.
        limits: Sizes not to exceed.
    """

    id_columns: tuple[str, ...] = Field(min_length=1)
    targets: tuple[TargetSpec, ...] = Field(min_length=1)
    metric: str | None = None
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    id_dtype: Literal["auto", "int", "str"] = "auto"
    answer_columns: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict[str, str | tuple[str, ...]]
    )
    part_column: str | None = None
    repeat_ids: bool = False
    n_rows: int | None = Field(default=None, gt=0)
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [*self.id_columns, *(target.name for target in self.targets)]
        if len(set(names)) != len(names):
            raise ValueError(f"column names repeat: {names}")
        if self.metric is not None:
            known = {p.name for p in self.scored_by.spec.parameters}
            columns = [name for name in self.answer_columns if name in known]
            self.scored_by.check_params({**self.params, **dict.fromkeys(columns)})
        return self

    @property
    def scored_by(self) -> Metric:
        """The metric itself; raises `InvalidInputError` if none is named."""
        if self.metric is None:
            raise InvalidInputError("the spec names no metric, so nothing can be scored")
        return get_metric(self.metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The ids of a table: one key a row, integers or text, and how they are shown."""

    values: NDArray[np.int64] | pl.Series
    shown: pl.DataFrame

    def examples(self, rows: NDArray[Any]) -> tuple[str, ...]:
        """The ids of the first ten of these rows; fields of a compound id joined by a comma."""
        found = self.shown[[int(row) for row in rows[:10]]].rows()
        return tuple(",".join("" if v is None else str(v) for v in row)[:200] for row in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A submission that was read: its issues and, without errors, its columns.

    `columns` are in the order of the answers (of the file when no answers were given); `keys`
    name its rows.
    """

    issues: tuple[Issue, ...]
    columns: dict[str, NDArray[Any]]
    keys: Keys | None
    sha256: str | None

    @property
    def valid(self) -> bool:
        """Whether no issue is an error."""
        return all(issue.severity != "error" for issue in self.issues)


def read_submission(spec: SubmissionSpec, submission: object, answers: Keys | None) -> Submitted:
    """Read and check a submission, and bring its rows into the order of the answers' ids."""
    numeric: dict[str, Any] = {t.name: pl.Float64 for t in spec.targets if t.dtype == "float"}
    if answers is not None and isinstance(answers.values, np.ndarray):
        numeric[spec.id_columns[0]] = pl.Int64
    try:
        frame, sha256 = read_table(
            submission, limits=spec.limits, numeric={} if spec.repeat_ids else numeric
        )
    except UnreadableTableError as error:
        return Submitted(issues=(error.issue,), columns={}, keys=None, sha256=None)
    issues = _column_issues(spec, frame)
    if any(issue.severity == "error" for issue in issues):
        return Submitted(issues=tuple(issues), columns={}, keys=None, sha256=sha256)
    as_integers = (
        isinstance(answers.values, np.ndarray) if answers is not None else spec.id_dtype == "int"
    )
    frame, keys, faults = _keyed(spec, frame, as_integers=as_integers)
    issues += faults
    columns: dict[str, NDArray[Any]] = {}
    for target in spec.targets:
        columns[target.name], faults = _read_target(target, frame[target.name], keys)
        issues += faults
    if spec.n_rows is not None and frame.height != spec.n_rows and answers is None:
        code: IssueCode = "missing_id" if frame.height < spec.n_rows else "unknown_id"
        message = f"{frame.height} rows instead of {spec.n_rows}"
        issues.append(Issue(code=code, message=message, count=abs(frame.height - spec.n_rows)))
    if answers is None:
        return Submitted(issues=tuple(issues), columns=columns, keys=keys, sha256=sha256)
    order, faults = _align(answers, keys)
    issues += faults
    if order is not None:
        columns = {name: column[order] for name, column in columns.items()}
    return Submitted(issues=tuple(issues), columns=columns, keys=answers, sha256=sha256)


def answer_keys(spec: SubmissionSpec, answers: pl.DataFrame) -> tuple[pl.DataFrame, Keys]:
    """The answers (one row an id) and their keys.

    Raises:
        InvalidInputError: An id column lacks, an id repeats, or there are no rows.
    """
    lacking = [name for name in spec.id_columns if name not in answers.columns]
    if lacking:
        raise InvalidInputError(f"the answers lack the id column {lacking[0]!r}")
    if not answers.height:
        raise InvalidInputError("the answers hold no rows")
    as_integers = len(spec.id_columns) == 1 and (
        spec.id_dtype == "int"
        or (spec.id_dtype == "auto" and _all_integers(answers[spec.id_columns[0]]))
    )
    answers, keys, issues = _keyed(spec, answers, as_integers=as_integers)
    _, faults = _align(keys, keys)
    for issue in [*issues, *faults]:
        raise InvalidInputError(f"answers: {issue.message} ({', '.join(issue.ids)})")
    return answers, keys


def _all_integers(ids: pl.Series) -> bool:
    if ids.dtype.is_integer():
        return True
    if ids.dtype != pl.String:
        return False
    whole = ids.cast(pl.Int64, strict=False)
    if whole.has_nulls():
        return False
    # a sign, a space or a leading zero makes the text longer than the integer
    return int(ids.str.len_bytes().sum()) == _written_length(whole.to_numpy())


def _written_length(integers: NDArray[np.int64]) -> int:
    """Characters of the integers in decimal, without separators."""
    size = integers.view(np.uint64).copy()
    negative = integers < 0
    size[negative] = 0 - size[negative]
    powers = [10**k for k in range(1, 20) if 10**k <= int(size.max())]
    longer = sum(int(np.count_nonzero(size >= np.uint64(power))) for power in powers)
    return len(size) + int(np.count_nonzero(negative)) + longer


def _column_issues(spec: SubmissionSpec, frame: pl.DataFrame) -> list[Issue]:
    issues: list[Issue] = []
    wanted = [*spec.id_columns, *(target.name for target in spec.targets)]
    missing = [name for name in wanted if name not in frame.columns]
    extra = [name for name in frame.columns if name not in wanted]
    for code, severity, names, words in (
        ("missing_column", "error", missing, "columns are missing: "),
        ("extra_column", "warning", extra, "columns are not used: "),
    ):
        if names:
            issues.append(
                Issue(
                    code=cast("IssueCode", code),
                    severity=cast("Any", severity),
                    message=words + ", ".join(repr(name[:80]) for name in names[:10]),
                    count=len(names),
                    ids=tuple(name[:200] for name in names[:10]),
                )
            )
    if not missing and not frame.height:
        issues.append(Issue(code="empty", message="the table has a header and no rows"))
    return issues


def _keyed(
    spec: SubmissionSpec, frame: pl.DataFrame, *, as_integers: bool
) -> tuple[pl.DataFrame, Keys, list[Issue]]:
    """The table (rows of one id gathered, if they may repeat), its keys, and faulty ids."""
    ids = frame.select(spec.id_columns)
    key, wrong = _integer_key(ids.to_series(0)) if as_integers else _text_key(ids)
    if spec.repeat_ids:
        first = [pl.col(name).first() for name in spec.id_columns]
        rest = [pl.col(name) for name in frame.columns if name not in spec.id_columns]
        frame = frame.with_columns(key.alias(_KEY))
        frame = frame.group_by(_KEY, maintain_order=True).agg(*first, *rest)
        ids, key = frame.select(spec.id_columns), frame[_KEY]
        wrong = key.is_null()
    issues: list[Issue] = []
    values = key.fill_null(-1).to_numpy() if as_integers else key.fill_null("")
    keys = Keys(values=values, shown=ids)
    if wrong.any():
        rows = np.flatnonzero(wrong.to_numpy())
        what = "are not integers" if as_integers else "are empty"
        issues.append(_issue("invalid_id", f"{len(rows)} ids {what}", keys, rows))
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


def _issue(
    code: IssueCode, message: str, keys: Keys, rows: NDArray[Any], column: str | None = None
) -> Issue:
    return Issue(
        code=code, message=message, count=len(rows), ids=keys.examples(rows), column=column
    )


def _align(answers: Keys, submitted: Keys) -> tuple[NDArray[np.int64] | None, list[Issue]]:
    """For each row of the answers its row in the submission; None if ids differ."""
    if isinstance(answers.values, np.ndarray) and isinstance(submitted.values, np.ndarray):
        found = _match_integers(answers.values, submitted.values)
    else:
        found = _match_text(pl.Series(answers.values), pl.Series(submitted.values))
    order, missing, unknown, duplicate = found
    issues: list[Issue] = []
    if len(missing):
        issues.append(_issue("missing_id", f"{len(missing)} ids are missing", answers, missing))
    if len(unknown):
        message = f"{len(unknown)} rows have an id that is not asked for"
        issues.append(_issue("unknown_id", message, submitted, unknown))
    if len(duplicate):
        message = f"{len(duplicate)} rows repeat an id"
        issues.append(_issue("duplicate_id", message, submitted, duplicate))
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


def _read_target(
    target: TargetSpec, column: pl.Series, keys: Keys
) -> tuple[NDArray[Any], list[Issue]]:
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
            issues.append(_issue("unknown_label", message, keys, wrong, column=target.name))
    return values, issues


def _faults(
    target: TargetSpec, keys: Keys, masks: Sequence[tuple[IssueCode, pl.Series, str]]
) -> list[Issue]:
    return [
        _issue(
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
