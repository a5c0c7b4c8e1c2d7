"""The kinds of columns a stand-in can have, and how each is drawn from the rows' hidden vectors.

A kind is a word with arguments, as a task file writes it: `category a|b|c`, `real 0 100`,
`group 4`. Targets (`binary`, `label`, `real`, ...) follow the hidden vector closely, features
(`float`, `category`, `text`, ...) with more noise.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_tasks.errors import PreparationError

Floats = NDArray[np.float64]
_HIDDEN = 3
_DAY_ZERO = datetime(2019, 1, 1, tzinfo=UTC)
_WORDS = [
    *["amber", "basil", "cedar", "delta", "ember", "fable", "grove", "harbor"],
    *["iris", "jasper", "kelp", "lotus", "maple", "nectar", "olive", "pearl"],
    *["quartz", "river", "saffron", "tulip", "umber", "violet", "willow", "yarrow"],
]


@dataclass(slots=True, kw_only=True)
class Rows:
    """A table under construction: its hidden vectors (n, 3) and the columns drawn so far."""

    hidden: Floats
    rng: np.random.Generator
    number: int
    main: "Rows | None" = None
    columns: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    groups: NDArray[np.int64] | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.hidden)

    @property
    def frame(self) -> pl.DataFrame:
        """The columns as a table."""
        return pl.DataFrame(self.columns, strict=False)

    def target(self, name: str) -> Floats:
        """A target's place among the rows, from 0 to 1: mostly the first hidden number."""
        mix = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.35, _HIDDEN)
        mix[0] = 1.0
        score = self.hidden @ mix + self.rng.normal(0, 0.12, self.n)
        return (score.argsort().argsort() + 0.5) / self.n

    def feature(self, name: str) -> Floats:
        """A noisy mixture of the hidden numbers, about standard normal."""
        mix = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 1, _HIDDEN)
        mix /= np.linalg.norm(mix)
        return 0.85 * (self.hidden @ mix) + self.rng.normal(0, 0.5, self.n)


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
    hidden = rng.normal(0, 1, (rows, _HIDDEN))
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
    shared = table.rng.normal(0, 1, (count, _HIDDEN))[table.groups]
    table.hidden = 0.8 * shared + 0.6 * table.hidden


def _classes(argument: str) -> list[str]:
    if "|" in argument:
        return argument.split("|")
    match = re.fullmatch(r"(\D*?)(\d+)\.\.(\D*?)(\d+)", argument)
    if match is not None:
        width = len(match[2]) if match[2].startswith("0") else 0
        numbers = range(int(match[2]), int(match[4]) + 1)
        return [f"{match[1]}{number:0{width}d}" for number in numbers]
    return [str(number) for number in range(int(argument or 2))]


def _typed(names: list[str]) -> list[Any]:
    plain = all(re.fullmatch(r"-?(0|[1-9]\d*)", name) for name in names)
    return [int(name) for name in names] if plain else names


def _pick(names: list[str], places: Floats) -> list[Any]:
    values = _typed(names)
    return [values[min(int(place * len(values)), len(values) - 1)] for place in places]


def _spread(numbers: Floats) -> Floats:
    return 1 / (1 + np.exp(-1.7 * numbers))


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
    groups = rows.groups if rows.groups is not None else np.zeros(rows.n, dtype=np.int64)
    starts = np.searchsorted(groups, groups)
    return [int(place) + 1 for place in np.arange(rows.n) - starts]


def _last(rows: Rows, _: str, __: str) -> list[Any]:
    groups = rows.groups if rows.groups is not None else np.zeros(rows.n, dtype=np.int64)
    ends = np.searchsorted(groups, groups, side="right")
    return [int(place + 1 == end) for place, end in zip(range(rows.n), ends, strict=True)]


def _count(rows: Rows, name: str, most: str) -> list[Any]:
    return [round(float(most) * place**2) for place in rows.target(name)]


def _real(rows: Rows, name: str, bounds: str) -> list[Any]:
    low, high = (float(bound) for bound in bounds.split())
    return [round(low + (high - low) * place, 5) for place in rows.target(name)]


def _labels(rows: Rows, name: str, argument: str) -> list[Any]:
    spec, _, separator = argument.partition(" sep ")
    separator = {"": " ", "space": " "}.get(separator, separator)
    names = _classes(spec)
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


def _text(rows: Rows, name: str, _: str) -> list[Any]:
    sentences: list[str] = []
    for vector in rows.hidden:
        words = [_WORDS[int(8 * _spread(vector[j])) + 8 * j] for j in range(_HIDDEN)]
        extra = rows.rng.integers(0, len(_WORDS), 5)
        words += [_WORDS[int(place)] for place in extra] + [words[0]]
        sentences.append(" ".join(words[int(i)] for i in rows.rng.permutation(len(words))))
    del name
    return sentences


