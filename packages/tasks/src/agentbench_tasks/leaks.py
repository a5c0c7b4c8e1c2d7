"""Do the public files tell the answers? Checks that look at a prepared folder, not at its recipe.

They read whatever lies in `public/` as an agent would: every table, also inside folders, every
file name, size and time.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from agentbench_tasks.apply import apply_all
from agentbench_tasks.build import SAMPLE
from agentbench_tasks.errors import PreparationError
from agentbench_tasks.file_leaks import find_file_leaks
from agentbench_tasks.finding import Finding
from agentbench_tasks.overlap import find_overlap
from agentbench_tasks.preparation import PreparedTask
from agentbench_tasks.reading import TableFormat, scan_table
from agentbench_tasks.single_features import find_single_features

_EQUAL = 0.98  # share of equal values from which a column is the answers
_CHANCE = 1e-8  # how likely a column of another name may equal the answers by accident
_WORTH = 3  # characters of a value that can be part of an answer
_MANY_TABLES = 60
_MANY_TARGETS = 12
_FORMATS: dict[str, TableFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".json": "json",
}


def find_leaks(prepared: PreparedTask, answers: pl.DataFrame) -> Iterator[Finding]:
    """All checks on files.

    Args:
        prepared: The prepared task.
        answers: Its answers, every column as text.
    """
    tables = dict(_tables(prepared))
    yield from _targets_by_name(prepared, tables)
    yield from _answers_by_join(prepared, tables, answers)
    yield from _answers_made_again(prepared, tables, answers)
    yield from find_file_leaks(prepared, tables, answers)
    yield from find_overlap(prepared, tables)
    yield from find_single_features(prepared, tables, answers)


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


def _is_train(prepared: PreparedTask, name: str) -> bool:
    recipe = prepared.task.recipe
    sides = {rule.to.format(side="train") for rule in recipe.tables}
    return name == recipe.train or name in sides or "train" in name.lower()


def _targets_by_name(prepared: PreparedTask, tables: dict[str, pl.DataFrame]) -> Iterator[Finding]:
    recipe = prepared.task.recipe
    targets = {*recipe.targets, *recipe.drop_in_test, *recipe.drop}
    targets |= set(prepared.task.submission.columns)
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
                if column in keys:
                    continue
                equal = _share_equal(joined, target, f"__{column}", parts=name != SAMPLE)
                if equal >= _EQUAL:
                    if column != target and _accident(joined[target], joined[f"__{column}"]):
                        continue
                    evidence = f"{name}: column {column} equals {target} in {equal:.1%} of rows"
                    yield Finding(code=visible, severity="error", evidence=evidence)


def _answers_made_again(
    prepared: PreparedTask, tables: dict[str, pl.DataFrame], answers: pl.DataFrame
) -> Iterator[Finding]:
    """Carry the recipe's own `answers` out on the public test table: it must not work."""
    task = prepared.task
    test = tables.get(task.recipe.test)
    if test is None or not task.recipe.answers.transforms:
        return
    ids, targets = list(task.submission.id), list(task.submission.columns)
    try:
        made = apply_all(task.recipe.answers.transforms, test).select(*ids, *targets)
    except (pl.exceptions.PolarsError, PreparationError):
        return
    made = made.cast(pl.String).rename({name: f"__{name}" for name in targets})
    joined = answers.join(made, on=ids, how="inner")
    equal = [_share_equal(joined, name, f"__{name}", parts=False) for name in targets]
    if joined.height > answers.height // 2 and min(equal) >= _EQUAL:
        evidence = f"{task.recipe.test} gives the answers by the recipe's own transforms"
        yield Finding(code="answers-in-public", severity="error", evidence=evidence)


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


def _share_equal(joined: pl.DataFrame, target: str, column: str, *, parts: bool) -> float:
    """Share of equal values, as numbers where both are; with `parts`, or of parts of the answer.

    0 for columns without variety.
    """
    if column not in joined.columns or joined[target].n_unique() < 2:
        return 0.0
    left, right = joined[target], joined[column]
    if right.n_unique() < 2:
        return 0.0
    numbers = left.cast(pl.Float64, strict=False), right.cast(pl.Float64, strict=False)
    if not any(number.null_count() for number in numbers):
        return _share(numbers[0] == numbers[1])
    filled = right.fill_null("") != ""
    if int(filled.sum()) < max(5, 0.3 * len(filled)):
        return 0.0
    left, right = left.fill_null("").filter(filled), right.filter(filled)
    if not parts:
        return _share(left == right)
    # of answers that list several things, one row of a public table may hold one of them
    part = pl.col("part").str
    inside = (part.len_chars() >= _WORTH) & pl.col("all").str.contains(pl.col("part"), literal=True)
    pairs = pl.DataFrame({"all": left, "part": right})
    return _share(pairs.select((pl.col("all") == pl.col("part")) | inside).to_series())


def _accident(target: pl.Series, column: pl.Series) -> bool:
    """Whether columns of such values may agree in all rows by accident: few rows, few values."""
    shares = [
        side.cast(pl.String).to_frame("value").group_by("value").agg(pl.len() / len(side))
        for side in (target, column)
    ]
    both = shares[0].join(shares[1], on="value", suffix="_other")
    chance = float((both["len"] * both["len_other"]).sum())
    return chance > 0 and chance ** len(target) > _CHANCE


def _share(flags: pl.Series) -> float:
    return int(flags.sum()) / max(len(flags), 1)
