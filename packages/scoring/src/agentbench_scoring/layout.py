"""How columns of tables become the arguments of a metric."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.issue import Issue, IssueCode
from agentbench_scoring.keys import Keys
from agentbench_scoring.metrics.inputs import Values
from agentbench_scoring.metrics.spec import Kind, MetricSpec
from agentbench_scoring.specification import SubmissionSpec

Column = NDArray[Any]
Argument = Column | list[Any] | dict[str, Any]

_TABLES: frozenset[Kind] = frozenset(("matrix", "binary_matrix", "probability_matrix"))
_COLUMNS: frozenset[Kind] = frozenset(("binary", "score", "probability", "real"))
_WIDTHS: Mapping[Kind, int] = {
    "boxes": 4,
    "scored_boxes": 5,
    "class_boxes": 5,
    "scored_class_boxes": 6,
}


def prediction_argument(
    spec: SubmissionSpec, columns: Mapping[str, Column], keys: Keys | None
) -> tuple[Argument, list[Issue]]:
    """The metric's `y_pred` from the submission's columns, and malformed cells."""
    layout = spec.scored_by.spec.prediction
    names = [target.name for target in spec.targets]
    issues: list[Issue] = []
    if isinstance(layout, Mapping):
        if len(layout) != len(names):
            raise InvalidInputError(f"{spec.metric} takes the targets {list(layout)}, not {names}")
        return {
            field: _read_cells(kind, columns[name], name, keys, issues)
            for (field, kind), name in zip(layout.items(), names, strict=True)
        }, issues
    if layout in _TABLES:
        table = np.column_stack([columns[name] for name in names]).astype(np.float64)
        issues += _table_issues(layout, table, keys)
        return table, issues
    if len(names) != 1:
        raise InvalidInputError(f"{spec.metric} takes one target, the spec has {names}")
    return _read_cells(layout, columns[names[0]], names[0], keys, issues), issues


def _table_issues(kind: Kind, table: Column, keys: Keys | None) -> list[Issue]:
    if kind != "probability_matrix":
        return []
    outside = np.flatnonzero(((table < 0) | (table > 1)).any(axis=1))
    found: list[tuple[IssueCode, Column, str]] = [
        ("out_of_range", outside, "hold a probability outside [0, 1]")
    ]
    zero = np.flatnonzero(~table.any(axis=1))
    found.append(("malformed", zero, "hold only zeros"))
    return [
        _row_issue(code, f"{len(rows)} rows {words}", rows, keys)
        for code, rows, words in found
        if len(rows)
    ]


def _row_issue(
    code: IssueCode, message: str, rows: Column, keys: Keys | None, *, column: str | None = None
) -> Issue:
    ids = keys.examples(rows) if keys is not None else ()
    return Issue(code=code, message=message, count=len(rows), ids=ids, column=column)


def _read_cells(
    kind: Kind, column: Column, name: str, keys: Keys | None, issues: list[Issue]
) -> Column | list[Any]:
    if kind == "probability":
        outside = np.flatnonzero((column < 0) | (column > 1))
        if len(outside):
            message = f"column {name!r}: {len(outside)} probabilities lie outside [0, 1]"
            issues.append(_row_issue("out_of_range", message, outside, keys, column=name))
        return column
    read = _cell_reader(kind)
    if read is None:
        return column
    cells: list[Any] = []
    wrong: list[int] = []
    reason = ""
    for row, cell in enumerate(column.tolist()):
        try:
            cells.append(read(cell))
        except ValueError as error:
            reason = reason or str(error)
            wrong.append(row)
            cells.append([])
    if wrong:
        message = f"column {name!r}: {len(wrong)} fields are malformed: {reason[:200]}"
        issues.append(_row_issue("malformed", message, np.array(wrong), keys, column=name))
    return cells


def _cell_reader(kind: Kind) -> Callable[[Any], Any] | None:
    if kind in _WIDTHS:
        return lambda cell: _boxes(cell, kind)
    readers: dict[Kind, Callable[[Any], Any]] = {
        "tokens": _text_or_list,
        "integers": lambda cell: [int(word) for word in _words(cell)],
        "rles": _masks,
        "text": str,
        "rle": str,
    }
    return readers.get(kind)


def _text_or_list(cell: object) -> str | list[str]:
    return cast("list[str]", cell) if isinstance(cell, list) else str(cell)


def _words(cell: object) -> list[str]:
    return cast("list[str]", cell) if isinstance(cell, list) else str(cell).split()


def _masks(cell: object) -> list[str]:
    if isinstance(cell, list):
        return cast("list[str]", cell)
    return [mask for mask in str(cell).split(";") if mask.strip()]


def _boxes(cell: object, kind: Kind) -> list[list[Any]]:
    words = str(cell).split()
    width = _WIDTHS[kind]
    if len(words) % width:
        raise ValueError(f"{len(words)} values do not make boxes of {width}")
    rows = [words[start : start + width] for start in range(0, len(words), width)]
    first_is_class = kind in ("class_boxes", "scored_class_boxes")
    return [
        [_class_name(row[0]) if first_is_class else _finite(row[0]), *map(_finite, row[1:])]
        for row in rows
    ]


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word} is not finite")
    return value


def _class_name(word: str) -> float | str:
    try:
        return _finite(word)
    except ValueError:
        return word


def number_columns(spec: SubmissionSpec) -> list[str]:
    """Columns of the answers that hold nothing but numbers: those of float targets."""
    kind = spec.scored_by.spec.truth
    if (
        isinstance(kind, Mapping)
        or kind not in _TABLES | _COLUMNS
        or "y_true" in spec.answer_columns
    ):
        return []
    return [target.name for target in spec.targets if target.dtype == "float"]


class AnswerColumns:
    """The truth of a task, read once; `argument` and `parameters` give any rows of it."""

    def __init__(self, spec: SubmissionSpec, answers: pl.DataFrame) -> None:
        """Read the columns that the metric needs.

        Raises:
            InvalidInputError: A column is missing or does not hold what the metric needs.
        """
        self._answers = answers
        self._spec = spec
        metric: MetricSpec = spec.scored_by.spec
        names = {parameter.name for parameter in metric.parameters}
        self._parameters = {
            name: self._kind_column("real", self._one(name))
            for name in spec.answer_columns
            if name in names
        }
        self._truth = self._read_truth(metric)

    def _read_truth(self, metric: MetricSpec) -> Argument:
        targets = [target.name for target in self._spec.targets]
        if not isinstance(metric.truth, Mapping):
            return self._read_field("y_true", metric.truth, targets)
        found: dict[str, Any] = {}
        for field, kind in metric.truth.items():
            default = targets
            if kind in ("key", "groups"):
                default = [field]
            elif isinstance(metric.prediction, Mapping) and field in metric.prediction:
                default = [targets[list(metric.prediction).index(field)]]
            found[field] = self._read_field(field, kind, default)
        return found

    def _read_field(self, field: str, kind: Kind, default: list[str]) -> Values:
        chosen = self._spec.answer_columns.get(field, tuple(default))
        names = [chosen] if isinstance(chosen, str) else list(chosen)
        if kind == "groups":
            return {name: self._kind_column("binary", name) for name in names}
        if kind in _TABLES:
            return np.column_stack([self._kind_column("real", name) for name in names])
        if kind == "class":
            return self._classes(names)
        return self._kind_column(kind, names[0])

    def _one(self, field: str) -> str:
        chosen = self._spec.answer_columns[field]
        return chosen if isinstance(chosen, str) else chosen[0]

    def _column(self, name: str) -> pl.Series:
        if name not in self._answers.columns:
            raise InvalidInputError(
                f"the answers lack the column {name!r}; answer_columns says where the truth is"
            )
        return self._answers[name]

    def _classes(self, names: list[str]) -> Column:
        """Class numbers in the order of the targets, from labels or from one-hot columns."""
        targets = [target.name for target in self._spec.targets]
        if len(names) > 1:
            table = np.column_stack([self._kind_column("real", name) for name in names])
            if ((table != 0) & (table != 1)).any() or (table.sum(axis=1) != 1).any():
                raise InvalidInputError("the answers' class columns are not one-hot")
            return table.argmax(axis=1)
        labels = [str(label) for label in self._spec.params.get("labels") or targets]
        place = {label: number for number, label in enumerate(labels)}
        column = self._column(names[0]).cast(pl.String).to_list()
        try:
            return np.array([place[value] for value in column])
        except KeyError as error:
            raise InvalidInputError(
                f"the answers' label {error} is none of {labels[:20]}"
            ) from error

    def _kind_column(self, kind: Kind, name: str) -> Values:
        column = self._column(name)
        if column.dtype == pl.List:
            cells: list[Any] = [[v for v in row if v not in (None, "")] for row in column]
            return cells if (read := _cell_reader(kind)) is None else [read(c) for c in cells]
        if kind == "label":
            return self._labels(column)
        if kind in ("binary", "score", "probability", "real"):
            return self._numbers(column, name)
        text = column.cast(pl.String).fill_null("").to_list()
        read = _cell_reader(kind)
        return text if read is None else [read(cell) for cell in text]

    def _labels(self, column: pl.Series) -> Column:
        """Labels in the target's dtype."""
        dtype = self._spec.targets[0].dtype
        if dtype == "str":
            out = np.empty(len(column), dtype=object)
            out[:] = column.cast(pl.String).fill_null("").to_list()
            return out
        if dtype == "int" and not column.dtype.is_integer():
            text = column.cast(pl.String).str.replace(r"^([+-]?[0-9]+)\.0*$", "$1")
            whole = text.cast(pl.Int64, strict=False)
            if not whole.has_nulls():
                return whole.to_numpy()
            out = np.empty(len(text), dtype=object)
            try:
                out[:] = [int(v) for v in text.fill_null("").to_list()]
            except ValueError as error:
                raise InvalidInputError(
                    f"the answers' column {column.name!r} holds a label that is no integer"
                ) from error
            return out
        if dtype == "int":
            return column.to_numpy()
        numbers = self._numbers(column, column.name)
        return numbers == 1 if dtype == "bool" else numbers

    def _numbers(self, column: pl.Series, name: str) -> Column:
        if column.dtype == pl.String:
            lowered = column.str.strip_chars().str.to_lowercase()
            column = lowered.replace({"true": "1", "false": "0"})
        number = column.cast(pl.Float64, strict=False)
        values = number.fill_null(math.nan).to_numpy()
        if not np.isfinite(values).all() and not self._unscored_only(values):
            raise InvalidInputError(f"the answers' column {name!r} holds what is no finite number")
        return values

    def _unscored_only(self, values: Column) -> bool:
        """Whether only rows of the part "ignored" lack a truth."""
        part = self._spec.part_column
        if part is None or part not in self._answers.columns:
            return False
        ignored = (self._answers[part].cast(pl.String) == "ignored").fill_null(value=False)
        return bool(np.isfinite(values[~ignored.to_numpy()]).all())

    def argument(self, rows: Column | None) -> Argument:
        """`y_true` for these rows (all with None)."""
        return take_rows(self._truth, rows)

    def parameters(self, rows: Column | None) -> dict[str, Any]:
        """Parameters that are columns of the answers, for these rows."""
        return {name: take_rows(column, rows) for name, column in self._parameters.items()}


def take_rows(argument: Values, rows: Column | None) -> Values:
    """The rows of an argument: of each field of a composite one."""
    if rows is None:
        return argument
    if isinstance(argument, dict):
        fields = cast("dict[str, Values]", argument)
        return {name: take_rows(value, rows) for name, value in fields.items()}
    if isinstance(argument, np.ndarray):
        return cast("Column", argument)[rows]
    return [argument[int(row)] for row in rows]
