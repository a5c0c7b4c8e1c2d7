"""Synthetic stand-ins: raw files with the names, columns and folders of a competition's own.

Every row has a hidden vector; features, texts, pictures and targets are noisy functions of it, so
that there is something to learn. What the files are is written in the task's `stand_in` field;
`columns.py` knows the kinds of columns, this module the files.
"""

import io
import json
import re
import wave
import zipfile
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_tasks.apply import apply_all
from agentbench_tasks.errors import MissingExtraError, PreparationError
from agentbench_tasks.media import template_fields
from agentbench_tasks.reading import read_main
from agentbench_tasks.recipe import Recipe
from agentbench_tasks.record import expand_names
from agentbench_tasks.stand_in_columns import draw_table
from agentbench_tasks.stand_in_rows import Rows
from agentbench_tasks.task import Task
from agentbench_tasks.transforms import Indicators, OneHot

MINIMUM_ROWS = 50
_IMAGES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def synthesise(task: Task, folder: Path, *, rows: int, seed: int = 0) -> None:
    """Write raw files that the task's recipe can prepare.

    Args:
        task: The task; its `stand_in` field says what the files hold.
        folder: Where to write.
        rows: Rows of the main table, at least 50.
        seed: Seed of everything random; equal seeds give equal bytes of every table.

    Raises:
        PreparationError: The task describes no stand-in, or `rows` is too small.
        MissingExtraError: Pictures need Pillow.
    """
    if not task.stand_in:
        raise PreparationError(f"{task.name} has no synthetic stand-in: field stand_in is empty")
    if rows < MINIMUM_ROWS:
        raise PreparationError(f"a stand-in needs at least {MINIMUM_ROWS} rows, not {rows}")
    formats = {read.path: read.format for read in task.recipe.read}
    main: Rows | None = None
    for number, (path, kinds) in enumerate(task.stand_in.items()):
        rng = np.random.default_rng([seed, number, *task.family.encode()])
        written = _written_out(kinds, task.recipe)
        table = draw_table(written, rows=rows, rng=rng, main=main, number=number)
        main = main or table
        _write_table(folder, path, table, formats.get(path), task.recipe)
    if task.recipe.media:
        _write_media(task, folder, np.random.default_rng([seed, 10**6]))
    if task.recipe.hook is not None:
        import_module(f"agentbench_tasks.hooks.{task.recipe.hook}").disguise(folder)
    _pack(task.recipe, folder)


def _written_out(kinds: dict[str, str], recipe: Recipe) -> dict[str, str]:
    """Kind by column with ranges of names, and `*` for the recipe's classes, written out."""
    classes = next(
        (
            "|".join(transform.classes)
            for transform in recipe.answers.transforms
            if isinstance(transform, OneHot | Indicators)
        ),
        "",
    )
    return {
        name: kind.replace(" *", f" {classes}")
        for short, kind in kinds.items()
        for name in expand_names([short])
    }


def _write_table(folder: Path, path: str, table: Rows, form: str | None, recipe: Recipe) -> None:
    if form in {None, "csv"} and "{" not in path:
        tables = {side.path: side.format for side in recipe.tables}
        form = tables.get(path, path.rpartition(".")[2])
    if "{" in path:
        _write_pattern(folder, path, table, form or "files")
        return
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    frame = table.frame
    match form:
        case "parquet":
            frame.write_parquet(target)
        case "jsonl":
            frame.write_ndjson(target)
        case "json" if frame.width > 1:
            target.write_text(json.dumps(frame.to_dicts()), encoding="utf-8")
        case "coco":
            target.write_text(json.dumps(_coco(frame)), encoding="utf-8")
        case "lines":
            target.write_text("\n".join(frame.to_series().to_list()) + "\n", encoding="utf-8")
        case "npy":
            np.save(target, frame.to_series().to_numpy())
        case "tsv":
            frame.write_csv(target, separator="\t", quote_style="never")
        case _:
            frame.write_csv(target)


def _write_pattern(folder: Path, path: str, table: Rows, form: str) -> None:
    """One file per distinct value of the pattern's fields: empty, or the CSV of its rows."""
    fields = template_fields(path)
    for values, part in table.frame.partition_by(fields, as_dict=True, maintain_order=True).items():
        named = dict(zip(fields, values, strict=True))
        target = folder / path.format(**named)
        target.parent.mkdir(parents=True, exist_ok=True)
        if form == "csv":
            part.drop(fields).write_csv(target)
        else:
            target.touch()