def _span(rows: Rows, _: str, source: str) -> list[Any]:
    spans: list[str] = []
    for text, vector in zip(rows.columns[source], rows.hidden, strict=True):
        words = str(text).split(" ")
        start = min(int(_spread(vector[0]) * (len(words) - 1)), len(words) - 2)
        spans.append(" ".join(words[start : start + 2]))
    return spans


def _letters(rows: Rows, _: str, argument: str) -> list[Any]:
    alphabet, _, length = argument.partition(" ")
    alphabet = alphabet or "ACDEFGHIKLMNPQRSTVWY"
    noise = rows.rng.uniform(0, 0.6, (rows.n, int(length or 20)))
    places = (_spread(rows.hidden[:, :1]) * 0.4 + noise) * len(alphabet)
    return ["".join(alphabet[int(place) % len(alphabet)] for place in row) for row in places]


def _vector(rows: Rows, name: str, length: str) -> list[Any]:
    levels = np.stack([rows.target(f"{name}{i % 4}") for i in range(int(length))], axis=1)
    noise = rows.rng.normal(0, 0.02, levels.shape)
    return [[float(value) for value in row] for row in (levels + noise).round(4)]


def _pixels(rows: Rows, name: str, length: str) -> list[Any]:
    return [
        " ".join(str(int(np.clip(value, 0, 1) * 255)) for value in row)
        for row in _vector(rows, name, length)
    ]


def _mask(rows: Rows, name: str, apart: str) -> list[Any]:
    """Run-length codes; with `apart`, those of one group do not overlap."""
    starts, lengths = rows.target(name), rows.target(name + "length")
    shifts = [100 * (place - 1) for place in _rank(rows, name, "")] if apart else [0] * rows.n
    return [
        "" if start < 0.15 else f"{1 + int(start * 40) + shift} {5 + int(length * 20)}"
        for start, length, shift in zip(starts, lengths, shifts, strict=True)
    ]


def _corners(rows: Rows, name: str) -> NDArray[np.int64]:
    """Boxes (n, 4): left, top, right, bottom in pixels."""
    del name
    left, top = rows.target("left") * 400, rows.target("top") * 400
    size = 40 + rows.target("size") * 60
    return np.stack([left, top, left + size, top + size], axis=1).astype(np.int64)


def _corner(rows: Rows, name: str, place: str) -> list[Any]:
    kept = rows.columns.setdefault("__box__", _corners(rows, name).tolist())
    values = [box[int(place)] for box in kept]
    if place == "3":
        del rows.columns["__box__"]
    return values


def _box(rows: Rows, name: str, _: str) -> list[Any]:
    return [f"[{x}, {y}, {r - x}, {b - y}]" for x, y, r, b in _corners(rows, name).tolist()]


def _opacity(rows: Rows, name: str, _: str) -> list[Any]:
    boxes = _corners(rows, name).tolist()
    shown = rows.target(name)
    return [
        f"opacity 1 {x} {y} {r} {b}" if level > 0.4 else "none 1 0 0 1 1"
        for (x, y, r, b), level in zip(boxes, shown, strict=True)
    ]


def _characters(rows: Rows, name: str, _: str) -> list[Any]:
    signs = _pick([f"U+30{number}" for number in range(40, 60)], rows.target(name))
    boxes = _corners(rows, name).tolist()
    return [
        f"{sign} {x} {y} {r - x} {b - y}" for sign, (x, y, r, b) in zip(signs, boxes, strict=True)
    ]


def _spans(rows: Rows, name: str, _: str) -> list[Any]:
    return [f"['{int(level * 50)} {int(level * 50) + 9}']" for level in rows.target(name)]


def _permutation(rows: Rows, _: str, __: str) -> list[Any]:
    cells = [f"c{number:02x}" for number in (211, 17, 94, 160, 45, 128)]
    return [
        " ".join(cells[int(i)] for i in rows.rng.permutation(len(cells))) for _ in range(rows.n)
    ]


def _sequence(rows: Rows, name: str, _: str) -> list[Any]:
    steps = [1 + int(level * 9) for level in rows.target(name)]
    starts = rows.rng.integers(0, 20, rows.n)
    return [
        ",".join(str(int(start) + step * i) for i in range(8))
        for start, step in zip(starts, steps, strict=True)
    ]


def _numbers(rows: Rows, name: str, most: str) -> list[Any]:
    levels = np.stack([rows.target(f"{name}{i}") for i in range(5)], axis=1)
    return [" ".join(str(1 + int(level * int(most))) for level in row) for row in levels]


