"""Prepare a research task: data for the agent, inputs for the runner, labels for the scorer.

`public/` is what an agent's sandbox sees: `starter/`, `train/` and `dev/` (inputs without labels).
`private/` never enters an agent's sandbox: `test/` are inputs (the runner sees those), `labels/`
stays on the host.

Lite data are generated from a seed of 128 bits that is drawn when the task is prepared and kept in
`private/seed.json`. The generator is public, the seed is not: nobody who holds the training data
can find the test set by trying seeds, and nobody who knows the generator knows its parameters,
which are drawn from the same seed. A seed may be given, for anchors and tests.

The data of a full task are the competition's own, fetched or given as a folder, and laid out in the
same way by the task's `full.py`. What is drawn there (a forget set, few-shot tasks) comes from a
secret seed too.
"""

import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from agentbench_tasks.errors import ChangedDataError, PreparationError, TasksError
from agentbench_tasks.manifest import Manifest, check_files, list_files, read_manifest
from agentbench_tasks.preparation import default_root
from agentbench_tasks.research import Phase, ResearchTask
from agentbench_tasks.research_raw import raw_files

Arrays = Mapping[str, np.ndarray[Any, Any]]
_MAPPED_BYTES = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One drawn instance of a task: arrays by file name (without `.npy`).

    Attributes:
        train: Inputs and labels to learn from.
        dev: Development inputs.
        test: Test inputs.
        dev_labels: Labels of `dev`, for the scorer only.
        test_labels: Labels of `test`, for the scorer only.
    """

    train: Arrays
    dev: Arrays
    test: Arrays
    dev_labels: Arrays
    test_labels: Arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where a full task's `build(raw, into)` writes, and the seed of what it draws.

    Attributes:
        train: Inputs and labels to learn from.
        dev: Development inputs.
        test: Test inputs.
        dev_labels: Labels of `dev`, for the scorer only.
        test_labels: Labels of `test`, for the scorer only.
        seed: Secret; of everything that is drawn.
    """

    train: Path
    dev: Path
    test: Path
    dev_labels: Path
    test_labels: Path
    seed: np.random.SeedSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedResearch:
    """A research task whose data lie on this machine.

    Args:
        task: The task.
        path: Its folder.
        digest: SHA-256 over the prepared files.
    """

    task: ResearchTask
    path: Path
    digest: str

    @property
    def public(self) -> Path:
        """What an agent's sandbox sees."""
        return self.path / "public"

    @property
    def private(self) -> Path:
        """Test inputs and all labels; never mounted into an agent's sandbox."""
        return self.path / "private"

    @property
    def train(self) -> Path:
        """Training data."""
        return self.public / "train"

    def inputs(self, phase: Phase) -> Path:
        """Inputs of a phase: what a runner sees, without labels."""
        return self.public / "dev" if phase == "dev" else self.private / "test"

    def labels(self, phase: Phase) -> Path:
        """Labels of a phase; the host only."""
        return self.private / "labels" / phase


