"""Carry a recipe out on raw files: read, split, write `public/`, and the answers apart."""

import os
from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl

from agentbench_tasks.apply import apply_all
from agentbench_tasks.description import describe
from agentbench_tasks.errors import PreparationError
from agentbench_tasks.media import media_columns, place, place_media
from agentbench_tasks.reading import SIDE, read_main, scan_table
from agentbench_tasks.recipe import Recipe, Table
from agentbench_tasks.split import Mask, held_out, split_columns
from agentbench_tasks.task import Task
from agentbench_tasks.unpack import unpack_all

PART = "part"
ANSWERS = "answers.csv"
SAMPLE = "sample_submission.csv"
_BATCH_ROWS = 50_000


def build(task: Task, raw: Path, made: Path) -> None:
    """Write a whole prepared folder, `made/public` and `made/private`.

    Args:
        task: The task.
        raw: Its raw files; archives in it are unpacked there.
        made: Where to write; must not exist.

    Raises:
        PreparationError: The recipe does not fit the raw files.
        UnsafeArchiveError: An archive or a value of the data leads out of its folder.
    """
    recipe = task.recipe
    public, private = made / "public", made / "private"
    public.mkdir(parents=True)
    private.mkdir()
    unpack_all(recipe.unpack, raw)
    if recipe.hook is not None:
        import_module(f"agentbench_tasks.hooks.{recipe.hook}").convert(raw)
    main = read_main(recipe.read, raw)
    if recipe.transforms:
        main = apply_all(recipe.transforms, main.collect()).lazy()
    mask = _split(recipe, main)
    test = apply_all(recipe.test_transforms, _write_train(recipe, main, mask, public))
    hidden = (SIDE, *recipe.drop, *recipe.targets, *recipe.drop_in_test)
    view = apply_all(recipe.view, test).drop(hidden, strict=False)
    _write(view, public / recipe.test)
    _follow(recipe, main, mask, test, raw=raw, public=public)
    answers = _answers(task, test)
    answers.write_csv(private / ANSWERS)
    _sample(task, main, mask, answers).write_csv(public / SAMPLE)
    (public / "description.md").write_text(describe(task), encoding="utf-8")


def _split(recipe: Recipe, main: pl.LazyFrame) -> Mask:
    given = recipe.split.method == "given"
    if given:
        return held_out(recipe.split, pl.DataFrame(), main.select(SIDE).collect()[SIDE])
    names = split_columns(recipe.split)
    if names:
        return held_out(recipe.split, main.select(names).collect())
    rows = int(main.select(pl.len()).collect().item())
    return held_out(recipe.split, pl.select(row=pl.int_range(rows)))


