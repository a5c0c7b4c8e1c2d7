"""Carry a recipe out: raw files to `public/` and `private/`, whole or not at all."""

import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from agentbench_tasks.errors import PreparationError
from agentbench_tasks.manifest import Manifest, check_files, list_files, read_manifest
from agentbench_tasks.reading import SIDE, read_main
from agentbench_tasks.recipe import Recipe
from agentbench_tasks.source import fetch
from agentbench_tasks.split import Mask, split_columns, test_mask
from agentbench_tasks.task import Task

PART = "part"
_BATCH_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTask:
    """A task whose data lie on this machine.

    Args:
        task: The task.
        path: Its folder; `public` may enter a sandbox, `private` never.
        digest: SHA-256 over the prepared files, equal on every machine.
        synthetic: Rows of the stand-in that the data were made from; None for the real data.
    """

    task: Task
    path: Path
    digest: str
    synthetic: int | None = None

    @property
    def public(self) -> Path:
        """What the agent gets: train, test, sample submission, description, media."""
        return self.path / "public"

    @property
    def private(self) -> Path:
        """The answers; never mounted into a sandbox."""
        return self.path / "private"


def prepare(
    task: Task,
    root: str | Path,
    *,
    raw: str | Path | None = None,
) -> PreparedTask:
    """Prepare a task, or verify that it is prepared.

    The work happens in a temporary folder beside the result, which appears by one rename; a failed
    or interrupted preparation leaves nothing. A second call checks the files against the recorded
    hashes (a file whose size and time are unchanged is not read again) and does nothing else.

    Args:
        task: The task.
        root: Folder that holds prepared tasks, `root/<task>/v<version>/`.
        raw: Folder with the raw files, in place of the recipe's source.

    Raises:
        SourceError: The raw files cannot be had.
        ChangedDataError: A raw or prepared file differs from its recorded checksum.
        PreparationError: The recipe does not fit the raw files, or the disk is full.
    """
    home = Path(root).resolve() / task.name
    target = home / f"v{task.version}"
    if (done := _verified(task, target)) is not None:
        return done
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=home) as scratch:
            work = Path(scratch)
            files = fetch(task, work / "raw", home=home, raw=None if raw is None else Path(raw))
            _build(task, files, work / "made")
            _publish(work / "made", target)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise PreparationError(
                f"no space left in {home} while preparing {task.name}; nothing was kept"
            ) from error
        raise
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().splitlines()[0]
        raise PreparationError(f"the raw files of {task.name} do not fit: {reason}") from error
    made = _verified(task, target)
    if made is None:
        raise PreparationError(f"{target} disappeared while it was being prepared")
    return made


def _verified(task: Task, target: Path) -> PreparedTask | None:
    manifest = read_manifest(target)
    if manifest is None:
        return None
    if manifest.task_digest != task.digest:
        raise PreparationError(
            f"{target} was prepared from another definition of {task.name} version {task.version};"
            " remove the folder, or raise the task's version"
        )
    check_files(target, manifest)
    return PreparedTask(
        task=task, path=target, digest=manifest.digest, synthetic=manifest.synthetic
    )


def _publish(made: Path, target: Path) -> None:
    try:
        made.rename(target)
    except OSError as error:
        # Another process finished first: its result stands, and is verified by the caller.
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


def _build(task: Task, raw: Path, made: Path) -> None:
    """Write the whole prepared folder."""
    recipe = task.recipe
    public, private = made / "public", made / "private"
    public.mkdir(parents=True)
    private.mkdir()
    main = read_main(recipe.read, raw)
    for transform in recipe.transforms:
        main = transform.apply(main.collect()).lazy()
    mask = _split(recipe, main)
    test = _write_tables(recipe, main, mask, public)
    answers = _answers(task, test)
    answers.write_csv(private / "answers.csv")
    _sample(task, main, mask, answers).write_csv(public / "sample_submission.csv")
    (public / "description.md").write_text(describe(task))
    Manifest.of(task, files=list_files(made)).write(made)


def _split(recipe: Recipe, main: pl.LazyFrame) -> Mask:
    given = recipe.split.method == "given"
    columns = main.select(split_columns(recipe.split) or [pl.len()]).collect()
    if not split_columns(recipe.split) and not given:
        columns = pl.DataFrame({"row": np.arange(columns.item())})
    sides = main.select(SIDE).collect()[SIDE] if given else None
    return test_mask(recipe.split, columns, sides)


def _write_tables(recipe: Recipe, main: pl.LazyFrame, mask: Mask, public: Path) -> pl.DataFrame:
    """Stream the main table into the train and test files; return the test rows, whole."""
    hidden = (SIDE, *recipe.drop)
    tests: list[pl.DataFrame] = []
    start = 0
    with (public / (recipe.train or os.devnull)).open("wb") as train:
        for batch in main.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
            held = mask[start : start + batch.height]
            tests.append(batch.filter(held))
            rows = batch.filter(~held).drop(hidden, strict=False)
            rows.write_csv(train, include_header=start == 0)
            start += batch.height
    test = pl.concat(tests)
    view = test.drop(*hidden, *recipe.targets, *recipe.drop_in_test, strict=False)
    view.write_csv(public / recipe.test)
    return test


