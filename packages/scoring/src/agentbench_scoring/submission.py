"""Read a submission and check it against what it must be; every problem is reported at once.

The file is read as text columns, so that nothing is guessed: "NA" in a text column is text, and a
number is what Python's `float` accepts. Accepted: any order of rows and columns, extra columns
(a warning), CRLF, a byte-order mark, quotes, integer ids written `1.0`.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from agentbench_scoring.errors import InvalidSubmissionError, Issue

MAX_BYTES = 2_000_000_000


class TargetSpec(BaseModel):
    """A predicted column: its type, and for numbers the range allowed.

    Attributes:
        values: The values allowed, or empty for any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    dtype: Literal["float", "int", "str"] = "float"
    low: float | None = None
    high: float | None = None
    values: tuple[str | int, ...] = ()


class SubmissionSpec(BaseModel):
    """The table that is handed in: id columns, then one or more targets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id_columns: tuple[str, ...] = Field(min_length=1)
    targets: tuple[TargetSpec, ...] = Field(min_length=1)


def read_submission(path: str | Path, *, max_bytes: int = MAX_BYTES) -> pl.DataFrame:
    """Read a CSV file, every column as text.

    Raises:
        InvalidSubmissionError: Not a regular file, too large, empty, not UTF-8, ragged rows, or a
            column twice.
    """
    path = Path(path)
    if not path.is_file():
        raise _invalid("unreadable", f"{path.name} is no file")
    size = path.stat().st_size
    if size > max_bytes:
        raise _invalid("too_large", f"{path.name} has {size} bytes, more than {max_bytes}")
    if size == 0:
        raise _invalid("empty", f"{path.name} is empty")
    with path.open("rb") as file:
        first = file.readline(1_000_000).removeprefix(b"\xef\xbb\xbf")
    try:
        header = [name.strip('"') for name in first.decode("utf-8").rstrip("\r\n").split(",")]
    except UnicodeDecodeError:
        raise _invalid("wrong_encoding", f"{path.name} is not UTF-8") from None
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise _invalid("duplicate_columns", f"columns {', '.join(twice)} stand there twice")
    try:
        return pl.read_csv(path, infer_schema=False).fill_null("")
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise _invalid("malformed", f"{path.name} is no CSV table: {reason}") from None


def align(
    spec: SubmissionSpec, submission: str | Path | pl.DataFrame, answers: pl.DataFrame
) -> pl.DataFrame:
    """Check a submission and return its targets in the order of the answers.

    Args:
        spec: What the table must be.
        submission: A CSV file, or a table.
        answers: The answers; only their ids are looked at.

    Returns:
        The target columns, one row for each row of `answers`, numbers as Float64.

    Raises:
        InvalidSubmissionError: With every issue that was found.
    """
    given = submission if isinstance(submission, pl.DataFrame) else read_submission(submission)
    given = given.select(pl.all().cast(pl.String))
    wanted = [*spec.id_columns, *(t.name for t in spec.targets)]
    absent = [name for name in wanted if name not in given.columns]
    if absent:
        raise _invalid(
            "missing_columns",
            f"columns {', '.join(absent)} are missing; expected {', '.join(wanted)}",
        )
    keys = _keys(given, spec.id_columns)
    expected = _keys(answers.select(pl.all().cast(pl.String)), spec.id_columns)
    issues = [*_id_issues(keys, expected)]
    columns: dict[str, pl.Series] = {}
    for target in spec.targets:
        columns[target.name], found = _values(target, given[target.name], keys)
        issues += found
    if issues:
        raise InvalidSubmissionError(tuple(issues))
    table = pl.DataFrame({"key": keys, **columns})
    return pl.DataFrame({"key": expected}).join(table, on="key", how="left").drop("key")


def _keys(table: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return one text key a row; `1.0` and `1` are the same id."""
    whole = [pl.col(c).str.strip_chars().str.replace(r"^(-?\d+)\.0+$", "$1") for c in columns]
    return table.select(pl.concat_str(whole, separator="\x1f")).to_series()


def _id_issues(keys: pl.Series, expected: pl.Series) -> list[Issue]:
    repeated = keys.filter(keys.is_duplicated()).unique(maintain_order=True)
    missing = expected.filter(~expected.is_in(keys.implode()))
    unknown = keys.filter(~keys.is_in(expected.implode())).unique(maintain_order=True)
    found = (
        ("missing_ids", missing, "ids are missing"),
        ("unknown_ids", unknown, "ids are not among the expected ones"),
        ("duplicate_ids", repeated, "ids are duplicate"),
    )
    return [_issue(code, ids, what) for code, ids, what in found if len(ids)]


def _values(target: TargetSpec, text: pl.Series, keys: pl.Series) -> tuple[pl.Series, list[Issue]]:
    if target.dtype == "str":
        allowed = {str(v) for v in target.values}
        if not allowed:
            return text, []
        wrong = ~text.is_in(list(allowed))
        return text, _where(target, wrong, keys, "unknown_value", "are not allowed values")
    numbers = text.str.strip_chars().cast(pl.Float64, strict=False)
    absent = numbers.is_null()
    finite = numbers.is_finite().fill_null(value=False)
    outside = (finite & (numbers < (target.low if target.low is not None else -math.inf))) | (
        finite & (numbers > (target.high if target.high is not None else math.inf))
    )
    checks = [
        ("not_a_number", absent, "are not numbers"),
        ("not_finite", ~absent & ~finite, "are NaN or infinite"),
        ("out_of_range", outside, f"are outside [{target.low}, {target.high}]"),
    ]
    if target.dtype == "int":
        checks.append(("not_an_integer", finite & (numbers != numbers.round()), "are no integers"))
    if target.values:
        allowed_numbers = [float(v) for v in target.values]
        checks.append(
            ("unknown_value", finite & ~numbers.is_in(allowed_numbers), "are not allowed values")
        )
    issues = [i for code, wrong, what in checks for i in _where(target, wrong, keys, code, what)]
    return numbers, issues


def _where(
    target: TargetSpec, wrong: pl.Series, keys: pl.Series, code: str, what: str
) -> list[Issue]:
    ids = keys.filter(wrong)
    return [_issue(code, ids, f"values of {target.name} {what}")] if len(ids) else []


def _issue(code: str, ids: pl.Series, what: str) -> Issue:
    first = tuple(key.replace("\x1f", ",")[:80] for key in ids.head(10).to_list())
    shown = ", ".join(first[:3]) + (", ..." if len(ids) > 3 else "")
    return Issue(code=code, message=f"{len(ids)} {what} ({shown})", count=len(ids), ids=first)


def _invalid(code: str, message: str) -> InvalidSubmissionError:
    return InvalidSubmissionError((Issue(code=code, message=message),))
