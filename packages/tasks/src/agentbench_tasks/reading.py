"""Raw files as rows. CSV and TSV keep every value as the text it is: nothing is re-formatted."""

import json
import re
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import polars as pl

from agentbench_tasks.apply import apply_all
from agentbench_tasks.errors import PreparationError
from agentbench_tasks.recipe import Read

SIDE = "__side__"
TableFormat = Literal["csv", "tsv", "parquet", "json", "jsonl"]


def scan_table(
    path: Path,
    *,
    format: TableFormat,  # noqa: A002 - the recipe's word
    header: tuple[str, ...] = (),
    encoding: Literal["utf8", "latin-1"] = "utf8",
) -> pl.LazyFrame:
    """Open a table without reading it.

    Args:
        path: The file.
        format: `csv` and `tsv` give text columns, an empty field is null; the others give the
            file's own types.
        header: Column names of a CSV file that has no header line.
        encoding: Of a CSV or TSV file.

    Raises:
        PreparationError: The file is missing.
    """
    if not path.is_file():
        raise PreparationError(f"raw file {path.name} is missing from {path.parent}")
    match format:
        case "csv" | "tsv":
            source = path
            if encoding == "latin-1":
                source = path.with_name(path.name + ".utf8")
                source.write_text(path.read_text(encoding="latin-1"), encoding="utf-8")
            return pl.scan_csv(
                source,
                separator="," if format == "csv" else "\t",
                quote_char='"' if format == "csv" or _is_quoted(source) else None,
                has_header=not header,
                new_columns=list(header) or None,
                infer_schema=False,
                glob=False,
            )
        case "parquet":
            return pl.scan_parquet(path, glob=False)
        case "json":
            return pl.read_json(path, infer_schema_length=None).lazy()
        case "jsonl":
            return pl.scan_ndjson(path, infer_schema_length=None)


def _is_quoted(path: Path) -> bool:
    """Whether a TSV file quotes its fields: its header does, or `"` is a character like others."""
    with path.open("rb") as file:
        return file.read(1) == b'"'


def read_main(reads: tuple[Read, ...], raw: Path) -> pl.LazyFrame:
    """Open the main table of a recipe: its entries stacked, each with its joins and filters."""
    return pl.concat([_read(read, raw) for read in reads], how="diagonal_relaxed")


def matching_files(raw: Path, pattern: str) -> list[tuple[Path, dict[str, str]]]:
    """Files under `raw` that fit a pattern with `{fields}`, sorted, with the fields' values.

    Raises:
        PreparationError: No file fits.
    """
    pieces = re.split(r"\{(\w+)\}", pattern)
    names = pieces[1::2]
    expression = "".join(
        f"(?P<{piece}>[^/]+?)" if index % 2 else re.escape(piece)
        for index, piece in enumerate(pieces)
    )
    compiled = re.compile(expression)
    found: list[tuple[Path, dict[str, str]]] = []
    for path in sorted(raw.glob(re.sub(r"\{\w+\}", "*", pattern))):
        match = compiled.fullmatch(path.relative_to(raw).as_posix())
        if match:
            found.append((path, {name: match[name] for name in names}))
    if not found:
        raise PreparationError(f"no raw file fits {pattern!r} under {raw}")
    return found


def _read(read: Read, raw: Path) -> pl.LazyFrame:
    frame = _open(read, raw)
    if read.rename:
        frame = frame.rename(read.rename)
    for join in read.join:
        other = scan_table(raw / join.path, format=join.format)
        if join.columns:
            other = other.select(*join.on, *join.columns)
        frame = frame.join(other, on=list(join.on), how=join.how, maintain_order="left")
    if read.not_null:
        frame = frame.drop_nulls(list(read.not_null))
    for column, values in read.where.items():
        frame = frame.filter(pl.col(column).cast(pl.String).is_in(list(values)))
    if read.transforms:
        frame = apply_all(read.transforms, frame.collect()).lazy()
    if read.columns:
        frame = frame.select(read.columns)
    if read.side:
        frame = frame.with_columns(pl.lit(read.side).alias(SIDE))
    return frame


def _open(read: Read, raw: Path) -> pl.LazyFrame:
    match read.format:
        case "files":
            return pl.DataFrame([fields for _, fields in matching_files(raw, read.path)]).lazy()
        case "coco":
            return _coco(raw / read.path).lazy()
        case "lines":
            text = _existing(raw / read.path).read_text(encoding="utf-8")
            return pl.LazyFrame({"text": text.splitlines()})
        case "npy":
            return _array(raw / read.path).lazy()
        case "csv" | "tsv" | "parquet" | "json" | "jsonl":
            if "{" not in read.path:
                return scan_table(
                    raw / read.path, format=read.format, header=read.header, encoding=read.encoding
                )
            parts = [
                scan_table(path, format=read.format, header=read.header).with_columns(
                    [pl.lit(value).alias(name) for name, value in fields.items()]
                )
                for path, fields in matching_files(raw, read.path)
            ]
            return pl.concat(parts, how="diagonal_relaxed")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise PreparationError(f"raw file {path.name} is missing from {path.parent}")
    return path


def _array(path: Path) -> pl.DataFrame:
    """One row per entry of a one-dimensional array; pickled objects are refused."""
    return pl.DataFrame({"value": np.load(_existing(path), allow_pickle=False)})


def _coco(path: Path) -> pl.DataFrame:
    """One row per image: its own fields, with the fields of its first annotation.

    Numbers and texts become columns, a list of texts (addresses) one text; boxes and outlines do
    not. An image is called by its `id`, in some competitions by its `image_id`.
    """
    content = cast("dict[str, list[dict[str, Any]]]", json.loads(_existing(path).read_bytes()))
    first: dict[object, dict[str, Any]] = {}
    for annotation in content["annotations"]:
        first.setdefault(annotation["image_id"], annotation)
    rows: list[dict[str, str]] = []
    for image in content["images"]:
        key = image["id"] if "id" in image else image["image_id"]
        fields = {**first.get(key, {}), **image}
        texts = {name: _text(value) for name, value in fields.items()}
        rows.append({name: text for name, text in texts.items() if text is not None})
    return pl.DataFrame(rows, infer_schema_length=None)


def _text(value: object) -> str | None:
    if isinstance(value, list):
        parts = cast("list[object]", value)
        return " ".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None
    return str(value) if isinstance(value, str | int | float) else None
