"""Where raw files come from."""

from pathlib import Path

from agentbench_tasks.errors import SourceError
from agentbench_tasks.task import Task


def fetch(task: Task, scratch: Path, *, home: Path, raw: Path | None = None) -> Path:
    """Return a folder with the task's raw files.

    Args:
        task: The task; its recipe names the source.
        scratch: Folder for files that need not outlive this preparation.
        home: The task's folder, where downloads are kept under `raw/`.
        raw: A folder to use instead of the source.

    Raises:
        SourceError: The files cannot be had.
    """
    source = task.recipe.source
    if raw is not None:
        return _folder(raw)
    match source.provider:
        case "embedded":
            from agentbench_tasks.embedded import write_dataset

            scratch.mkdir(parents=True, exist_ok=True)
            write_dataset(source.dataset, scratch)
            return scratch
        case "local":
            return _folder(Path(source.path))
        case _:
            raise SourceError(f"cannot fetch from {source.provider} into {home}")


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise SourceError(f"the folder of raw files {path} does not exist")
    return path
