"""Carry out a recipe's `checks` on what was prepared, before anybody sees it."""

from pathlib import Path

import polars as pl

from agentbench_tasks.errors import ChangedDataError, PreparationError
from agentbench_tasks.manifest import hash_file
from agentbench_tasks.reading import TableFormat, scan_table
from agentbench_tasks.recipe import Recipe

_FORMATS: dict[str, TableFormat] = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}


def check(recipe: Recipe, made: Path) -> None:
    """Check rows, disjoint columns and digests.

    Args:
        recipe: The recipe that was carried out.
        made: The folder with `public` and `private`.

    Raises:
        PreparationError: A table has another number of rows, or both sides share a value.
        ChangedDataError: A file has other bytes.
    """
    for name, rows in recipe.checks.rows.items():
        found = int(_table(made, name).select(pl.len()).collect().item())
        if found != rows:
            raise PreparationError(f"{name} has {found} rows, not {rows}")
    for column in recipe.checks.disjoint:
        values = [
            _table(made, name).select(pl.col(column).cast(pl.String)).unique()
            for name in (recipe.train or recipe.test, recipe.test)
        ]
        both = values[0].join(values[1], on=column, how="inner").collect().height
        if both:
            raise PreparationError(f"{both} values of {column} stand in train and in test")
    for name, digest in recipe.checks.sha256.items():
        if not (made / name).is_file():
            raise PreparationError(f"{name} is not there, but recipe.checks.sha256 names it")
        if hash_file(made / name) != digest:
            raise ChangedDataError(
                f"{name} is not the file that reference scores were taken on: its SHA-256 is not"
                f" {digest}"
            )


def _table(made: Path, name: str) -> pl.LazyFrame:
    return scan_table(made / "public" / name, format=_FORMATS.get(Path(name).suffix, "csv"))
