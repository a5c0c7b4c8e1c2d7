"""The named transforms of a recipe, as data: what each is called and what it is told.

`op:` names one in a task file. `apply.py` carries them out; nothing here runs.
"""

from typing import Annotated, Literal

from pydantic import Field

from agentbench_tasks.record import Record


class Rename(Record):
    """Give columns new names."""

    op: Literal["rename"]
    columns: dict[str, str]


class CopyColumn(Record):
    """Keep a second copy of a column under another name."""

    op: Literal["copy_column"]
    column: str
    to: str


class MapValues(Record):
    """Replace the values of a column by a table; a value outside it becomes `default`."""

    op: Literal["map_values"]
    column: str
    values: dict[str, str]
    to: str | None = None
    default: str | None = None


class Template(Record):
    """A text column from others: `{store}_{dept}`."""

    op: Literal["template"]
    column: str
    template: str


class RegexExtract(Record):
    """The first group of a pattern, found in a column."""

    op: Literal["regex_extract"]
    column: str
    pattern: str
    to: str


class RowNumber(Record):
    """A fresh identifier: the row's number from `start`, with an optional prefix."""

    op: Literal["row_number"]
    column: str
    start: int = 0
    prefix: str = ""


class Shuffle(Record):
    """Put the rows in a random order, so that position says nothing."""

    op: Literal["shuffle"]
    seed: int = 0


class Keep(Record):
    """Keep the rows whose column has one of the values, or drop them with `drop: true`."""

    op: Literal["keep"]
    column: str
    values: tuple[str, ...]
    drop: bool = False


class DropNulls(Record):
    """Drop rows in which one of the columns is empty."""

    op: Literal["drop_nulls"]
    columns: tuple[str, ...]


class FillNulls(Record):
    """Put a value where a column is empty."""

    op: Literal["fill_nulls"]
    column: str
    value: str


class OneHot(Record):
    """One 0/1 column per class of a label column."""

    op: Literal["one_hot"]
    column: str
    classes: tuple[str, ...]
    prefix: str = ""


class Indicators(Record):
    """One 0/1 column per class of a column that lists several labels in one text."""

    op: Literal["indicators"]
    column: str
    classes: tuple[str, ...]
    separator: str = ","
    prefix: str = ""


class ArgMax(Record):
    """The name of the largest of several columns: one-hot columns become one label."""

    op: Literal["arg_max"]
    columns: tuple[str, ...]
    to: str


class Melt(Record):
    """Wide columns to long rows: one row per column and former row.

    With `number`, the name column holds the column's place (0, 1, ...) in place of its name.
    """

    op: Literal["melt"]
    columns: tuple[str, ...]
    name: str
    value: str
    number: bool = False


class Explode(Record):
    """List columns to one row per element, numbered from 0 in `index`."""

    op: Literal["explode"]
    columns: tuple[str, ...]
    index: str


class PadLists(Record):
    """Lengthen list columns with zeros to the number of characters of the text column `like`."""

    op: Literal["pad_lists"]
    columns: tuple[str, ...]
    like: str


class PopLast(Record):
    """Take the last element of a separated list out into its own column."""

    op: Literal["pop_last"]
    column: str
    to: str
    separator: str = ","


class DropWord(Record):
    """Remove one inner word of a sentence, drawn per row; the result goes to `to`."""

    op: Literal["drop_word"]
    column: str
    to: str
    seed: int = 0


class PickPerGroup(Record):
    """Keep one row per group: a random one, or the first or last `count` by `sort_by`."""

    op: Literal["pick_per_group"]
    by: str
    which: Literal["random", "first", "last"]
    sort_by: str | None = None
    count: int = 1
    seed: int = 0


class NumberInGroup(Record):
    """Number the rows of each group from 1 in a random order."""

    op: Literal["number_in_group"]
    by: str
    column: str
    seed: int = 0


class JoinGroup(Record):
    """One row per group, a column's values joined to one text in the order of `sort_by`."""

    op: Literal["join_group"]
    by: tuple[str, ...]
    column: str
    sort_by: str | None = None
    separator: str = " "
    unique: bool = False


class SumGroup(Record):
    """One row per group: the sums of some columns (votes), the first value of the others."""

    op: Literal["sum_group"]
    by: tuple[str, ...]
    columns: tuple[str, ...]


class NormaliseRows(Record):
    """Divide several columns by their row's sum, so that they are a distribution."""

    op: Literal["normalise_rows"]
    columns: tuple[str, ...]


class TruncateGroups(Record):
    """Keep, of each group, a random number of first rows (at least `least`), as time goes on."""

    op: Literal["truncate_groups"]
    by: str
    least: int = 2
    seed: int = 0


class RegexReplace(Record):
    """Replace every match of a pattern in a column."""

    op: Literal["regex_replace"]
    column: str
    pattern: str
    to: str


class Threshold(Record):
    """A number column to 0/1: 1 from `at` upwards; an empty field is 0."""

    op: Literal["threshold"]
    column: str
    at: float
    to: str


class Constant(Record):
    """A column with one value."""

    op: Literal["constant"]
    column: str
    value: str


class Choose(Record):
    """A column that takes each row's value from another column, named by a third."""

    op: Literal["choose"]
    to: str
    column: str
    values: dict[str, str]
    default: str


class DropColumns(Record):
    """Remove columns."""

    op: Literal["drop_columns"]
    columns: tuple[str, ...]


class GroupMembers(Record):
    """Give every row the values of a column over its whole group, joined to one text."""

    op: Literal["group_members"]
    by: str
    column: str
    to: str
    separator: str = " "


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
    | PadLists
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
