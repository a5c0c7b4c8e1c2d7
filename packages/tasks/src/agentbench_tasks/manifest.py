"""What was prepared, with hashes: `prepared.json` beside `public/` and `private/`."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from agentbench_tasks.errors import ChangedDataError
from agentbench_tasks.record import Record
from agentbench_tasks.task import Task

MANIFEST = "prepared.json"


class FileRecord(Record):
    """One prepared file; size and time say cheaply that it is unchanged, the hash says surely."""

    size: int
    mtime_ns: int
    sha256: str


class Manifest(Record):
    """The record of one preparation."""

    task: str
    version: int
    task_digest: str
    digest: str
    synthetic: int | None = None
    files: dict[str, FileRecord]

    @classmethod
    def of(cls, task: Task, *, files: dict[str, FileRecord], synthetic: int | None = None) -> Self:
        """The manifest of freshly made files."""
        content = json.dumps({name: file.sha256 for name, file in sorted(files.items())})
        return cls(
            task=task.name,
            version=task.version,
            task_digest=task.digest,
            digest=hashlib.sha256(content.encode()).hexdigest(),
            synthetic=synthetic,
            files=files,
        )

    def write(self, folder: Path) -> None:
        """Write `prepared.json` into the folder."""
        (folder / MANIFEST).write_text(self.model_dump_json(indent=1))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a prepared folder; None when nothing is prepared there.

    Raises:
        ChangedDataError: The manifest itself was damaged.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        if folder.exists():
            raise ChangedDataError(f"{folder} has no {MANIFEST}: remove the folder") from None
        return None
    except ValidationError:
        raise ChangedDataError(f"{folder / MANIFEST} is damaged: remove the folder") from None


def hash_file(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_files(folder: Path) -> dict[str, FileRecord]:
    """Every file under the folder by its relative path, with size, time and hash."""
    return {
        path.relative_to(folder).as_posix(): FileRecord(
            size=path.stat().st_size, mtime_ns=path.stat().st_mtime_ns, sha256=hash_file(path)
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def check_files(folder: Path, files: Mapping[str, FileRecord]) -> None:
    """Check that exactly the recorded files are there, unchanged.

    A file whose size and time are as recorded is not read again.

    Raises:
        ChangedDataError: Names the first file that is missing, new or different.
    """
    present = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    } - {MANIFEST}
    odd = sorted(present ^ set(files))
    if odd:
        what = "was added" if odd[0] in present else "is missing"
        raise ChangedDataError(f"{folder / odd[0]} {what}: remove {folder} and prepare again")
    for name, record in files.items():
        path = folder / name
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (record.size, record.mtime_ns):
            continue
        if stat.st_size != record.size or hash_file(path) != record.sha256:
            raise ChangedDataError(f"{path} has changed: remove {folder} and prepare again")
