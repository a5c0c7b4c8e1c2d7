"""A table from a file or from memory, as text or as the caller typed it; nothing is executed."""

import csv
import hashlib
import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.issue import Issue, IssueCode

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


class Limits(BaseModel):
    """What a submission may weigh.

    Args:
        max_bytes: Size of the file, after decompression.
        max_rows: Rows of the table.
        max_field_chars: Characters of one field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=1 << 30, gt=0)
    max_rows: int = Field(default=50_000_000, gt=0)
    max_field_chars: int = Field(default=10_000_000, gt=0)


class UnreadableTableError(InvalidInputError):
    """A table that cannot be read at all; `issue` says why."""

    def __init__(self, issue: Issue) -> None:
        """Keep the issue beside the message."""
        super().__init__(issue.message)
        self.issue = issue


def _unreadable(
    code: IssueCode,
    message: str,
    *,
    count: int = 1,
    ids: tuple[str, ...] = (),
    column: str | None = None,
) -> UnreadableTableError:
    issue = Issue(code=code, message=message, count=count, ids=ids, column=column)
    return UnreadableTableError(issue)


def is_path(source: object) -> bool:
    """Whether a table is given as a file."""
    return isinstance(source, str | Path)


def read_table(
    source: object, *, limits: Limits, numeric: Mapping[str, Any] | None = None
) -> tuple[pl.DataFrame, str]:
    """A polars table and the SHA-256 of what was read.

    Args:
        source: Path of a CSV file (also gzipped), or a table: polars, pandas, pyarrow, anything
            with `__arrow_c_stream__`, or a mapping of columns.
        limits: Sizes not to exceed.
        numeric: Columns to parse as numbers at once when all their fields are numbers.

    Returns:
        The table; of a file all other columns are text. An empty field is null.

    Raises:
        UnreadableTableError: It is no such table; the issue has the reason.
    """
    if is_path(source):
        data = _read_bytes(Path(cast("str | Path", source)), limits)
        return _parse(data, limits, numeric or {}), hashlib.sha256(data).hexdigest()
    frame = _frame(source)
    if frame.height > limits.max_rows:
        raise _unreadable("too_large", f"{frame.height} rows; at most {limits.max_rows} are read")
    return frame, hashlib.sha256(frame.hash_rows().to_numpy().tobytes()).hexdigest()


def _frame(source: object) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        return source
    try:
        return pl.DataFrame(cast("Any", source), strict=False)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise _unreadable("not_csv", f"this is not a table: {_line(error)}") from error


def _line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0][:200]


def _read_bytes(path: Path, limits: Limits) -> bytes:
    if not path.is_file():
        raise _unreadable("file_missing", f"there is no file {path}")
    try:
        with path.open("rb") as file:
            data = file.read(min(limits.max_bytes, path.stat().st_size) + 1)
    except OSError as error:
        raise _unreadable("file_missing", f"cannot read {path}: {error.strerror}") from error
    if data.startswith(_GZIP):
        data = _decompress(data, limits.max_bytes)
    if len(data) > limits.max_bytes:
        raise _unreadable("too_large", f"{path.name} is larger than {limits.max_bytes} bytes")
    return data


def _decompress(data: bytes, most: int) -> bytes:
    out: list[bytes] = []
    size = 0
    try:
        while data:  # a gzip file may hold several members
            stream = zlib.decompressobj(wbits=31)
            part = stream.decompress(data, most + 1 - size)
            size += len(part)
            out.append(part)
            if size > most:
                break
            if not stream.eof:
                raise _unreadable("not_csv", "the gzip stream is cut off")
            data = stream.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise _unreadable("not_csv", f"broken gzip stream: {error}") from error
    return b"".join(out)


def _parse(data: bytes, limits: Limits, numeric: Mapping[str, Any]) -> pl.DataFrame:
    data = data.removeprefix(_BOM)
    header = _header(data)
    duplicates = sorted({name for name in header if header.count(name) > 1})
    if duplicates:
        raise _unreadable(
            "duplicate_column",
            f"the header repeats {duplicates[0]!r}",
            count=len(duplicates),
            ids=tuple(duplicates[:10]),
        )
    text = dict.fromkeys(header, pl.String)
    typed = {**text, **{name: dtype for name, dtype in numeric.items() if name in text}}
    frame = _read_csv(data, typed) if typed != text else None
    if frame is None:
        frame = _read_csv_or_explain(data, text)
    if frame.height > limits.max_rows:
        raise _unreadable("too_large", f"{frame.height} rows; at most {limits.max_rows} are read")
    if frame[header[-1]].has_nulls():
        frame = _without_blank_lines(frame)
        # a short row is filled with null, which an empty last field is too: look at the text
        _refuse_ragged(data, len(header))
    _refuse_long_fields(frame, limits)
    return frame


def _header(data: bytes) -> list[str]:
    if not data or data.isspace():
        raise _unreadable("empty", "the file is empty")
    try:
        first = next(csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")))
    except UnicodeDecodeError as error:
        raise _unreadable("not_utf8", "the file is not UTF-8 text") from error
    except (csv.Error, StopIteration) as error:
        raise _unreadable("not_csv", f"the header cannot be read: {_line(error)}") from error
    if b"\0" in data[: 1 << 16]:
        raise _unreadable("not_csv", "the file holds zero bytes: it is not a CSV text")
    return first


def _read_csv(data: bytes, schema: Mapping[str, Any]) -> pl.DataFrame | None:
    """The parsed table, or None where a field does not fit its type."""
    try:
        return pl.read_csv(data, schema=dict(schema), infer_schema=False, raise_if_empty=True)
    except pl.exceptions.PolarsError:
        return None


def _read_csv_or_explain(data: bytes, schema: Mapping[str, Any]) -> pl.DataFrame:
    try:
        return pl.read_csv(data, schema=dict(schema), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            raise _unreadable("not_utf8", "the file is not UTF-8 text") from error
        _refuse_ragged(data, len(schema))
        raise _unreadable("not_csv", f"the file is not CSV: {_line(error)}") from error


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))


def _refuse_ragged(data: bytes, width: int) -> None:
    wrong: list[str] = []
    count = 0
    reader = csv.reader(io.StringIO(data.decode("utf-8"), newline=""))
    try:
        for row in reader:
            if row and len(row) != width:
                count += 1
                if len(wrong) < 10:
                    wrong.append(row[0][:100])
    except csv.Error:
        return  # a field longer than this reader takes; polars has read it
    if count:
        raise _unreadable(
            "ragged_row",
            f"{count} rows do not have {width} fields",
            count=count,
            ids=tuple(wrong),
        )


def _refuse_long_fields(frame: pl.DataFrame, limits: Limits) -> None:
    for name in frame.columns:
        if frame.schema[name] != pl.String or not frame.height:
            continue
        longest = cast("int | None", frame[name].str.len_bytes().max())
        if longest is not None and longest > limits.max_field_chars:
            raise _unreadable(
                "field_too_long",
                f"column {name!r} holds a field of {longest} bytes; "
                f"at most {limits.max_field_chars} are read",
                column=name,
            )
