"""Do test rows or test files stand in the training data too, word for word or nearly?"""

import re
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_tasks.finding import Finding
from agentbench_tasks.manifest import hash_file
from agentbench_tasks.preparation import PreparedTask

_SHARE = 0.02  # of the test side, from which repetition is worth a warning
_MOST = {"train": 50_000, "test": 5_000}  # rows looked at for near-duplicates
_MOST_FILES = 2_000
_LONG_WORDS = 6  # a text column has that many words in the middle row
_SAME_TEXT = 0.8  # Jaccard similarity of three-word shingles
_HASHES, _BANDS = 32, 8
_PICTURES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def find_overlap(prepared: PreparedTask, tables: dict[str, pl.DataFrame]) -> Iterator[Finding]:
    """Shared ids, repeated and nearly repeated rows, texts, files and pictures."""
    recipe = prepared.task.recipe
    train, test = tables.get(recipe.train or ""), tables.get(recipe.test)
    if train is not None and test is not None:
        yield from _rows(prepared, train, test)
    yield from _files(prepared)


def _rows(prepared: PreparedTask, train: pl.DataFrame, test: pl.DataFrame) -> Iterator[Finding]:
    ids = prepared.task.submission.id
    shared = [name for name in test.columns if name in train.columns]
    for name in ids:
        if name in shared and train[name].n_unique() == train.height:
            both = test[name].is_in(train[name].implode()).sum()
            if both:
                evidence = f"{both} test ids {name} stand in {prepared.task.recipe.train}"
                yield Finding(code="train-test-overlap", severity="error", evidence=evidence)
    features = [name for name in shared if name not in ids]
    if len(features) > 2:
        same = _repeated(train.select(features), test.select(features))
        if same > _SHARE * test.height:
            evidence = f"{same} of {test.height} test rows repeat a training row"
            yield Finding(code="train-test-overlap", severity="warning", evidence=evidence)
        rounded = _rounded(pl.concat([train.select(features), test.select(features)]))
        near = _repeated(rounded.head(train.height), rounded.tail(test.height))
        if near > max(same, _SHARE * test.height):
            evidence = (
                f"{near} of {test.height} test rows are a training row but for case, spaces and"
                " the fourth digit"
            )
            yield Finding(code="near-duplicates", severity="warning", evidence=evidence)
    for name in features:
        found, of = _similar_texts(train[name], test[name])
        if found > _SHARE * of:
            evidence = f"{found} of {of} test texts {name} are nearly those of a training row"
            yield Finding(code="near-duplicates", severity="warning", evidence=evidence)


def _repeated(train: pl.DataFrame, test: pl.DataFrame) -> int:
    """Test rows that stand in train; 0 where training rows repeat each other by nature."""
    seen = train.unique()
    if seen.height <= 0.9 * train.height:
        return 0
    return test.join(seen, on=train.columns, nulls_equal=True, how="semi").height


def _rounded(table: pl.DataFrame) -> pl.DataFrame:
    """Numbers to three digits, texts to their lower-case letters and digits."""
    columns: list[pl.Expr] = []
    for name in table.columns:
        numbers = table[name].cast(pl.Float64, strict=False)
        if numbers.null_count() == table[name].null_count():
            columns.append(pl.col(name).cast(pl.Float64).round_sig_figs(3))
        else:
            plain = pl.col(name).str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]", "")
            columns.append(plain)
    return table.select(columns)


def _similar_texts(train: pl.Series, test: pl.Series) -> tuple[int, int]:
    """Test texts that share most three-word shingles with a training text, and texts looked at."""
    middle = test.str.count_matches(" ").median()
    if not isinstance(middle, float) or middle < _LONG_WORDS - 1:
        return 0, 0
    sides = {"train": train.unique().drop_nulls(), "test": test.drop_nulls()}
    shingles = {
        side: [_shingles(text) for text in texts.head(_MOST[side]).to_list()]
        for side, texts in sides.items()
    }
    places: dict[tuple[int, bytes], list[int]] = {}
    for row, words in enumerate(shingles["train"]):
        for key in _bands(words):
            places.setdefault(key, []).append(row)
    found = 0
    for words in shingles["test"]:
        rows = {row for key in _bands(words) for row in places.get(key, [])[:20]}
        found += any(_jaccard(words, shingles["train"][row]) >= _SAME_TEXT for row in rows)
    return found, len(shingles["test"])


def _shingles(text: str) -> NDArray[np.uint64]:
    words = re.findall(r"\w+", text.lower())[:300]
    parts = {zlib.crc32(" ".join(words[i : i + 3]).encode()) for i in range(max(len(words) - 2, 1))}
    return np.array(sorted(parts), dtype=np.uint64)


_FACTORS = np.random.default_rng(0).integers(1, 2**32, _HASHES, dtype=np.uint64) | np.uint64(1)


def _bands(shingles: NDArray[np.uint64]) -> list[tuple[int, bytes]]:
    """MinHash of a set of shingles (Broder 1997), cut into bands: similar sets share one."""
    with np.errstate(over="ignore"):
        mixed = (shingles[:, None] * _FACTORS) % np.uint64(2**61 - 1)
    least = mixed.min(axis=0).reshape(_BANDS, -1)
    return [(band, part.tobytes()) for band, part in enumerate(least)]


def _jaccard(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> float:
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)


def _files(prepared: PreparedTask) -> Iterator[Finding]:
    sides: dict[str, list[Path]] = {"train": [], "test": []}
    for path in sorted(prepared.public.rglob("*")):
        top = path.relative_to(prepared.public).parts[0].lower()
        if path.is_file() and path.parent != prepared.public and path.stat().st_size > 64:
            for side, found in sides.items():
                if top.startswith(side):
                    found.append(path)
    exact = {side: {hash_file(path) for path in paths} for side, paths in sides.items()}
    both = len(exact["train"] & exact["test"])
    if both > _SHARE * max(len(exact["test"]), 1):
        evidence = f"{both} of {len(exact['test'])} test files have the bytes of a training file"
        yield Finding(code="train-test-overlap", severity="warning", evidence=evidence)
    seen = {
        side: {look for path in paths[:_MOST_FILES] if (look := _look(path)) is not None}
        for side, paths in sides.items()
    }
    near = len(seen["train"] & seen["test"])
    if near > max(both, _SHARE * max(len(seen["test"]), 1)):
        evidence = f"{near} of {len(seen['test'])} test pictures look like a training picture"
        yield Finding(code="near-duplicates", severity="warning", evidence=evidence)


def _look(path: Path) -> bytes | None:
    """Difference hash of a picture, 16 x 16 bits; None for a flat one and for other files."""
    if path.suffix.lower() not in _PICTURES:
        return None
    try:
        image: Any = import_module("PIL.Image")
        with image.open(path) as picture:
            small = np.asarray(picture.convert("L").resize((17, 16)), dtype=np.int16)
    except (ImportError, OSError, ValueError):
        return None
    bits = small[:, 1:] > small[:, :-1]
    return np.packbits(bits).tobytes() if 16 <= bits.sum() <= 240 else None
