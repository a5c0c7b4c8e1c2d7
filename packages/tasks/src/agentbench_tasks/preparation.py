"""Carry a recipe out: raw files to `public/` and `private/`, whole or not at all."""

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from agentbench_tasks.build import build
from agentbench_tasks.checks import check
from agentbench_tasks.errors import PreparationError
from agentbench_tasks.kaggle import BOARD
from agentbench_tasks.manifest import Manifest, check_files, list_files, read_manifest
from agentbench_tasks.recipe import KaggleSource
from agentbench_tasks.source import fetch
from agentbench_tasks.synthesise import synthesise
from agentbench_tasks.task import Task

_FULL = (errno.ENOSPC, errno.EDQUOT)


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
    def board(self) -> Path:
        """The whole leaderboard, if Kaggle gave it when the raw files were fetched."""
        source = self.task.recipe.source
        competition = source.competition if isinstance(source, KaggleSource) else self.task.name
        return self.path.parent.with_name(competition) / BOARD

    @property
    def private(self) -> Path:
        """The answers; never mounted into a sandbox."""
        return self.path / "private"


def default_root() -> Path:
    """Where tasks are prepared unless told otherwise: `$XDG_CACHE_HOME/agentbench/tasks`."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "agentbench" / "tasks"


def prepare(
    task: Task,
    root: str | Path | None = None,
    *,
    raw: str | Path | None = None,
    synthetic: int | None = None,
    seed: int = 0,
) -> PreparedTask:
    """Prepare a task, or verify that it is prepared.

    The work happens in a temporary folder beside the result, which appears by one rename; a failed
    or interrupted preparation leaves nothing. A second call checks the files against the recorded
    hashes (a file whose size and time are unchanged is not read again) and does nothing else.

    Args:
        task: The task.
        root: Folder that holds prepared tasks, `root/<task>/v<version>/`; by default
            `agentbench/tasks` in the user's cache folder.
        raw: Folder with the raw files, in place of the recipe's source.
        synthetic: Make a stand-in of that many rows in place of the real data.
        seed: Seed of the stand-in.

    Raises:
        SourceError: The raw files cannot be had.
        ChangedDataError: A raw or prepared file differs from its recorded checksum.
        PreparationError: The recipe does not fit the raw files, or the disk is full.
    """
    home = (default_root() if root is None else Path(root)).resolve() / task.name
    made_up = "" if synthetic is None else f"-synthetic-{synthetic}-{seed}"
    target = home / f"v{task.version}{made_up}"
    if (done := _verified(task, target)) is not None:
        return done
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=home) as scratch:
            work = Path(scratch)
            files = work / "raw"
            if synthetic is None:
                fetch(task, files, home=home, raw=None if raw is None else Path(raw))
            else:
                files.mkdir()
                synthesise(task, files, rows=synthetic, seed=seed)
            build(task, files, work / "made")
            if synthetic is None:
                check(task.recipe, work / "made")
            manifest = Manifest.of(task, files=list_files(work / "made"), synthetic=synthetic)
            manifest.write(work / "made")
            _publish(work / "made", target)
    except OSError as error:
        # polars raises plain OSErrors, whose number stands in the text only
        if error.errno in _FULL or any(f"os error {number}" in str(error) for number in _FULL):
            raise PreparationError(
                f"no space left in {home} while preparing {task.name}; nothing was prepared"
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
    check_files(target, manifest.files)
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
