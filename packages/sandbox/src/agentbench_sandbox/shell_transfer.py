"""Files in and out of a sandbox that has a shell but no Python, by the agent's own programs.

What comes back is as hostile as any output: it is bounded while it comes, and an archive is read
here with regular files and directories taken from it and nothing else.
"""

import io
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from agentbench_sandbox.errors import (
    SandboxFileError,
    SandboxFileNotFoundError,
    SandboxIsADirectoryError,
    SandboxPermissionError,
    TransferLimitError,
)
from agentbench_sandbox.result import ExecResult
from agentbench_sandbox.sandbox import Sandbox
from agentbench_sandbox.transfer import Receiver, receive_tree, tree_entries

MIB = 1 << 20
TRANSFER_S = 600.0
ARCHIVE_OVERHEAD = 16 * MIB
"""What the headers of an archive may add to its files."""
MISSING, DIRECTORY, SPECIAL, DENIED, LARGE = range(40, 45)
READ = f"""\
[ -e "$1" ] || exit {MISSING}
[ -d "$1" ] && exit {DIRECTORY}
[ -f "$1" ] || exit {SPECIAL}
[ -r "$1" ] || exit {DENIED}
[ "$(stat -L -c %s -- "$1")" -le "$2" ] || exit {LARGE}
exec head -c "$(($2 + 1))" < "$1"
"""
WRITE = f"""\
parent=${{1%/*}}
[ "$parent" = "$1" ] || mkdir -p -- "${{parent:-/}}" || exit 1
[ -d "$1" ] && exit {DIRECTORY}
[ -e "$1" ] && [ ! -f "$1" ] && exit {SPECIAL}
cat > "$1" && chmod "$2" -- "$1"
"""
KIND = f"""\
[ -e "$1" ] || exit {MISSING}
[ -d "$1" ] || {{ stat -L -c %a -- "$1"; exit {SPECIAL}; }}
"""
UNPACK = 'mkdir -p -- "$1" && tar -x -f - -C "$1"'
PACK = 'tar -c -f - -C "$1" .'


def _run(
    sandbox: Sandbox,
    script: str,
    path: str,
    *words: str,
    stdin: bytes = b"",
    take: Callable[[bytes], None] | None = None,
) -> ExecResult:
    if "\0" in path:
        raise ValueError(f"a path cannot hold a NUL: {path!r}")

    def on_output(stream: Literal["stdout", "stderr"], data: bytes) -> None:
        if stream == "stdout" and take is not None:
            take(data)

    argv = ["sh", "-c", script, "sh", path, *words]
    return sandbox.exec(
        argv, timeout_s=TRANSFER_S, stdin=stdin, on_output=on_output if take is not None else None
    )


def _raise_for(result: ExecResult, path: str) -> None:
    """Raise what a script's exit code stands for."""
    if result.ok:
        return
    said = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.exit_code}"]
    if result.exit_code == MISSING:
        raise SandboxFileNotFoundError(2, "no such file or directory (in the sandbox)", path)
    if result.exit_code == DIRECTORY or "Is a directory" in said[0]:
        raise SandboxIsADirectoryError(21, "is a directory (in the sandbox)", path)
    if result.exit_code == SPECIAL:
        raise SandboxFileError(f"{path}: not a regular file (in the sandbox)")
    denied = ("Permission denied", "Read-only file system", "Operation not permitted")
    if result.exit_code == DENIED or any(word in said[0] for word in denied):
        raise SandboxPermissionError(13, f"{said[0]} (in the sandbox)", path)
    if result.exit_code == LARGE:
        raise TransferLimitError(f"{path}: more than the transfer limit (in the sandbox)")
    raise SandboxFileError(f"{path}: {said[0]} (in the sandbox)")


def read(sandbox: Sandbox, path: str) -> bytes:
    """Return the contents of a regular file."""
    limit = sandbox.limits.file_mib * MIB
    parts = _Bounded(limit, path)
    _raise_for(_run(sandbox, READ, path, str(limit), take=parts.write), path)
    return parts.contents()


