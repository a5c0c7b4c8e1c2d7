"""Do the files of test rows tell the answers: by what they are, are called, or hold?"""

import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from agentbench_tasks.finding import Finding
from agentbench_tasks.preparation import PreparedTask

_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_NOT_ARCHIVES = {".npz", ".xlsx", ".docx", ".pptx"}  # zip inside, but a format of data
_TEXTS = {".json", ".txt", ".csv", ".tsv", ".xml", ".nmea", ".xyz", ".log"}
_MOST_FILES = 400
_MOST_BYTES = 2**20
_LABEL_KEY = re.compile(r"(?<![a-z])(labels?|ground_?truth|annotations?)(?![a-z])", re.IGNORECASE)


def find_file_leaks(
    prepared: PreparedTask, tables: dict[str, pl.DataFrame], answers: pl.DataFrame
) -> Iterator[Finding]:
    """Archives left, classes in names, labels or true numbers or shapes in side files."""
    yield from _archives(prepared)
    yield from _names_of_files(prepared, tables, answers)
    files = _test_files(prepared)
    yield from _label_keys(prepared, files)
    yield from _numbers_in_files(prepared, files, answers)
    yield from _shapes_in_files(prepared, files, answers)


def _archives(prepared: PreparedTask) -> Iterator[Finding]:
    for path in sorted(prepared.public.rglob("*")):
        if not path.is_file() or path.suffix in _NOT_ARCHIVES:
            continue
        with path.open("rb") as file:
            head = file.read(262)
        if head.startswith(_ARCHIVES) or head[257:262] == b"ustar":
            name = path.relative_to(prepared.public)
            yield Finding(code="archive-in-public", severity="error", evidence=str(name))


