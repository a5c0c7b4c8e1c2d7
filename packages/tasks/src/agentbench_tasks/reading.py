"""Raw files as rows. CSV and TSV keep every value as the text it is: nothing is re-formatted."""

from pathlib import Path
from typing import Literal

import polars as pl

from agentbench_tasks.errors import PreparationError
from agentbench_tasks.recipe import Read

SIDE = "__side__"
TableFormat = Literal["csv", "tsv", "parquet", "json", "jsonl"]


def scan_table(path: Path, *, format: TableFormat, header: tuple[str, ...] = ()) -> pl.LazyFrame:  # noqa: A002 - the recipe's word
    """Open a table without reading it.

    Args:
        path: The file.
        format: `csv` and `tsv` give text columns, an empty field is null; the others give the
            file's own types.
        header: Column names of a CSV file that has no header line.

    Raises:
        PreparationError: The file is missing.
    """
    if not path.is_file():
        raise PreparationError(f"raw file {path.name} is missing from {path.parent}")
    match format:
        case "csv" | "tsv":
            return pl.scan_csv(
                path,
                separator="," if format == "csv" else "\t",
                quote_char='"' if format == "csv" else None,
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


def read_main(reads: tuple[Read, ...], raw: Path) -> pl.LazyFrame:
    """Open the main table of a recipe: its entries stacked, each with its joins and filters."""
    return pl.concat([_read(read, raw) for read in reads], how="diagonal_relaxed")


def _read(read: Read, raw: Path) -> pl.LazyFrame:
    match read.format:
        case "csv" | "tsv" | "parquet" | "json" | "jsonl":
            frame = scan_table(raw / read.path, format=read.format, header=read.header)
        case _:
            raise PreparationError(f"cannot read format {read.format!r}")
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
    if read.columns:
        frame = frame.select(read.columns)
    if read.side:
        frame = frame.with_columns(pl.lit(read.side).alias(SIDE))
    return frame
