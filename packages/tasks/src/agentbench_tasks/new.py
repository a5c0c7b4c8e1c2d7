"""Scaffold a task from a CSV file: guess, write a package folder, register it."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml

from agentbench_tasks.catalogue import ENTRY_POINTS
from agentbench_tasks.errors import PreparationError
from agentbench_tasks.media import place

_TARGETS = ("target", "label", "class", "y", "outcome", "response")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a table seems to be.

    Args:
        name: Name of the task, from the file's name.
        target: Column to predict.
        id_column: Column of unique values; None when rows get numbers.
        metric: roc_auc for two classes 0 and 1, accuracy for few classes, rmse for numbers.
        kind: The task type that goes with it.
        values: All classes, where there are classes.
    """

    name: str
    target: str
    id_column: str | None
    metric: str
    kind: str
    values: tuple[str, ...] = ()


def guess(
    csv: Path,
    *,
    name: str | None = None,
    target: str | None = None,
    id_column: str | None = None,
    metric: str | None = None,
) -> Guess:
    """Look at a table and say what the task could be; arguments given are taken as they are.

    Raises:
        PreparationError: The file is no table, has under two columns, or lacks a named column.
    """
    if not csv.is_file():
        raise PreparationError(f"{csv} is no file")
    try:
        table = pl.read_csv(csv, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise PreparationError(f"{csv} is no CSV table: {str(error).splitlines()[0]}") from error
    for column in (target, id_column):
        if column is not None and column not in table.columns:
            raise PreparationError(f"{csv} has no column {column!r}: {', '.join(table.columns)}")
    if table.width < 2 or table.height < 20:
        raise PreparationError(f"{csv} has {table.height} rows and {table.width} columns: too few")
    known = [column for column in table.columns if column.lower() in _TARGETS]
    chosen = target or (known[0] if known else table.columns[-1])
    if id_column is None:
        named = [c for c in table.columns if re.fullmatch(r"(.*_)?id", c, re.IGNORECASE)]
        unique = [c for c in named if c != chosen and table[c].n_unique() == table.height]
        id_column = unique[0] if unique else None
    values = sorted(set(table[chosen].drop_nulls().to_list()))
    numbers = table[chosen].cast(pl.Float64, strict=False).null_count() == 0
    few = len(values) <= 20 and (not numbers or all(re.fullmatch(r"-?\d+", v) for v in values))
    if set(values) == {"0", "1"}:
        fits, kind = "roc_auc", "binary"
    elif few or not numbers:
        fits, kind = "accuracy", "multiclass"
    else:
        fits, kind = "rmse", "regression"
    return Guess(
        name=name or re.sub(r"[^A-Za-z0-9.]+", "-", csv.stem).strip("-"),
        target=chosen,
        id_column=id_column,
        metric=metric or fits,
        kind=kind,
        values=tuple(values) if kind == "multiclass" else (),
    )


def write_task(found: Guess, csv: Path, folder: Path) -> Path:
    """Write `<name>.yaml` and the data into a Python package that registers its tasks.

    Args:
        found: What the table is.
        csv: The table; it is copied.
        folder: The project folder; made when missing. An existing task file is never replaced.

    Returns:
        Path of the task file.

    Raises:
        PreparationError: The task file exists, or the folder is a project that registers no tasks.
    """
    from agentbench_scoring import get_metric

    package = _package(folder)
    path = package / f"{found.name}.yaml"
    if path.exists():
        raise PreparationError(f"{path} exists: choose another --name")
    higher = get_metric(found.metric).spec.higher_is_better
    package.mkdir(parents=True, exist_ok=True)
    place(csv, package / "data" / found.name / "data.csv")
    (package / "__init__.py").touch()
    path.write_text(_record(found, higher_is_better=higher), encoding="utf-8")
    project = folder / "pyproject.toml"
    if not project.exists():
        project.write_text(_PROJECT.format(name=package.name), encoding="utf-8")
    return path


def _package(folder: Path) -> Path:
    """The Python package that the project registers; one named after the folder in a new project.

    Raises:
        PreparationError: The project registers none.
    """
    project = folder / "pyproject.toml"
    if not project.exists():
        return folder / "src" / re.sub(r"\W+", "_", folder.resolve().name)
    try:
        known = tomllib.loads(project.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise PreparationError(f"{project} is not valid TOML: {error}") from error
    points = known.get("project", {}).get("entry-points", {}).get(ENTRY_POINTS, {})
    for module in points.values():
        for package in (folder / "src", folder):
            path = package.joinpath(*str(module).split("."))
            if path.is_dir():
                return path
    raise PreparationError(
        f'{project} registers no package of tasks: add [project.entry-points."{ENTRY_POINTS}"] with'
        " the name of a package in src/"
    )


def _record(found: Guess, *, higher_is_better: bool) -> str:
    whole = bool(found.values) and all(re.fullmatch(r"-?\d+", value) for value in found.values)
    column: dict[str, object] = {"type": "float"}
    if found.values:
        values = [int(v) for v in found.values] if whole else list(found.values)
        column = {"type": "int" if whole else "str", "values": values}
    constant = {"binary": 0.5, "multiclass": "mode", "regression": "mean"}[found.kind]
    numbered = found.id_column is None
    recipe: dict[str, object] = {
        "source": {"provider": "local", "path": f"data/{found.name}"},
        "read": [{"path": "data.csv"}],
        "split": {"method": "random", "test": 0.3, "seed": 0},
        "targets": [found.target],
        "sample": {found.target: constant},
    }
    if numbered:
        recipe["transforms"] = [{"op": "row_number", "column": "row_id"}]
    record: dict[str, object] = {
        "kind": "submission",
        "name": found.name,
        "version": 1,
        "title": found.name,
        "description": f"Predict `{found.target}` from the other columns.",
        "modality": "tabular",
        "task_type": found.kind,
        "family": found.name,
        "metric": {"name": found.metric},
        "higher_is_better": higher_is_better,
        "submission": {
            "id": [found.id_column or "row_id"],
            "columns": {found.target: column},
        },
        "recipe": recipe,
        "provenance": {"url": "unknown", "licence": "unknown"},
    }
    return yaml.safe_dump(record, sort_keys=False, allow_unicode=True)


_PROJECT = """\
[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["agentbench-tasks>=0.1"]

[project.entry-points."agentbench.tasks"]
{name} = "{name}"

[build-system]
requires = ["uv_build>=0.9,<0.14"]
build-backend = "uv_build"
"""