def _write(frame: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".jsonl":
            frame.write_ndjson(path)
        case ".parquet":
            frame.write_parquet(path)
        case _:
            raise PreparationError(f"cannot write {path.name}: use .csv, .jsonl or .parquet")


def _write_train(recipe: Recipe, main: pl.LazyFrame, mask: Mask, public: Path) -> pl.DataFrame:
    """Write the train table, in batches where it is CSV; return the test rows, whole."""
    hidden = (SIDE, *recipe.drop)
    if recipe.train is not None and not recipe.train.endswith(".csv"):
        whole = main.collect()
        _write(whole.filter(~mask).drop(hidden, strict=False), public / recipe.train)
        return whole.filter(mask)
    tests: list[pl.DataFrame] = []
    start = 0
    path = Path(os.devnull) if recipe.train is None else public / recipe.train
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as train:
        for batch in main.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
            held = mask[start : start + batch.height]
            tests.append(batch.filter(held))
            if recipe.train is not None:
                rows = batch.filter(~held).drop(hidden, strict=False)
                rows.write_csv(train, include_header=start == 0)
            start += batch.height
    return pl.concat(tests)


def _follow(
    recipe: Recipe,
    main: pl.LazyFrame,
    mask: Mask,
    test: pl.DataFrame,
    *,
    raw: Path,
    public: Path,
) -> None:
    """Side tables and media go where their rows went; further files are copied."""
    names = dict.fromkeys([table.key for table in recipe.tables] + media_columns(recipe.media))
    kept = [name for name in names if name in main.collect_schema().names()]
    train = main.select(kept).collect().filter(~mask) if kept else pl.DataFrame()
    rows = {"train": train, "test": test}
    for table in recipe.tables:
        for side in table.sides:
            _write(
                _side_table(table, rows[side], raw, drop=side == "test"),
                public / table.to.format(side=side),
            )
    for rule in recipe.media:
        for side in rule.sides:
            place_media(rule, rows[side], side=side, raw=raw, public=public)
    for pattern in recipe.copy_files:
        found = sorted(raw.glob(pattern))
        if not found:
            raise PreparationError(f"no raw file fits {pattern!r} under {raw}")
        for path in found:
            place(path, public / path.relative_to(raw))


def _side_table(table: Table, rows: pl.DataFrame, raw: Path, *, drop: bool) -> pl.DataFrame:
    keys = rows.select(pl.col(table.key).cast(pl.String)).unique().to_series()
    frame = scan_table(raw / table.path, format=table.format)
    frame = frame.filter(pl.col(table.key).cast(pl.String).is_in(keys.to_list()))
    return frame.collect().drop(table.drop_in_test if drop else (), strict=False)


def _answers(task: Task, test: pl.DataFrame) -> pl.DataFrame:
    """Ids, targets, what the metric needs beside them, and the part that each row counts in."""
    rule = task.recipe.answers
    rows = apply_all(rule.transforms, test)
    columns = [*task.submission.id, *task.submission.columns, *rule.extra]
    answers = rows.select(list(dict.fromkeys(columns)))
    ids = answers.select(task.submission.id)
    if ids.n_unique() < ids.height:
        raise PreparationError(f"{task.name}: ids of the answers are not unique")
    for name, column in task.submission.columns.items():
        if answers[name].null_count():
            if column.type != "str":
                raise PreparationError(f"{task.name}: the answers have empty values in {name}")
            answers = answers.with_columns(pl.col(name).fill_null(""))
    parts = _parts(task, answers, None if rule.part_by is None else rows[rule.part_by])
    return answers.with_columns(parts.alias(PART))


def _parts(task: Task, answers: pl.DataFrame, groups: pl.Series | None) -> pl.Series:
    """`public` or `private` for every answer: a seeded draw, whole groups, label shares kept."""
    rng = np.random.default_rng([task.recipe.split.seed, *task.name.split(".")[0].encode()])
    share = task.recipe.answers.public
    n = answers.height
    if groups is not None:
        keys = groups.cast(pl.String).fill_null("")
        codes = keys.rank("dense").to_numpy().astype(np.int64) - 1
        place = (rng.permutation(int(codes.max()) + 1)[codes] + 0.5) / (codes.max() + 1)
    else:
        labels = answers[next(iter(task.submission.columns))].cast(pl.String)
        if labels.n_unique() > n // 5:  # too many labels to keep the shares of each
            labels = pl.Series(["" for _ in range(n)])
        # Every row gets a random place among the rows of its label, as a share of them.
        frame = pl.DataFrame({"label": labels, "order": rng.permutation(n)})
        rank = pl.col("order").rank("ordinal").over("label")
        place = frame.select((rank - 0.5) / pl.len().over("label")).to_series().to_numpy()
    return pl.Series(np.where(place < share, "public", "private"))


def _sample(task: Task, main: pl.LazyFrame, mask: Mask, answers: pl.DataFrame) -> pl.DataFrame:
    """The sample submission: every id, and the recipe's constant or training statistic."""
    rules: dict[str, object] = {}
    for name in task.submission.columns:
        rules[name] = task.recipe.sample.get(name, task.recipe.sample.get("*"))
        if rules[name] is None:
            raise PreparationError(f"{task.name}: field recipe.sample lacks column {name}")
    statistics = [name for name, rule in rules.items() if rule in _STATISTICS]
    train = main.select(statistics).collect().filter(~mask) if statistics else pl.DataFrame()
    columns = [_fill(rule, name, train, answers).alias(name) for name, rule in rules.items()]
    return answers.select(*task.submission.id, *columns)


_STATISTICS = {"mean", "median", "mode"}


def _fill(
    rule: object, name: str, train: pl.DataFrame, answers: pl.DataFrame
) -> pl.Expr | pl.Series:
    if rule == "sorted":
        words = [" ".join(sorted(str(text).split())) for text in answers[name].to_list()]
        return pl.Series(words, dtype=pl.String)
    if isinstance(rule, str) and rule.startswith("="):
        return pl.col(rule[1:])
    if rule == "mode":
        return pl.lit(train[name].drop_nulls().mode().sort()[0])
    if rule in _STATISTICS:
        numbers = train[name].cast(pl.Float64)
        return pl.lit(numbers.mean() if rule == "mean" else numbers.median())
    return pl.lit(rule)
