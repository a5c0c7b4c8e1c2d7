"""The named transforms of a recipe: small, pure functions from a table to a table.

Each is a record in a task file (`op:` names it) with an `apply` from a polars frame to a polars
frame; the caller's frame is never changed. Columns read from CSV arrive as text.
"""

import re
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from agentbench_tasks.record import Record


class Rename(Record):
    """Give columns new names."""

    op: Literal["rename"]
    columns: dict[str, str]

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with `columns` renamed."""
        return frame.rename(self.columns)


class MapValues(Record):
    """Replace the values of a column by a table; a value outside the table is an error."""

    op: Literal["map_values"]
    column: str
    values: dict[str, str]

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with `column` mapped."""
        mapped = pl.col(self.column).cast(pl.String).replace_strict(self.values)
        return frame.with_columns(mapped.alias(self.column))


class Template(Record):
    """A text column from others: `{store}_{dept}`."""

    op: Literal["template"]
    column: str
    template: str

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with `column` added."""
        fields = re.findall(r"\{(\w+)\}", self.template)
        pattern = re.sub(r"\{\w+\}", "{}", self.template)
        text = pl.format(pattern, *[pl.col(field).cast(pl.String) for field in fields])
        return frame.with_columns(text.alias(self.column))


class RowNumber(Record):
    """A fresh identifier: the row's number from `start`."""

    op: Literal["row_number"]
    column: str
    start: int = 0

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with `column` in front."""
        frame = frame.drop(self.column, strict=False)
        return frame.with_row_index(self.column, offset=self.start)


Transform = Annotated[Rename | MapValues | Template | RowNumber, Field(discriminator="op")]