def _answers(task: Task, test: pl.DataFrame) -> pl.DataFrame:
    """Ids, targets, what the metric needs beside them, and the part that each row counts in."""
    rule = task.recipe.answers
    for transform in rule.transforms:
        test = transform.apply(test)
    columns = [*task.submission.id, *task.submission.columns, *rule.extra]
    answers = test.select(dict.fromkeys(columns))
    ids = answers.select(task.submission.id)
    if ids.n_unique() < ids.height:
        raise PreparationError(f"{task.name}: ids of the answers are not unique")
    if empty := [name for name in task.submission.columns if answers[name].null_count()]:
        raise PreparationError(f"{task.name}: the answers have empty values in {', '.join(empty)}")
    return answers.with_columns(_parts(task, test, answers).alias(PART))


def _parts(task: Task, test: pl.DataFrame, answers: pl.DataFrame) -> pl.Series:
    """`public` or `private` for every answer: a seeded draw, whole groups, label shares kept."""
    rule = task.recipe.answers
    seed = int.from_bytes(task.family.encode(), "little") % 2**32
    rng = np.random.default_rng([task.recipe.split.seed, seed])
    labels = answers[next(iter(task.submission.columns))].cast(pl.String)
    if rule.part_by is not None:
        keys = test[rule.part_by].cast(pl.String)
        values = keys.unique().sort()
        drawn = rng.permutation(len(values))[: max(1, round(rule.public * len(values)))]
        public = keys.is_in(values[drawn.tolist()].to_list())
        return public.replace_strict({True: "public", False: "private"}, return_dtype=pl.String)
    if labels.n_unique() > max(20, answers.height // 20):
        labels = pl.Series(np.zeros(answers.height)).cast(pl.String)
    # Within each label, every row gets a random place; the first share of each label is public.
    order = pl.Series(rng.permutation(answers.height))
    frame = pl.DataFrame({"label": labels, "order": order})
    place = frame.select(
        (pl.col("order").rank("ordinal").over("label") - 0.5) / pl.len().over("label")
    ).to_series()
    public = (place < rule.public).to_numpy()
    return pl.Series(np.where(public, "public", "private"))


def _sample(task: Task, main: pl.LazyFrame, mask: Mask, answers: pl.DataFrame) -> pl.DataFrame:
    """The sample submission: every id, and the recipe's constant or training statistic."""
    columns = {
        name: pl.lit(_fill(task, name, main, mask)) for name in task.submission.columns
    }
    return answers.select(*task.submission.id, **columns)


def _fill(task: Task, name: str, main: pl.LazyFrame, mask: Mask) -> object:
    try:
        rule = task.recipe.sample[name]
    except KeyError:
        raise PreparationError(f"{task.name}: field recipe.sample lacks column {name}") from None
    if rule not in {"mean", "median", "mode"}:
        return rule
    values = main.select(name).collect()[name].filter(~mask)
    if rule == "mode":
        return values.mode().sort()[0]
    numbers = values.cast(pl.Float64)
    return numbers.mean() if rule == "mean" else numbers.median()


def describe(task: Task) -> str:
    """The text that the agent reads: the problem, the metric, the table to hand in."""
    better = "higher" if task.higher_is_better else "lower"
    params = "".join(f", {key} = {value}" for key, value in task.metric.params.items())
    lines = [
        f"# {task.title}",
        "",
        task.description.strip(),
        "",
        "## Evaluation",
        f"Metric: {task.metric.name}{params} ({better} is better).",
        "",
        "## Submission",
        "A CSV file with one row per id of `sample_submission.csv`, in any order:",
        "",
        *(f"- `{name}`: id" for name in task.submission.id),
        *(f"- `{name}`: {_cell(task, name)}" for name in task.submission.columns),
        "",
    ]
    return "\n".join(lines)


def _cell(task: Task, name: str) -> str:
    column = task.submission.columns[name]
    text = {"float": "a number", "int": "a whole number", "str": "text"}[column.type]
    if column.values and len(column.values) <= 20:
        return f"{text}, one of {', '.join(map(str, column.values))}"
    if column.minimum is not None and column.maximum is not None:
        return f"{text} from {column.minimum:g} to {column.maximum:g}"
    if column.minimum is not None:
        return f"{text}, at least {column.minimum:g}"
    return text


def remove(task: Task, root: str | Path) -> None:
    """Delete a prepared task."""
    shutil.rmtree(Path(root) / task.name, ignore_errors=True)
