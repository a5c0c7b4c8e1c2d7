"""Does one thing alone tell the answers: row order, id, size or time of a file, one column?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_tasks.file_leaks import answer_per_row
from agentbench_tasks.finding import Finding
from agentbench_tasks.preparation import PreparedTask

_INNOCENT = 0.6  # rank correlation of row order, id, size or time that is no accident
_COLUMN = 0.97  # of a column: honest features are not that good
_COLUMN_IN_TRAIN = 0.9  # what looks like that on few test rows must hold up on many
_FEWEST = 30
_CHANCE = 1e-8


def find_single_features(
    prepared: PreparedTask, tables: dict[str, pl.DataFrame], answers: pl.DataFrame
) -> Iterator[Finding]:
    """Rank correlation of the first target with one thing at a time."""
    test = tables.get(prepared.task.recipe.test)
    truth = None if test is None else answer_per_row(prepared, test, answers)
    if test is None or truth is None or test.height < _FEWEST:
        return
    least = max(_INNOCENT, 4.5 / np.sqrt(test.height))
    for feature, values in _circumstances(prepared, test).items():
        strength = rank_correlation(values, truth)
        if strength >= least:
            level = "error" if strength >= 0.9 else "warning"
            evidence = f"{feature} alone ranks the answers with correlation {strength:.2f}"
            yield Finding(code="one-feature-leak", severity=level, evidence=evidence)
    for name in test.columns:
        if name in prepared.task.submission.id:
            continue
        strength = rank_correlation(_numbers(test[name]), truth)
        if strength >= _COLUMN and _as_strong_in_train(prepared, tables, name):
            evidence = f"column {name} alone ranks the answers with correlation {strength:.2f}"
            yield Finding(code="one-feature-leak", severity="error", evidence=evidence)
        elif (filled := _decides(test[name], truth)) is not None:
            evidence = f"all {filled[0]} test rows with {name} {filled[1]} have answer {filled[2]}"
            yield Finding(code="one-feature-leak", severity="error", evidence=evidence)


def _as_strong_in_train(prepared: PreparedTask, tables: dict[str, pl.DataFrame], name: str) -> bool:
    """Whether the training table does not contradict what a few test rows show."""
    train = tables.get(prepared.task.recipe.train or "")
    target = next(iter(prepared.task.submission.columns))
    if train is None or not {name, target} <= set(train.columns):
        return True
    return rank_correlation(_numbers(train[name]), train[target]) >= _COLUMN_IN_TRAIN


def _circumstances(
    prepared: PreparedTask, test: pl.DataFrame
) -> dict[str, NDArray[np.float64] | None]:
    """What should tell nothing: row order, digits of the id, size and time of the row's file."""
    features: dict[str, NDArray[np.float64] | None] = {
        "row order": np.arange(test.height, dtype=float)
    }
    for column in prepared.task.submission.id:
        digits = test[column].str.extract(r"(\d{1,15})\D*$", 1).cast(pl.Float64, strict=False)
        features[f"id {column}"] = None if digits.null_count() else digits.to_numpy()
    for rule in prepared.task.recipe.media:
        paths = _paths(prepared.public, rule.to, test) if "test" in rule.sides else None
        if paths is not None:
            features["file size"] = np.array([float(path.stat().st_size) for path in paths])
            features["file time"] = np.array([float(path.stat().st_mtime) for path in paths])
    return features


def _paths(public: Path, template: str, test: pl.DataFrame) -> list[Path] | None:
    try:
        names = [template.format(**row, side="test") for row in test.iter_rows(named=True)]
    except (KeyError, IndexError):
        return None
    paths = [public / name for name in names]
    return paths if all(path.is_file() for path in paths) else None


def _numbers(column: pl.Series) -> NDArray[np.float64] | None:
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() > column.null_count() or numbers.null_count() == len(numbers):
        return None
    return numbers.fill_null(numbers.min()).to_numpy()  # pyright: ignore[reportArgumentType] # a number


def _decides(column: pl.Series, truth: pl.Series) -> tuple[int, str, str] | None:
    """Rows, kind and answer, if all empty or all filled fields go with one answer beyond chance."""
    empty = column.fill_null("").str.strip_chars().str.to_lowercase().is_in(["", "n/a", "na"])
    for kind, rows in (("empty", empty), ("filled", ~empty)):
        count, answers = int(rows.sum()), truth.filter(rows)
        if not 0 < count < len(truth) or answers.n_unique() > 1:
            continue
        share = int((truth == answers[0]).sum()) / len(truth)
        if share**count < _CHANCE:
            return count, kind, str(answers[0])
    return None


def rank_correlation(values: NDArray[np.float64] | None, truth: pl.Series) -> float:
    """|Spearman's ρ|, 0 for a constant.

    Classes are ordered by their mean value first. For a value of its own kind in most rows it is
    divided by the largest that ρ can be: 0.87 with two classes of equal size.
    """
    if values is None:
        return 0.0
    numbers = truth.cast(pl.Float64, strict=False)
    if numbers.null_count() and truth.n_unique() <= max(2, truth.len() // 10):
        means = pl.DataFrame({"class": truth, "value": values}).select(
            pl.col("value").mean().over("class")
        )
        numbers = means.to_series()
    elif numbers.null_count():
        return 0.0
    one, other = (pl.Series(side).rank().to_numpy() for side in (values, numbers))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    found = abs(np.corrcoef(one, other)[0, 1])
    if len(np.unique(one)) > len(one) / 2:
        found /= np.corrcoef(np.sort(one), np.sort(other))[0, 1]
    return float(min(found, 1.0))