def prepare_research(
    task: ResearchTask,
    root: str | Path | None = None,
    *,
    seed: int | None = None,
    raw: str | Path | None = None,
) -> PreparedResearch:
    """Prepare a research task, or verify that it is prepared.

    Args:
        task: The task.
        root: Folder of prepared tasks, `root/<task>/v<version>/`; by default that of `prepare`.
        seed: Seed of a lite task's data; by default drawn and kept secret.
        raw: Folder with the competition's files, for a task that is not lite; by default they are
            fetched.

    Raises:
        SourceError: The raw files cannot be had.
        MissingExtraError: A package that reads them is not installed.
        ChangedDataError: A prepared file differs from its recorded checksum.
        PreparationError: The folder holds another definition or another seed.
    """
    home = default_root() if root is None else Path(root)
    target = home.resolve() / task.name / f"v{task.version}"
    if target.exists():
        return _verified(task, target, seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as scratch:
        work = Path(scratch) / "made"
        given = None if raw is None else Path(raw)
        if task.lite:
            _generate(task, work, seed)
        else:
            _build(task, work, raw_files(task, target.parent, given, Path(scratch) / "raw"), seed)
        _write_public(task, work)
        content = list_files(work)
        Manifest(
            task=task.name,
            version=task.version,
            task_digest=task.digest,
            digest=_digest({name: file.sha256 for name, file in content.items()}),
            files=content,
        ).write(work)
        (work / "private").chmod(0o700)
        try:
            work.rename(target)
        except OSError:
            if not target.exists():
                raise
    return _verified(task, target, seed)


def task_module(task: ResearchTask, name: str) -> ModuleType:
    """Return one of the task's own modules: `lite`, `full`, `metric` or `score`."""
    return import_module(f"agentbench_tasks.research_tasks.{task.folder}.{name}")


def generator(task: ResearchTask) -> Callable[[np.random.SeedSequence], Instance]:
    """Return the function that draws an instance of a lite task from a seed."""
    return task_module(task, "lite").generate


_PARTS = {
    "train": "public/train",
    "dev": "public/dev",
    "test": "private/test",
    "dev_labels": "private/labels/dev",
    "test_labels": "private/labels/test",
}


def _generate(task: ResearchTask, work: Path, seed: int | None) -> None:
    drawn = _keep_seed(work, seed)
    # One thread: the same sums on every machine, and small matrices are faster so.
    with threadpool_limits(1):
        instance = generator(task)(np.random.SeedSequence(drawn))
    for name, folder in _PARTS.items():
        write_arrays(work / folder, getattr(instance, name))


def _build(task: ResearchTask, work: Path, raw: Path, seed: int | None) -> None:
    drawn = _keep_seed(work, seed)
    folders = {name: work / folder for name, folder in _PARTS.items()}
    for folder in folders.values():
        folder.mkdir(parents=True)
    try:
        build: Callable[[Path, Folders], None] = task_module(task, "full").build
        build(raw, Folders(**folders, seed=np.random.SeedSequence(drawn)))
    except (KeyError, ValueError) as error:
        if isinstance(error, TasksError):
            raise
        raise PreparationError(f"the raw files of {task.name} do not fit: {error}") from error
    for path in work.rglob("*"):  # a sandbox reads them as another user
        mode = path.stat().st_mode
        if path.is_file() and mode & 0o444 != 0o444:
            path.chmod(mode & 0o777 | 0o444)


def _keep_seed(work: Path, seed: int | None) -> int:
    drawn = secrets.randbits(128) if seed is None else seed
    (work / "private").mkdir(parents=True)
    (work / "private" / "seed.json").write_text(json.dumps({"seed": drawn}), encoding="utf-8")
    return drawn


def _write_public(task: ResearchTask, work: Path) -> None:
    for name, content in task.starter().items():
        path = work / "public" / "starter" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (work / "public" / "description.md").write_bytes(task.starter()["README.md"])


def write_arrays(folder: Path, arrays: Arrays) -> None:
    """Write arrays as `.npy` files, without pickle."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def read_arrays(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read arrays that this package wrote; large ones stay on the disk."""
    return {
        p.stem: np.load(
            p, allow_pickle=False, mmap_mode="r" if p.stat().st_size > _MAPPED_BYTES else None
        )
        for p in sorted(folder.glob("*.npy"))
    }


def remove_prepared(prepared: PreparedResearch) -> None:
    """Remove a prepared task, so that the next preparation draws another instance."""
    shutil.rmtree(prepared.path)


def _verified(task: ResearchTask, target: Path, seed: int | None) -> PreparedResearch:
    manifest = read_manifest(target)
    if manifest is None:
        raise ChangedDataError(f"{target} disappeared while it was being prepared")
    if manifest.task_digest != task.digest:
        raise PreparationError(
            f"{target} was prepared from another definition of {task.name} version {task.version};"
            " remove the folder, or raise the task's version"
        )
    check_files(target, manifest.files)
    stored = json.loads((target / "private" / "seed.json").read_text(encoding="utf-8"))["seed"]
    if seed is not None and stored != seed:
        raise PreparationError(f"{target} was prepared from another seed; remove the folder")
    return PreparedResearch(task=task, path=target, digest=manifest.digest)


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(sorted(files.items()))).encode()).hexdigest()