class _Bounded:
    """Collects bytes up to a limit; raising ends the command that sends them."""

    def __init__(self, limit: int, path: str, file: BinaryIO | None = None) -> None:
        self._left = limit
        self._path = path
        self._file = file or io.BytesIO()

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise TransferLimitError(f"{self._path}: more than the transfer limit")
        self._file.write(data)

    def contents(self) -> bytes:
        self._file.seek(0)
        return self._file.read()


def write(sandbox: Sandbox, path: str, data: bytes, mode: int) -> None:
    """Write a regular file, making its directories."""
    _raise_for(_run(sandbox, WRITE, path, f"{mode:o}", stdin=data), path)


def upload(sandbox: Sandbox, source: Path, target: str) -> None:
    """Copy a host file or directory to `target`."""
    if source.is_file():
        write(sandbox, target, source.read_bytes(), source.stat().st_mode & 0o755)
        return
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, place in tree_entries(source):
            entry = tarfile.TarInfo(name or ".")
            status = place.stat()
            entry.mtime = int(status.st_mtime)
            if place.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.size, entry.mode = status.st_size, status.st_mode & 0o755
                with place.open("rb") as file:
                    archive.addfile(entry, file)
    _raise_for(_run(sandbox, UNPACK, target, stdin=packed.getvalue()), target)


def download(sandbox: Sandbox, source: str, target: Path) -> list[str]:
    """Copy a regular file, or a directory's regular files and directories, to the host."""
    limit = sandbox.limits.file_mib * MIB
    with receive_tree(target, limit) as receiver:
        kind = _run(sandbox, KIND, source)
        if kind.exit_code == SPECIAL:
            mode = kind.stdout.strip()
            data = read(sandbox, source)
            bits = int(mode, 8) if mode.isdigit() else 0o644
            receiver.take({"op": "file", "name": None, "mode": bits}, b"")
            receiver.take({"op": "data"}, data)
            return receiver.finish()
        _raise_for(kind, source)
        with tempfile.TemporaryFile() as packed:
            bounded = _Bounded(limit + ARCHIVE_OVERHEAD, source, packed)
            done = _run(sandbox, PACK, source, take=bounded.write)
            packed.seek(0)
            receiver.take({"op": "root"}, b"")
            try:
                taken = unpack(packed, receiver)
            except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
                if isinstance(error, (TransferLimitError, SandboxFileError)):
                    raise
                raise SandboxFileError(f"{source}: the archive is broken: {error}") from None
            if not taken:
                _raise_for(done, source)
        return receiver.finish()


def unpack(packed: BinaryIO, receiver: Receiver) -> bool:
    """Give the receiver what may leave of an archive; return whether there was anything."""
    found = False
    with tarfile.open(fileobj=packed, mode="r:") as archive:
        for entry in archive:
            found = True
            name = PurePosixPath(entry.name)
            if name == PurePosixPath():
                continue
            if not str(name).isprintable():
                shown = entry.name.encode("utf-8", "backslashreplace").decode()
                receiver.take({"op": "skipped", "name": shown}, b"")
            elif entry.isdir():
                receiver.take({"op": "directory", "name": str(name)}, b"")
            elif entry.isreg() or entry.islnk():  # a further name of a file in the archive
                _copy(archive, entry, str(name), receiver)
            else:
                receiver.take({"op": "skipped", "name": str(name)}, b"")
    return found


def _copy(archive: tarfile.TarFile, entry: tarfile.TarInfo, name: str, receiver: Receiver) -> None:
    try:
        file = archive.extractfile(entry)
    except KeyError:
        file = None
    if file is None:
        receiver.take({"op": "skipped", "name": name}, b"")
        return
    receiver.take({"op": "file", "name": name, "mode": entry.mode}, b"")
    while data := file.read(MIB):
        receiver.take({"op": "data"}, data)
