"""Prepare a research task: data for the agent, inputs for the runner, labels for the scorer.

`public/` is what an agent's sandbox sees: `starter/`, `train/` and `dev/` (inputs without labels).
`private/` never enters an agent's sandbox: `test/` are inputs (the runner sees those), `labels/`
stays on the host.

Lite data are generated from a seed of 128 bits that is drawn when the task is prepared and kept in
`private/seed.json`. The generator is public, the seed is not: nobody who holds the training data
can find the test set by trying seeds, and nobody who knows the generator knows its parameters,
which are drawn from the same seed. A seed may be given, for anchors and tests.
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

from agentbench_tasks.errors import ChangedDataError, PreparationError, SourceError
from agentbench_tasks.preparation import default_root
from agentbench_tasks.research import Phase, ResearchTask

Arrays = Mapping[str, np.ndarray[Any, Any]]
MANIFEST = "prepared.json"


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
        raw: Folder with the competition's files, for a task that is not lite.

    Raises:
        SourceError: The raw files are not there.
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
        origin = _write_instance(task, work, seed=seed, raw=None if raw is None else Path(raw))
        files = {
            p.relative_to(work).as_posix(): _sha256(p)
            for p in sorted(work.rglob("*"))
            if p.is_file()
        }
        manifest = {"task_digest": task.digest, "files": files, **origin}
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
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


def _write_instance(
    task: ResearchTask, work: Path, *, seed: int | None, raw: Path | None
) -> dict[str, Any]:
    if task.lite:
        drawn = secrets.randbits(128) if seed is None else seed
        # One thread: the same sums on every machine, and small matrices are faster so.
        with threadpool_limits(1):
            instance = generator(task)(np.random.SeedSequence(drawn))
    else:
        if raw is None or not raw.is_dir():
            raise SourceError(
                f"{task.name} needs the competition's files: {task.provenance.data}; "
                "give their folder as raw"
            )
        drawn = None
        instance = task_module(task, "full").read(raw)
    for part, arrays in (
        ("public/train", instance.train),
        ("public/dev", instance.dev),
        ("private/test", instance.test),
        ("private/labels/dev", instance.dev_labels),
        ("private/labels/test", instance.test_labels),
    ):
        write_arrays(work / part, arrays)
    for name, content in task.starter().items():
        path = work / "public" / "starter" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (work / "public" / "description.md").write_bytes(task.starter()["README.md"])
    (work / "private" / "seed.json").write_text(json.dumps({"seed": drawn}), encoding="utf-8")
    return {"seeded": seed is not None}


def write_arrays(folder: Path, arrays: Arrays) -> None:
    """Write arrays as `.npy` files, without pickle."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def read_arrays(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read arrays that this package wrote."""
    return {p.stem: np.load(p, allow_pickle=False) for p in sorted(folder.glob("*.npy"))}


def remove_prepared(prepared: PreparedResearch) -> None:
    """Remove a prepared task, so that the next preparation draws another instance."""
    shutil.rmtree(prepared.path)


def _verified(task: ResearchTask, target: Path, seed: int | None) -> PreparedResearch:
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        stored = json.loads((target / "private" / "seed.json").read_text(encoding="utf-8"))["seed"]
    except (OSError, ValueError, KeyError):
        raise ChangedDataError(f"{target} is damaged: remove the folder") from None
    if manifest["task_digest"] != task.digest:
        raise PreparationError(
            f"{target} was prepared from another definition of {task.name} version {task.version};"
            " remove the folder, or raise the task's version"
        )
    if seed is not None and stored != seed:
        raise PreparationError(f"{target} was prepared from another seed; remove the folder")
    for name, digest in manifest["files"].items():
        if not (target / name).is_file() or _sha256(target / name) != digest:
            raise ChangedDataError(f"{target / name} has changed: remove {target}")
    digest = hashlib.sha256(json.dumps(manifest["files"], sort_keys=True).encode()).hexdigest()
    return PreparedResearch(task=task, path=target, digest=digest)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