def answer_per_row(
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
    truth = None if test is None else answer_per_row(prepared, test, answers)
    if test is None or truth is None or not 2 <= truth.n_unique() <= 200:
        return
    for column in test.columns:
        texts = test[column].fill_null("")
        if column in prepared.task.submission.id:
            continue
        if int(texts.str.contains(r"\.\w{2,5}$").sum()) < 0.9 * len(texts):
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


def _test_files(prepared: PreparedTask) -> list[Path]:
    """Files inside folders, those of the training side left out; of many, the first few."""
    found = [
        path
        for path in sorted(prepared.public.rglob("*"))
        if path.is_file()
        and path.parent != prepared.public
        and not path.relative_to(prepared.public).parts[0].lower().startswith("train")
        and path.stat().st_size <= _MOST_BYTES
    ]
    kinds: dict[str, list[Path]] = {}
    for path in found:
        kinds.setdefault(path.suffix.lower(), []).append(path)
    return [path for paths in kinds.values() for path in paths[:_MOST_FILES]]


def _label_keys(prepared: PreparedTask, files: list[Path]) -> Iterator[Finding]:
    """A field called labels, ground truth or annotations in JSON and MATLAB files of test rows."""
    for suffix, names in ((".json", _json_keys), (".mat", _matlab_text)):
        for path in files:
            if path.suffix.lower() != suffix:
                continue
            match = _LABEL_KEY.search(names(path.read_bytes()))
            if match is not None:
                name = path.relative_to(prepared.public)
                evidence = f"{name} and its like have a field {match[1]!r}"
                yield Finding(code="answers-in-public", severity="error", evidence=evidence)
                break


def _json_keys(content: bytes) -> str:
    return " ".join(re.findall(r'"([^"\\]{1,80})"\s*:', content.decode("utf-8", "replace")))


def _matlab_text(content: bytes) -> str:
    """Names and texts in a MATLAB 5 file: after a header of 128 bytes, parts that may be packed."""
    texts = [content[128:]]
    file = io.BytesIO(content)
    file.seek(128)
    while len(head := file.read(8)) == 8:
        kind, size = np.frombuffer(head, dtype="<u4").tolist()
        body = file.read(size)
        if kind == 15:  # miCOMPRESSED
            try:
                texts.append(zlib.decompressobj().decompress(body, _MOST_BYTES))
            except zlib.error:
                break
    return " ".join(re.findall(r"[ -~]{3,}", b" ".join(texts).decode("latin-1")))


def _numbers_in_files(
    prepared: PreparedTask, files: list[Path], answers: pl.DataFrame
) -> Iterator[Finding]:
    """True numbers, to five digits, in texts beside the test files (NMEA positions in degrees)."""
    texts = [path for path in files if path.suffix.lower() in _TEXTS]
    if not texts:
        return
    known = {
        f"{number:.5g}"
        for path in texts
        for number in _numbers(path.read_text(encoding="utf-8", errors="replace"))
    }
    for name, column in prepared.task.submission.columns.items():
        truth = answers[name].cast(pl.Float64, strict=False)
        if column.type != "float" or truth.null_count() or truth.n_unique() < truth.len() // 2:
            continue
        inside = [f"{value:.5g}" in known for value in truth.to_list()]
        if len(inside) >= 5 and np.mean(inside) >= 0.9:
            kinds = ", ".join(sorted({path.suffix for path in texts}))
            evidence = f"{np.mean(inside):.0%} of the true {name} stand in test files ({kinds})"
            yield Finding(code="answers-in-public", severity="error", evidence=evidence)


def _numbers(text: str) -> Iterator[float]:
    for degrees, minutes, side in re.findall(r",(\d{2,3})(\d{2}\.\d+),([NSEW])", text):
        yield (int(degrees) + float(minutes) / 60) * (-1 if side in "SW" else 1)
    for number in re.findall(r"(?<![\w.])-?\d+\.\d+", text):
        yield float(number)


def _shapes_in_files(
    prepared: PreparedTask, files: list[Path], answers: pl.DataFrame
) -> Iterator[Finding]:
    """Polygons in JSON files whose areas are those of the true run-length masks."""
    ids = prepared.task.submission.id
    if prepared.task.task_type != "segmentation" or len(ids) > 1:
        return
    target = next(iter(prepared.task.submission.columns))
    masks = {key: _mask_area(code) for key, code in answers.select(*ids, target).rows()}
    by_kind: dict[str, list[bool]] = {}
    for path in files:
        key = max((k for k in masks if path.stem.startswith(k)), key=len, default=None)
        if path.suffix != ".json" or key is None or not masks[key]:
            continue
        area = _polygon_area(path)
        if area:
            kind = path.stem.removeprefix(key)
            by_kind.setdefault(kind, []).append(abs(area - masks[key]) <= 0.05 * masks[key])
    for kind, same in by_kind.items():
        if len(same) >= 3 and np.mean(same) >= 0.8:
            evidence = f"polygons in ID{kind}.json have the areas of the true masks"
            yield Finding(code="answers-in-public", severity="error", evidence=evidence)


def _mask_area(code: str) -> int:
    lengths = re.findall(r"\d+", code)[1::2]
    return sum(int(length) for length in lengths)


def _polygon_area(path: Path) -> float:
    """Area of all rings of points in a JSON file, by the shoelace formula."""
    try:
        content: object = json.loads(path.read_bytes())
    except ValueError:
        return 0.0
    return sum(_ring_area(ring) for ring in _rings(content))


def _rings(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """Lists of at least three pairs of numbers, at any depth."""
    if isinstance(value, dict):
        for inner in cast("dict[str, Any]", value).values():
            yield from _rings(inner)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if len(items) >= 3 and all(_is_point(item) for item in items):
            yield items
        else:
            for inner in items:
                yield from _rings(inner)


def _is_point(item: object) -> bool:
    if not isinstance(item, list):
        return False
    pair = cast("list[object]", item)
    return len(pair) == 2 and all(isinstance(n, int | float) for n in pair)


def _ring_area(ring: list[list[float]]) -> float:
    x, y = np.array(ring, dtype=np.float64).T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)
