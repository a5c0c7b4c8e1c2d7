"""The kinds of columns a stand-in can have, and how each is drawn from the rows' hidden vectors.

A kind is a word with arguments, as a task file writes it: `category a|b|c`, `real 0 100`,
`group 4`. Targets (`binary`, `label`, `real`, ...) follow the hidden vector closely, features
(`float`, `category`, `text`, ...) with more noise.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from agentbench_tasks.errors import PreparationError
from agentbench_tasks.stand_in_codes import CODES
from agentbench_tasks.stand_in_rows import HIDDEN, Rows, classes, pick, spread, typed

_DAY_ZERO = datetime(2019, 1, 1, tzinfo=UTC)


def draw_table(
    kinds: dict[str, str], *, rows: int, rng: np.random.Generator, main: Rows | None, number: int
) -> Rows:
    """Draw a table.

    Args:
        kinds: Kind by column name, ranges written out.
        rows: Rows of the main table; a side table has what its `key` column asks for.
        rng: Random numbers.
        main: The main table, None when this is it.
        number: The table's place among the stand-in's files.

    Raises:
        PreparationError: A kind is unknown.
    """
    hidden = rng.normal(0, 1, (rows, HIDDEN))
    table = Rows(hidden=hidden, rng=rng, number=number, main=main)
    keys = [name for name, kind in kinds.items() if kind.split(" ")[0] == "key"]
    if keys and main is not None:
        _follow(table, keys[0], kinds[keys[0]], main)
    for kind in kinds.values():
        if kind.split(" ")[0] in {"group", "scans", "fragments"}:
            _gather(table, kind)
            break
    for name, kind in kinds.items():
        if name in table.columns:
            continue
        word, _, argument = kind.partition(" ")
        try:
            draw = KINDS[word]
        except KeyError:
            raise PreparationError(
                f"unknown kind of column {word!r}; known: {', '.join(sorted(KINDS))}"
            ) from None
        table.columns[name] = draw(table, name, argument)
    return table


def _follow(table: Rows, key: str, kind: str, main: Rows) -> None:
    """A side table's rows: every value of the main table's column, a few times each."""
    times = int(kind.partition(" ")[2] or 1)
    values = main.columns.get(key) or main.columns["id"]
    first = {value: place for place, value in reversed(list(enumerate(values)))}
    table.columns[key] = [value for value in first for _ in range(times)]
    table.hidden = main.hidden[[place for place in first.values() for _ in range(times)]]


def _gather(table: Rows, kind: str) -> None:
    """Rows of a group share most of their hidden vector."""
    word, _, argument = kind.partition(" ")
    size = {"scans": 12, "fragments": 0}.get(word) if word != "group" else int(argument.split()[0])
    if word == "fragments":
        table.hidden = table.hidden[: int(argument)]
        return
    count = max(2, table.n // (size or 1))
    table.groups = np.sort(np.arange(table.n) % count)
    shared = table.rng.normal(0, 1, (count, HIDDEN))[table.groups]
    table.hidden = 0.8 * shared + 0.6 * table.hidden


def _id(rows: Rows, _: str, pattern: str) -> list[Any]:
    numbers = rows.rng.permutation(rows.n) + 10_001 + 100_000 * rows.number
    if not pattern:
        return [int(number) for number in numbers]
    return [pattern.format(number) for number in numbers]


def _group(rows: Rows, _: str, argument: str) -> list[Any]:
    pattern = argument.partition(" ")[2]
    groups = rows.groups if rows.groups is not None else np.arange(rows.n)
    numbers = [int(group) + 501 for group in groups]
    return [pattern.format(number) for number in numbers] if pattern else numbers


def _rank(rows: Rows, _: str, __: str) -> list[Any]:
    return rows.ranks()


def _last(rows: Rows, _: str, __: str) -> list[Any]:
    groups = rows.groups if rows.groups is not None else np.zeros(rows.n, dtype=np.int64)
    ends = np.searchsorted(groups, groups, side="right")
    return [int(place + 1 == end) for place, end in zip(range(rows.n), ends, strict=True)]


def _count(rows: Rows, name: str, most: str) -> list[Any]:
    return [round(float(most) * place**2) for place in rows.target(name)]


def _real(rows: Rows, name: str, bounds: str) -> list[Any]:
    low, high = (float(bound) for bound in bounds.split())
    return [round(low + (high - low) * place, 5) for place in rows.target(name)]


def _sometimes(rows: Rows, name: str, bounds: str) -> list[Any]:
    filled = rows.rng.random(rows.n) > 0.1
    return [
        value if on else None for value, on in zip(_real(rows, name, bounds), filled, strict=True)
    ]


def _labels(rows: Rows, name: str, argument: str) -> list[Any]:
    spec, _, separator = argument.partition(" sep ")
    separator = {"": " ", "space": " "}.get(separator, separator)
    names = classes(spec)
    shown = np.stack([rows.target(f"{name}{each}") for each in names], axis=1)
    cut = np.maximum(0.72, shown.max(axis=1) - 1e-9)
    chosen = (shown >= np.minimum(0.72, cut)[:, None]) | (shown >= shown.max(axis=1)[:, None])
    return [separator.join(n for n, on in zip(names, row, strict=True) if on) for row in chosen]


def _one_hot(rows: Rows, _: str, argument: str) -> list[Any]:
    place, _, count = argument.partition("/")
    known = rows.columns.get("__class__")
    if known is None:
        known = [int(value * int(count)) for value in rows.target("class")]
        rows.columns["__class__"] = known
    found = [int(value == int(place)) for value in known]
    if int(place) + 1 == int(count):
        del rows.columns["__class__"]
    return found


def _date(rows: Rows, _: str, __: str) -> list[Any]:
    days = np.arange(rows.n) * 200 // rows.n
    return [(_DAY_ZERO + timedelta(days=int(day))).strftime("%Y-%m-%d") for day in days]


def _datetime(rows: Rows, _: str, __: str) -> list[Any]:
    return [
        (_DAY_ZERO + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S") for hour in range(rows.n)
    ]


def _coin(rows: Rows, _: str, share: str) -> list[Any]:
    return [int(on) for on in rows.rng.random(rows.n) < float(share)]


def _float(rows: Rows, name: str, _: str) -> list[Any]:
    return [round(float(value), 4) for value in rows.feature(name)]


def _int(rows: Rows, name: str, _: str) -> list[Any]:
    return [int(value) for value in np.maximum(50 + 20 * rows.feature(name), 0)]


def _const(rows: Rows, _: str, value: str) -> list[Any]:
    return typed([value]) * rows.n


def _binary(rows: Rows, name: str, _: str) -> list[Any]:
    return [int(level > 0.6) for level in rows.target(name)]


def _share(rows: Rows, name: str, _: str) -> list[Any]:
    return [round(float(level), 3) for level in rows.target(name)]


def _filed(rows: Rows, name: str, argument: str) -> list[Any]:
    """A path through a folder that bears another column's value: `filed label {}/{}.jpg`."""
    column, _, pattern = argument.partition(" ")
    numbers = _id(rows, name, "")
    return [
        pattern.format(value, number)
        for value, number in zip(rows.columns[column], numbers, strict=True)
    ]