def _spoken(rows: Rows, _: str, __: str) -> list[Any]:
    numbers = {"12": "twelve", "1990": "nineteen ninety", "km": "kilometers"}
    return [numbers.get(str(word), word) for word in rows.columns["before"]]


def _before(rows: Rows, name: str, _: str) -> list[Any]:
    return _pick([*_WORDS[:9], "12", "1990", "km", "."], _spread(rows.feature(name)))


def _scans(rows: Rows, _: str, __: str) -> list[Any]:
    return [
        f"case{1 + row // 24}_day{row // 12 % 2}_slice_{1 + row // 3 % 4:04d}"
        for row in range(rows.n)
    ]


def _organ(rows: Rows, _: str, __: str) -> list[Any]:
    return [("large_bowel", "small_bowel", "stomach")[row % 3] for row in range(rows.n)]


def _date(rows: Rows, _: str, __: str) -> list[Any]:
    days = np.arange(rows.n) * 200 // rows.n
    return [(_DAY_ZERO + timedelta(days=int(day))).strftime("%Y-%m-%d") for day in days]


def _datetime(rows: Rows, _: str, __: str) -> list[Any]:
    return [
        (_DAY_ZERO + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S") for hour in range(rows.n)
    ]


def _string(rows: Rows, name: str, prefix: str) -> list[Any]:
    levels = np.stack([rows.target(f"{name}{i}") for i in range(4)], axis=1)
    return [prefix + "".join("CHNOPS"[int(level * 6)] for level in row) for row in levels]


def _coin(rows: Rows, _: str, share: str) -> list[Any]:
    return [int(on) for on in rows.rng.random(rows.n) < float(share)]


def _float(rows: Rows, name: str, _: str) -> list[Any]:
    return [round(float(value), 4) for value in rows.feature(name)]


def _int(rows: Rows, name: str, _: str) -> list[Any]:
    return [int(value) for value in np.maximum(50 + 20 * rows.feature(name), 0)]


def _const(rows: Rows, _: str, value: str) -> list[Any]:
    return _typed([value]) * rows.n


def _binary(rows: Rows, name: str, _: str) -> list[Any]:
    return [int(level > 0.6) for level in rows.target(name)]


def _share(rows: Rows, name: str, _: str) -> list[Any]:
    return [round(float(level), 3) for level in rows.target(name)]


def _row(rows: Rows, _: str, pattern: str) -> list[Any]:
    return [pattern.format(10_000 + row) for row in range(rows.n)]


def _word(rows: Rows, _: str, __: str) -> list[Any]:
    return [f"{_WORDS[int(i) % len(_WORDS)]}{i}" for i in rows.rng.permutation(rows.n)]


KINDS: dict[str, Callable[[Rows, str, str], list[Any]]] = {
    "before": _before,
    "binary": _binary,
    "box": _box,
    "category": lambda rows, name, spec: _pick(_classes(spec), _spread(rows.feature(name))),
    "cell": lambda rows, name, _: [int(value > 0) for value in rows.feature(name[-3:])],
    "characters": _characters,
    "coin": _coin,
    "const": _const,
    "corner": _corner,
    "count": _count,
    "count1": lambda rows, name, most: [1 + value for value in _count(rows, name, most)],
    "date": _date,
    "datetime": _datetime,
    "float": _float,
    "fragments": lambda rows, _, __: [str(row + 1) for row in range(rows.n)],
    "group": _group,
    "id": _id,
    "int": _int,
    "label": lambda rows, name, spec: _pick(_classes(spec), rows.target(name)),
    "labels": _labels,
    "last": _last,
    "leak": _share,
    "letters": _letters,
    "mask": _mask,
    "null": lambda rows, _, __: [None] * rows.n,
    "numbers": _numbers,
    "onehot": _one_hot,
    "opacity": _opacity,
    "organ": _organ,
    "permutation": _permutation,
    "pixels": _pixels,
    "rank": _rank,
    "real": _real,
    "row": _row,
    "scans": _scans,
    "sequence": _sequence,
    "share": _share,
    "span": _span,
    "spans": _spans,
    "spoken": _spoken,
    "string": _string,
    "text": _text,
    "tf": lambda rows, name, _: [str(level > 0.6) for level in rows.target(name)],
    "time": lambda rows, _, __: [round(0.0001 * (row + 1), 4) for row in range(rows.n)],
    "vector": _vector,
    "weight": lambda rows, _, __: [float(w) for w in rows.rng.integers(1, 4, rows.n)],
    "word": _word,
}
