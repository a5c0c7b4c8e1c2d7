"""One thing that is wrong with a submission, as data."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

IssueCode = Literal[
    "file_missing",
    "too_large",
    "not_utf8",
    "not_csv",
    "empty",
    "ragged_row",
    "duplicate_column",
    "missing_column",
    "extra_column",
    "field_too_long",
    "missing_id",
    "unknown_id",
    "duplicate_id",
    "invalid_id",
    "missing_value",
    "not_numeric",
    "not_integer",
    "not_boolean",
    "nan",
    "infinite",
    "out_of_range",
    "unknown_label",
    "malformed",
]


class Issue(BaseModel):
    """A finding of `validate`.

    Args:
        code: What kind of fault, for programs.
        severity: An `error` makes the submission invalid, a `warning` does not.
        message: One sentence for people.
        count: How many rows, ids or columns are concerned.
        ids: The first ten of them; of columns, their names.
        column: The column concerned, if it is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: IssueCode
    severity: Literal["error", "warning"] = "error"
    message: str
    count: int = 1
    ids: tuple[str, ...] = ()
    column: str | None = None
