"""Do the public files tell the answers? Checks that look at a prepared folder, not at its recipe.

They read whatever lies in `public/` as an agent would: every table, also inside folders, every
file name, size and time.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_tasks.build import SAMPLE
from agentbench_tasks.finding import Finding
from agentbench_tasks.manifest import hash_file
from agentbench_tasks.prepare import PreparedTask
from agentbench_tasks.reading import TableFormat, scan_table

_EQUAL = 0.98  # share of equal values from which a column is the answers
_STRONG = 0.6  # rank correlation of one innocent feature with the target that is no accident
_OVERLAP = 0.02
_MANY_TABLES = 60
_MANY_TARGETS = 12
_FORMATS: dict[str, TableFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".json": "json",
}
_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


def find_leaks(prepared: PreparedTask, answers: pl.DataFrame) -> Iterator[Finding]:
    """All checks on files.

    Args:
        prepared: The prepared task.
        answers: Its answers, every column as text.
    """
    tables = dict(_tables(prepared))
    yield from _archives(prepared)
    yield from _targets_by_name(prepared, tables)
    yield from _answers_by_join(prepared, tables, answers)
    yield from _overlap(prepared, tables)
    yield from _names_of_files(prepared, tables, answers)
    yield from _single_features(prepared, tables, answers)


def read_text_table(path: Path) -> pl.DataFrame | None:
    """A table of any format with every plain column as text; None for what is no table."""
    form = _FORMATS.get(path.suffix)
    if form is None:
        return None
    try:
        frame = scan_table(path, format=form).collect()
    except (pl.exceptions.PolarsError, OSError, UnicodeError):
        return None
    plain = [name for name in frame.columns if not frame[name].dtype.is_nested()]
    return frame.select(pl.col(plain).cast(pl.String, strict=False))


def _tables(prepared: PreparedTask) -> Iterator[tuple[str, pl.DataFrame]]:
    """Public tables by relative path; of many alike in a folder, the first few."""
    seen = 0
    for path in sorted(prepared.public.rglob("*")):
        name = path.relative_to(prepared.public).as_posix()
        nested = "/" in name
        if not path.is_file() or (nested and seen >= _MANY_TABLES):
            continue
        table = read_text_table(path)
        if table is not None and table.height:
            seen += nested
            yield name, table


def _archives(prepared: PreparedTask) -> Iterator[Finding]:
    for path in sorted(prepared.public.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            head = file.read(262)
        if head.startswith(_ARCHIVES) or head[257:262] == b"ustar":
            name = path.relative_to(prepared.public)
            yield Finding(code="archive-in-public", severity="error", evidence=str(name))


def _is_train(prepared: PreparedTask, name: str) -> bool:
    recipe = prepared.task.recipe
    sides = {rule.to.format(side="train") for rule in recipe.tables}
    return name == recipe.train or name in sides or "train" in name.lower()


def _targets_by_name(prepared: PreparedTask, tables: dict[str, pl.DataFrame]) -> Iterator[Finding]:
    recipe = prepared.task.recipe
    targets = set(recipe.targets) | set(recipe.drop_in_test) | set(prepared.task.submission.columns)
    targets -= set(prepared.task.submission.id)
    copied = {name for name in tables if any(Path(name).match(glob) for glob in recipe.copy_files)}
    for name, table in tables.items():
        if name == SAMPLE or _is_train(prepared, name) or name in copied:
            continue
        for column in sorted(targets & set(table.columns)):
            evidence = f"{name} has column {column}, which test rows must not have"
            yield Finding(code="target-in-public", severity="error", evidence=evidence)


def _answers_by_join(
    prepared: PreparedTask, tables: dict[str, pl.DataFrame], answers: pl.DataFrame
) -> Iterator[Finding]:
    """Join every table that has the answers' ids, and compare every column with every target."""
    ids = prepared.task.submission.id
    for name, table in tables.items():
        keys = _id_columns(table, answers, ids)
        if keys is None:
            continue
        other = table.rename({key: f"__{key}" for key in table.columns})
        joined = answers.join(
            other, left_on=list(ids), right_on=[f"__{key}" for key in keys], how="inner"
        )
        if joined.height < max(5, answers.height // 2):
            continue
        visible = "sample-is-answers" if name == SAMPLE else "answers-in-public"
        targets = list(prepared.task.submission.columns)
        for place, target in enumerate(targets):
            # of hundreds of targets, each with its namesake and a dozen with every column
            looked_at = place % (len(targets) // _MANY_TARGETS + 1) == 0
            for column in table.columns if looked_at else {target} & set(table.columns):
                equal = _share_equal(joined, target, f"__{column}", skip=column in keys)
                if equal >= _EQUAL:
                    evidence = f"{name}: column {column} equals {target} in {equal:.1%} of rows"
                    yield Finding(code=visible, severity="error", evidence=evidence)


def _id_columns(
    table: pl.DataFrame, answers: pl.DataFrame, ids: tuple[str, ...]
) -> list[str] | None:
    """Columns of a table that hold the answers' ids: by name, else by their values."""
    if set(ids) <= set(table.columns):
        return list(ids)
    if len(ids) > 1:
        return None
    known = answers[next(iter(ids))].implode()
    for column in table.columns:
        if int(table[column].is_in(known).sum()) >= 0.9 * answers.height:
            return [column]
    return None


def _share_equal(joined: pl.DataFrame, target: str, column: str, *, skip: bool) -> float:
    """Share of equal values, as numbers where both are; 0 for columns without variety."""
    if skip or column not in joined.columns or joined[target].n_unique() < 2:
        return 0.0
    left, right = joined[target], joined[column]
    if right.n_unique() < 2:
        return 0.0
    numbers = left.cast(pl.Float64, strict=False), right.cast(pl.Float64, strict=False)
    if not any(number.null_count() for number in numbers):
        return _share(numbers[0] == numbers[1])
    return _share((left == right).fill_null(value=False))


def _share(flags: pl.Series) -> float:
    return int(flags.sum()) / max(len(flags), 1)


def _overlap(prepared: PreparedTask, tables: dict[str, pl.DataFrame]) -> Iterator[Finding]:
    """Test rows whose features stand in train word for word, and test files that do."""
    task = prepared.task
    train = tables.get(task.recipe.train or "")
    test = tables.get(task.recipe.test)
    if train is not None and test is not None:
        shared = [name for name in test.columns if name in train.columns]
        for name in task.submission.id:
            if name in shared and train[name].n_unique() == train.height:
                both = test[name].is_in(train[name].implode()).sum()
                if both:
                    evidence = f"{both} test ids {name} stand in {task.recipe.train}"
                    yield Finding(code="train-test-overlap", severity="error", evidence=evidence)
        features = [name for name in shared if name not in task.submission.id]
        seen = train.select(features).unique() if features else train.clear()
        if len(features) > 2 and seen.height > 0.9 * train.height:
            share = test.select(features).join(seen, on=features, nulls_equal=True, how="semi")
            if share.height > _OVERLAP * test.height:
                evidence = f"{share.height} of {test.height} test rows repeat a training row"
                yield Finding(code="train-test-overlap", severity="warning", evidence=evidence)
    yield from _repeated_files(prepared)


def _repeated_files(prepared: PreparedTask) -> Iterator[Finding]:
    media = [path for path in sorted(prepared.public.rglob("*")) if path.is_file()]
    hashes: dict[str, set[str]] = {"train": set(), "test": set()}
    for path in media:
        top = path.relative_to(prepared.public).parts[0].lower()
        for side, found in hashes.items():
            if top.startswith(side) and path.parent != prepared.public and path.stat().st_size > 64:
                found.add(hash_file(path))
    both = len(hashes["train"] & hashes["test"])
    if both > _OVERLAP * max(len(hashes["test"]), 1):
        evidence = f"{both} of {len(hashes['test'])} test files have the bytes of a training file"
        yield Finding(code="train-test-overlap", severity="warning", evidence=evidence)


def _answer_per_row(
    prepared: PreparedTask, test: pl.DataFrame, answers: pl.DataFrame
) -> pl.Series | None:
    """The first target in the order of the test table, when both have the ids."""
    ids = list(prepared.task.submission.id)
    if not set(ids) <= set(test.columns):
        return None
    target = next(iter(prepared.task.submission.columns))
    joined = test.select(ids).join(
        answers.select(*ids, target), on=ids, how="left", maintain_order="left"
    )
    return joined[target] if joined.height == test.height else None


def _names_of_files(
    prepared: PreparedTask, tables: dict[str, pl.DataFrame], answers: pl.DataFrame
) -> Iterator[Finding]:
    """A class name inside the path of most test files of that class."""
    test = tables.get(prepared.task.recipe.test)
    truth = None if test is None else _answer_per_row(prepared, test, answers)
    if test is None or truth is None or not 2 <= truth.n_unique() <= 200:
        return
    for column in test.columns:
        texts = test[column].fill_null("")
        if column in prepared.task.submission.id:
            continue
        if _share(texts.str.contains(r"\.\w{2,5}$")) < 0.9:
            continue
        pairs = zip(texts.to_list(), truth.fill_null("").to_list(), strict=True)
        inside = [
            bool(label)
            and bool(
                re.search(rf"(?<![a-z0-9]){re.escape(label)}(?![a-z0-9])", text, re.IGNORECASE)
            )
            for text, label in pairs
        ]
        if np.mean(inside) >= 0.9:
            evidence = f"column {column} of {prepared.task.recipe.test} names the class"
            yield Finding(code="answer-in-file-name", severity="error", evidence=evidence)


def _single_features(
    prepared: PreparedTask, tables: dict[str, pl.DataFrame], answers: pl.DataFrame
) -> Iterator[Finding]:
    """Rank correlation of the target with row order, id, and size and time of each row's file."""
    name = prepared.task.recipe.test
    test = tables.get(name)
    truth = None if test is None else _answer_per_row(prepared, test, answers)
    if test is None or truth is None or test.height < 30:
        return
    features: dict[str, NDArray[np.float64]] = {"row order": np.arange(test.height, dtype=float)}
    for column in prepared.task.submission.id:
        digits = test[column].str.extract(r"(\d{1,15})\D*$", 1).cast(pl.Float64, strict=False)
        if not digits.null_count():
            features[f"id {column}"] = digits.to_numpy()
    for rule in prepared.task.recipe.media:
        if "test" not in rule.sides:
            continue
        paths = _paths(prepared.public, rule.to, test)
        if paths is not None:
            features["file size"] = np.array([float(path.stat().st_size) for path in paths])
            features["file time"] = np.array([float(path.stat().st_mtime) for path in paths])
    for feature, values in features.items():
        strength = _rank_correlation(values, truth)
        if strength >= _STRONG:
            level = "error" if strength >= 0.9 else "warning"
            evidence = f"{feature} alone ranks the answers with correlation {strength:.2f}"
            yield Finding(code="one-feature-leak", severity=level, evidence=evidence)


def _paths(public: Path, template: str, test: pl.DataFrame) -> list[Path] | None:
    try:
        names = [template.format(**row, side="test") for row in test.iter_rows(named=True)]
    except (KeyError, IndexError):
        return None
    paths = [public / name for name in names]
    return paths if all(path.is_file() for path in paths) else None


def _rank_correlation(values: NDArray[np.float64], truth: pl.Series) -> float:
    """|Spearman's ρ|, for classes after ordering them by their mean; 0 when one is constant."""
    numbers = truth.cast(pl.Float64, strict=False)
    if numbers.null_count() and truth.n_unique() <= max(2, truth.len() // 10):
        means = pl.DataFrame({"class": truth, "value": values}).select(
            pl.col("value").mean().over("class")
        )
        numbers = means.to_series()
    elif numbers.null_count():
        return 0.0
    ranks = [pl.Series(values).rank().to_numpy(), numbers.rank().to_numpy()]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(abs(np.corrcoef(ranks[0], ranks[1])[0, 1]))