def _coco(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Images under the name, `id` or `image_id`, that the table gives them, and annotations."""
    name = "id" if "id" in frame.columns else "image_id"
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row in frame.iter_rows(named=True):
        images.append({key: value for key, value in row.items() if key not in _ANNOTATED})
        inside = {key: value for key, value in row.items() if key in _ANNOTATED}
        annotations.append({"image_id": row[name], **inside})
    return {"images": images, "annotations": annotations}


_ANNOTATED = {"category_id", "label_id", "genus_id", "institution_id", "region_id", "count"}


def _write_media(task: Task, folder: Path, rng: np.random.Generator) -> None:
    """A file for every row and rule, brighter or louder as the row's first target is larger."""
    recipe = task.recipe
    if recipe.hook == "dirty_documents":
        frame = pl.DataFrame({"image": [path.stem for path in sorted(folder.glob("train/*.png"))]})
    else:
        frame = apply_all(recipe.transforms, read_main(recipe.read, folder).collect())
    signal = _signal(frame, recipe)
    for rule in recipe.media:
        fields = [name for name in template_fields(rule.path) if name in frame.columns]
        if len(fields) < len(template_fields(rule.path)):
            continue
        columns = frame.select(fields)
        for row, level in zip(columns.iter_rows(named=True), signal, strict=True):
            path = folder / rule.path.format(**row, side="train").replace("*", "0")
            if not path.exists() or (path.is_file() and path.stat().st_size == 0):
                _write_item(path, float(level), rng)


def _signal(frame: pl.DataFrame, recipe: Recipe) -> NDArray[np.float64]:
    """The first target as a number from 0 to 1, by rank; a constant when it is no column."""
    for name in recipe.targets:
        if name in frame.columns and not frame[name].dtype.is_nested():
            text = frame[name].cast(pl.String)
            numbers = text.cast(pl.Float64, strict=False)
            keys = text.fill_null("") if numbers.null_count() else numbers
            rank = keys.rank("dense").cast(pl.Float64).to_numpy()
            return (rank - 1) / max(float(rank.max()) - 1, 1.0)
    return np.full(frame.height, 0.5)


def _write_item(path: Path, level: float, rng: np.random.Generator) -> None:
    """One small file of the kind that its name says, whose mean is `level` of full scale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noisy = np.clip(level * 0.8 + 0.1 + rng.normal(0, 0.04, (16, 16)), 0, 1)
    suffix = PurePosixPath(path.name).suffix.lower()
    if suffix in _IMAGES:
        path.write_bytes(_picture((noisy * 255).astype(np.uint8), suffix))
    elif suffix == ".wav":
        with wave.open(str(path), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes((noisy * 32000).astype("<i2").tobytes())
    elif suffix == ".npy":
        np.save(path, noisy.astype(np.float32))
    elif suffix in {".csv", ".parquet"}:
        table = pl.DataFrame(noisy.round(4), schema=[f"sensor_{i + 1}" for i in range(16)])
        table.write_csv(path) if suffix == ".csv" else table.write_parquet(path)
    elif suffix in {".json", ".xyz", ".txt"}:
        path.write_text(json.dumps({"level": round(float(noisy.mean()), 4)}), encoding="utf-8")
    elif suffix:
        path.write_bytes((noisy * 255).astype(np.uint8).tobytes())
    else:
        path.mkdir()
        _write_item(path / "series" / "0.dcm", level, rng)


def _picture(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    try:
        image: Any = import_module("PIL.Image")
    except ImportError:
        raise MissingExtraError(
            "stand-ins of picture tasks need Pillow: pip install 'agentbench-tasks[images]'"
        ) from None
    form = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}.get(suffix, "TIFF")
    buffer = io.BytesIO()
    image.fromarray(pixels).save(buffer, format=form)
    return buffer.getvalue()


def _pack(recipe: Recipe, folder: Path) -> None:
    """Put files into the zip archives that the recipe will unpack, as the competition does."""
    for rule in recipe.unpack:
        if not rule.glob.endswith(".zip"):
            continue
        names = [rule.glob]
        if "*" in rule.glob:
            if PurePosixPath(rule.glob).parent != PurePosixPath():
                continue
            names = [f"{path.name}.zip" for path in sorted(folder.glob("*.csv"))]
        for name in names:
            _pack_one(folder, name, folder / rule.into)


def _pack_one(folder: Path, name: str, base: Path) -> None:
    stem = folder / re.sub(r"\.zip$", "", name)
    sources = [stem] if base == folder else [base]
    files = [
        path
        for source in sources
        for path in ([source] if source.is_file() else sorted(source.rglob("*")))
        if path.is_file()
    ]
    if not files:
        return
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path in files:
            archive.write(path, path.relative_to(base).as_posix())
            path.unlink()
