"""Columns of a stand-in that hold a code: sentences, masks, boxes, sequences, permutations."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentbench_tasks.stand_in_rows import HIDDEN, Rows, pick, spread

_WORDS = [
    *["amber", "basil", "cedar", "delta", "ember", "fable", "grove", "harbor"],
    *["iris", "jasper", "kelp", "lotus", "maple", "nectar", "olive", "pearl"],
    *["quartz", "river", "saffron", "tulip", "umber", "violet", "willow", "yarrow"],
]


def _text(rows: Rows, name: str, _: str) -> list[Any]:
    sentences: list[str] = []
    for vector in rows.hidden:
        words = [_WORDS[int(8 * spread(vector[j])) + 8 * j] for j in range(HIDDEN)]
        extra = rows.rng.integers(0, len(_WORDS), 5)
        words += [_WORDS[int(place)] for place in extra] + [words[0]]
        sentences.append(" ".join(words[int(i)] for i in rows.rng.permutation(len(words))))
    del name
    return sentences


def _span(rows: Rows, _: str, source: str) -> list[Any]:
    spans: list[str] = []
    for text, vector in zip(rows.columns[source], rows.hidden, strict=True):
        words = str(text).split(" ")
        start = min(int(spread(vector[0]) * (len(words) - 1)), len(words) - 2)
        spans.append(" ".join(words[start : start + 2]))
    return spans


def _letters(rows: Rows, _: str, argument: str) -> list[Any]:
    alphabet, _, length = argument.partition(" ")
    alphabet = alphabet or "ACDEFGHIKLMNPQRSTVWY"
    noise = rows.rng.uniform(0, 0.6, (rows.n, int(length or 20)))
    places = (spread(rows.hidden[:, :1]) * 0.4 + noise) * len(alphabet)
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
    shifts = [100 * (place - 1) for place in rows.ranks()] if apart else [0] * rows.n
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
    signs = pick([f"U+30{number}" for number in range(40, 60)], rows.target(name))
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
    return pick([*_WORDS[:9], "12", "1990", "km", "."], spread(rows.feature(name)))


def _scans(rows: Rows, _: str, __: str) -> list[Any]:
    return [
        f"case{1 + row // 24}_day{row // 12 % 2}_slice_{1 + row // 3 % 4:04d}"
        for row in range(rows.n)
    ]


def _organ(rows: Rows, _: str, __: str) -> list[Any]:
    return [("large_bowel", "small_bowel", "stomach")[row % 3] for row in range(rows.n)]


def _string(rows: Rows, name: str, prefix: str) -> list[Any]:
    levels = np.stack([rows.target(f"{name}{i}") for i in range(4)], axis=1)
    return [prefix + "".join("CHNOPS"[int(level * 6)] for level in row) for row in levels]


def _word(rows: Rows, _: str, __: str) -> list[Any]:
    return [f"{_WORDS[int(i) % len(_WORDS)]}{i}" for i in rows.rng.permutation(rows.n)]


def _addresses(rows: Rows, name: str, _: str) -> list[Any]:
    return [[f"http://pictures.example/{text.replace(' ', '-')}"] for text in _text(rows, name, "")]


CODES: dict[str, Callable[[Rows, str, str], list[Any]]] = {
    "addresses": _addresses,
    "before": _before,
    "box": _box,
    "characters": _characters,
    "corner": _corner,
    "letters": _letters,
    "mask": _mask,
    "numbers": _numbers,
    "opacity": _opacity,
    "organ": _organ,
    "permutation": _permutation,
    "pixels": _pixels,
    "scans": _scans,
    "sequence": _sequence,
    "span": _span,
    "spans": _spans,
    "spoken": _spoken,
    "string": _string,
    "text": _text,
    "vector": _vector,
    "word": _word,
}
