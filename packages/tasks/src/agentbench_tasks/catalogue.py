"""Find tasks: the ones in this package, the ones other packages register, and files.

A package registers tasks with the entry-point group `agentbench.tasks`; the entry point names a
package whose `*.yaml` files are tasks.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from agentbench_tasks.errors import TaskFileError, UnknownTaskError
from agentbench_tasks.task import Modality, Task
from agentbench_tasks.task_file import parse_task, read_record

ENTRY_POINTS = "agentbench.tasks"
_HERE = Path(__file__).parent / "catalogue"


def _folders() -> Iterator[Path]:
    yield _HERE / "lite"
    yield _HERE / "kaggle"
    for entry in entry_points(group=ENTRY_POINTS):
        module = import_module(entry.module)
        yield from (Path(path) for path in module.__path__)


@cache
def _files() -> dict[str, Path]:
    """Task file by task name; a name that two packages use is an error."""
    files: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("*.yaml")):
            if path.stem in files:
                raise TaskFileError(
                    f"two task files are named {path.stem}: {files[path.stem]}, {path}"
                )
            files[path.stem] = path
    return files


def task_names() -> list[str]:
    """Names of all installed tasks, variants not included."""
    return sorted(_files())


def task_file(name: str) -> Path:
    """Path of the file of the task (or of the variant's task) called `name`.

    Raises:
        UnknownTaskError: There is none; the message lists near names.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    files = _files()
    stem = name if name in files else name.rpartition(".")[0]
    if stem not in files:
        near = get_close_matches(name, files, n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "`agentbench-tasks list` shows all"
        raise UnknownTaskError(f"no task named {name!r}: {hint}")
    return files[stem]


def load_task(name: str | Path) -> Task:
    """Load one task.

    Args:
        name: A task (`titanic`), a variant (`rossmann-store-sales.mle-dojo`), or the path
            of a YAML file.

    Raises:
        UnknownTaskError: No task or variant of that name.
        TaskFileError: The file is not a valid task.
    """
    path = task_file(str(name))
    record = read_record(path)
    if record.get("name") != path.stem:
        raise TaskFileError(f"{path}: field name: expected {path.stem!r}, the name of the file")
    _anchor_local_source(record, path)
    task = parse_task(record, file=path)
    variant = str(name).removeprefix(path.stem + ".")
    if str(name) in {path.stem, str(path)}:
        return task
    if variant not in task.variants:
        known = ", ".join(f"{task.name}.{key}" for key in task.variants) or "none"
        raise UnknownTaskError(f"{task.name} has no variant {variant!r}; it has: {known}")
    overrides = task.variants[variant]
    merged = _merge(record, {**overrides, "name": str(name), "variants": {}})
    return parse_task(merged, file=f"{path} (variant {variant})")


def _anchor_local_source(record: dict[str, Any], path: Path) -> None:
    """A relative path of a local source is taken from the task file's folder."""
    try:
        source = record["recipe"]["source"]
        if source["provider"] == "local":
            source["path"] = str(path.parent / source["path"])
    except (KeyError, TypeError):
        return  # the schema says what is missing


def _merge(record: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Mappings merge key by key; everything else, and a mapping given as empty, is replaced."""
    merged = dict(record)
    for key, value in overrides.items():
        if value and isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], cast("dict[str, Any]", value))
        else:
            merged[key] = value
    return merged


def list_tasks(
    *,
    name: str | None = None,
    modality: Modality | None = None,
    task_type: str | None = None,
    suite: str | None = None,
    tag: str | None = None,
    family: str | None = None,
    max_bytes: int | None = None,
) -> list[Task]:
    """Load every installed task that fits all the filters given, sorted by name.

    Args:
        name: Shell pattern for the name, such as `playground-*`.
        modality: Kind of data.
        task_type: Kind of prediction.
        suite: A suite or part of one: `mle-dojo`, `mle-dojo/eval`, `mle-bench/low`, `lite`, ...
        tag: A tag the task carries.
        family: Family the task belongs to.
        max_bytes: Largest raw data size; a task of unknown size is left out.
    """
    tasks = [load_task(key) for key in task_names() if name is None or fnmatchcase(key, name)]
    return [
        task
        for task in tasks
        if (modality is None or task.modality == modality)
        and (task_type is None or task.task_type == task_type)
        and (suite is None or suite in task.suites)
        and (tag is None or tag in task.tags)
        and (family is None or task.family == family)
        and (max_bytes is None or (task.provenance.size_bytes or max_bytes + 1) <= max_bytes)
    ]
