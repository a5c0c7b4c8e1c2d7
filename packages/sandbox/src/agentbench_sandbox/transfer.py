"""Files that cross the wall, seen from the host: whatever the sandbox sends is suspect."""

import os
import shutil
import stat
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from agentbench_sandbox.errors import SandboxFileError, TransferLimitError

MAX_ENTRIES = 200_000


def tree_entries(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name below `source`, path) of a host directory: itself, directories, regular files.

    Raises:
        SandboxFileError: `source` is neither a file nor a directory, or holds something else,
            a symbolic link included.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"no file or directory to upload at {source}")
    yield "", source
    for root, directories, names in os.walk(source):
        directories.sort()
        for name in (*directories, *sorted(names)):
            place = Path(root, name)
            mode = place.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise SandboxFileError(f"cannot upload {place}: not a regular file or directory")
            yield place.relative_to(source).as_posix(), place


class Receiver:
    """Writes what a sandbox sends below a fresh directory, and nowhere else."""

    def __init__(self, staging: Path, limit: int) -> None:
        self._staging = staging
        self._left = limit
        self._limit = limit
        self._file: BinaryIO | None = None
        self._entries = 0
        self._skipped: list[str] = []
        self.root = staging / "root"

    def _place(self, name: object) -> Path:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise TransferLimitError(f"the sandbox sent more than {MAX_ENTRIES} entries")
        if name is None:
            return self.root
        path = PurePosixPath(str(name))
        if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in str(name):
            raise SandboxFileError(f"the sandbox sent the name {str(name)[:200]!r}")
        return self.root / path

    def take(self, header: dict[str, Any], body: bytes) -> None:
        """Take one frame of the transfer."""
        op = header["op"]
        if op == "data" and self._file is not None:
            self._left -= len(body)
            if self._left < 0:
                raise TransferLimitError(f"the sandbox sent more than {self._limit} bytes")
            self._file.write(body)
        elif op == "root":
            self.root.mkdir()
        elif op == "directory":
            self._place(header["name"]).mkdir()
        elif op == "file":
            self._finish_file()
            place = self._place(header["name"])
            mode = int(header["mode"]) & 0o755
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(place, flags, mode | 0o600), "wb")
        elif op == "skipped":
            self._skipped.append(str(header["name"])[:4000])
        else:
            raise SandboxFileError(f"the sandbox sent an unexpected frame {op!r}")

    def _finish_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def finish(self) -> list[str]:
        """Close the last file; return the names that were left out."""
        self._finish_file()
        return self._skipped

    def abandon(self) -> None:
        """Close what is open after a failure."""
        self._finish_file()


@contextmanager
def receive_tree(destination: Path, limit: int) -> Generator[Receiver]:
    """Receive into a staging directory beside `destination`, moved there only when all is in."""
    if destination.is_dir() or (destination.is_symlink() and not destination.exists()):
        raise FileExistsError(f"{destination} is there already")
    destination.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".agentbench-", dir=destination.parent))
    receiver = Receiver(staging, limit)
    try:
        yield receiver
        if not receiver.root.exists():
            raise SandboxFileError("the sandbox sent nothing")
        if receiver.root.is_dir() and destination.exists():
            raise FileExistsError(f"{destination} is there already")
        receiver.root.replace(destination)
    finally:
        receiver.abandon()
        shutil.rmtree(staging, ignore_errors=True)
