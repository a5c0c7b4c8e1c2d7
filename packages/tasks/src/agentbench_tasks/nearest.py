"""A learner for stand-ins: the answers of the nearest training rows.

It only shows that a prepared task can be learnt from what is public; it is no baseline.
"""

import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_tasks.apply import apply_all
from agentbench_tasks.errors import PreparationError
from agentbench_tasks.preparation import PreparedTask
from agentbench_tasks.reading import TableFormat, scan_table
from agentbench_tasks.recipe import Side

Floats = NDArray[np.float64]
_NEIGHBOURS = 9
_WORDS = 64


def nearest_neighbours(prepared: PreparedTask) -> pl.DataFrame | None:
    """Predict by the nearest training rows.

    Returns:
        A submission, or None where the recipe's answers are not one per test row, or the training
        table lacks what the answers are made of.
    """
    recipe, submission = prepared.task.recipe, prepared.task.submission
    if recipe.train is None:
        return None
    train, test = _table(prepared.public / recipe.train), _table(prepared.public / recipe.test)
    ids = list(submission.id)
    if train is None or test is None or not set(ids) <= set(test.columns):
        return None
    try:
        known = apply_all(recipe.answers.transforms, train).select(list(submission.columns))
    except (pl.exceptions.PolarsError, PreparationError):
        return None  # these answers cannot be made of training rows
    if known.height != train.height or test.select(ids).n_unique() < test.height:
        return None
    both = [_features(prepared, train, "train"), _features(prepared, test, "test")]
    names = sorted(set(both[0]) & set(both[1]))
    if not names:
        return None
    old, new = (np.column_stack([side[name] for name in names]) for side in both)
    scale = old.std(axis=0) + 1e-9
    places = _nearest((old - old.mean(axis=0)) / scale, (new - old.mean(axis=0)) / scale)
    columns = [
        _combine(known[name], places, column.type) for name, column in submission.columns.items()
    ]
    return test.select(ids).with_columns(columns)


def _table(path: Path) -> pl.DataFrame | None:
    formats: dict[str, TableFormat] = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
    form = formats.get(path.suffix)
    return None if form is None else scan_table(path, format=form).collect()


def _nearest(old: Floats, new: Floats) -> NDArray[np.int64]:
    """Row numbers of the nearest old rows of each new one, shape (n_new, k)."""
    distance = (new**2).sum(1)[:, None] - 2 * new @ old.T + (old**2).sum(1)[None, :]
    return np.argsort(distance, axis=1, kind="stable")[:, : min(_NEIGHBOURS, len(old))]


def _combine(known: pl.Series, places: NDArray[np.int64], kind: str) -> pl.Series:
    """Mean of numbers, commonest of labels, first of texts that do not repeat."""
    if kind == "float":
        numbers = known.cast(pl.Float64).fill_null(0.0).to_numpy()
        return pl.Series(known.name, numbers[places].mean(axis=1))
    texts = known.cast(pl.String).fill_null("").to_numpy()[places]
    chosen: list[str] = []
    for row in texts:
        values, counts = np.unique(row, return_counts=True)
        chosen.append(str(values[counts.argmax()] if counts.max() > 1 else row[0]))
    return pl.Series(known.name, chosen)


def _features(prepared: PreparedTask, frame: pl.DataFrame, side: Side) -> dict[str, Floats]:
    task = prepared.task
    hidden = {*task.submission.id, *task.recipe.targets, *task.recipe.drop_in_test}
    features: dict[str, Floats] = {}
    for column in frame.columns:
        if column in hidden:
            continue
        series = frame[column]
        if series.dtype.is_nested():
            features |= _nested(column, series)
            continue
        numbers = series.cast(pl.Float64, strict=False)
        if numbers.null_count() <= series.null_count() + 0.2 * len(series):
            features[column] = numbers.fill_null(numbers.mean() or 0.0).to_numpy()  # pyright: ignore[reportArgumentType]
        else:
            features |= _words(column, series.cast(pl.String).fill_null(""))
    return features | _files(prepared, frame, side)


def _nested(column: str, series: pl.Series) -> dict[str, Floats]:
    rows = [np.asarray(value, dtype=float).ravel()[:8] for value in series.to_list()]
    if len({len(row) for row in rows}) != 1:
        return {}
    table = np.stack(rows)
    return {f"{column}[{place}]": table[:, place] for place in range(table.shape[1])}


def _words(column: str, texts: pl.Series) -> dict[str, Floats]:
    """Counts of words, hashed."""
    counts = np.zeros((len(texts), _WORDS))
    for row, text in enumerate(texts.to_list()):
        for word in str(text).split(" "):
            counts[row, zlib.crc32(word.encode()) % _WORDS] += 1
    return {f"{column}#{place}": counts[:, place] for place in range(_WORDS)}


def _files(prepared: PreparedTask, frame: pl.DataFrame, side: Side) -> dict[str, Floats]:
    """Mean level of each row's file: of pixels where it is a picture, of bytes where not."""
    features: dict[str, Floats] = {}
    for number, rule in enumerate(prepared.task.recipe.media):
        if side not in rule.sides:
            continue
        try:
            names = [rule.to.format(**row, side=side) for row in frame.iter_rows(named=True)]
        except (KeyError, IndexError):
            continue
        levels = [_level(prepared.public / name) for name in names]
        spread = 40.0 if len(set(levels)) > 1 else 0.0
        for copy in range(8 if spread else 0):  # one picture outweighs a few noisy columns
            features[f"media{rule.to.format_map(_Any())}{number}.{copy}"] = np.array(levels)
    return features


class _Any(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "" if key == "side" else "0000"


def _level(path: Path) -> float:
    if path.is_dir():
        path = next((each for each in sorted(path.rglob("*")) if each.is_file()), path)
    if not path.is_file():
        return 0.0
    if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".tif", ".tiff"}:
        image: Any = import_module("PIL.Image")
        with image.open(path) as picture:
            return float(np.asarray(picture.convert("L")).mean())
    if path.suffix == ".npy":
        return float(np.load(path, allow_pickle=False).mean())
    if path.suffix == ".csv":
        values = np.genfromtxt(path, delimiter=",", skip_header=1)
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else 0.0
    return float(np.frombuffer(path.read_bytes()[:4096], dtype=np.uint8).mean())