def _row(rows: Rows, _: str, pattern: str) -> list[Any]:
    return [pattern.format(10_000 + row) for row in range(rows.n)]


KINDS: dict[str, Callable[[Rows, str, str], list[Any]]] = {
    **CODES,
    "binary": _binary,
    "category": lambda rows, name, spec: pick(classes(spec), spread(rows.feature(name))),
    "cell": lambda rows, name, _: [int(value > 0) for value in rows.feature(name[-3:])],
    "coin": _coin,
    "const": _const,
    "count": _count,
    "count1": lambda rows, name, most: [1 + value for value in _count(rows, name, most)],
    "date": _date,
    "datetime": _datetime,
    "filed": _filed,
    "float": _float,
    "fragments": lambda rows, _, __: [str(row + 1) for row in range(rows.n)],
    "group": _group,
    "id": _id,
    "int": _int,
    "label": lambda rows, name, spec: pick(classes(spec), rows.target(name)),
    "labels": _labels,
    "last": _last,
    "leak": _share,
    "null": lambda rows, _, __: [None] * rows.n,
    "onehot": _one_hot,
    "rank": _rank,
    "real": _real,
    "row": _row,
    "share": _share,
    "sometimes": _sometimes,
    "tf": lambda rows, name, _: [str(level > 0.6) for level in rows.target(name)],
    "time": lambda rows, _, __: [round(0.0001 * (row + 1), 4) for row in range(rows.n)],
    "weight": lambda rows, _, __: [float(w) for w in rows.rng.integers(1, 4, rows.n)],
}
