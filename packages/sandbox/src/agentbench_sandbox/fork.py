"""A second sandbox with a copy of the first one's working directory.

Everything else inside is read-only, so there is nothing more of the file system to copy; the copy
is opened while the original is still being packed.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar

from agentbench_sandbox.errors import CapabilityError, SandboxFileError
from agentbench_sandbox.request import Request
from agentbench_sandbox.result import ExecResult
from agentbench_sandbox.sandbox import Sandbox, closing_on_error

Kind = TypeVar("Kind", bound=Sandbox)

MIB = 1 << 20
COPY_S = 600.0
HEADERS_MIB = 64
"""What the headers of an archive may add to its files."""
PACK_BY_TAR = """\
set --
for name in * .[!.]* ..?*; do
  if [ -e "$name" ] || [ -L "$name" ]; then set -- "$@" "./$name"; fi
done
[ $# = 0 ] || exec tar -c -S -f - -- "$@"
"""
PACK_BY_PYTHON = """\
import os, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
    for name in os.listdir("."):
        archive.add(name)
"""
UNPACK_BY_PYTHON = """\
import sys, tarfile
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
    archive.extractall()
"""
PACKERS = (["sh", "-c", PACK_BY_TAR], ["python3", "-I", "-S", "-c", PACK_BY_PYTHON])
"""The first needs a tenth of the second's time; the second needs neither sh nor tar."""
UNPACKERS = (["tar", "-x", "-f", "-"], ["python3", "-I", "-S", "-c", UNPACK_BY_PYTHON])


def fork(original: Kind, request: Request, reopen: Callable[[Request], Kind]) -> Kind:
    """Return a sandbox opened by `reopen` with a copy of the original's working directory.

    Raises:
        CapabilityError: There is a writable mount, which both would share, or the root file system
            is writable, which is not copied.
        SandboxFileError: The working directory could not be copied.
    """
    if shared := [mount.target for mount in request.mounts if not mount.read_only]:
        raise CapabilityError(
            f"a fork would share the writable mount {', '.join(shared)} with its original; mount "
            "it read-only, or copy what is needed into the working directory"
        )
    if request.root:
        raise CapabilityError(
            "a fork copies the working directory and would lose what root has changed elsewhere; "
            "build an image with those changes and open two sandboxes of it without root=True"
        )
    with ThreadPoolExecutor(1, thread_name_prefix="sandbox-fork") as beside:
        opening = beside.submit(reopen, request)
        try:
            packed = pack(original)
        except BaseException:
            opening.result().close()
            raise
    copy = opening.result()
    if packed:
        with closing_on_error(copy):
            unpack(copy, packed)
    return copy


def pack(sandbox: Sandbox) -> bytes:
    """Return the working directory as a tar file.

    Raises:
        SandboxFileError: It could not be read, or its files, holes included, are larger than its
            file system.
    """
    limit = (sandbox.limits.disk_mib + HEADERS_MIB) * MIB
    done: ExecResult | None = None
    for argv in PACKERS:
        parts: list[bytes] = []
        size = 0

        def take(stream: Literal["stdout", "stderr"], data: bytes) -> None:
            nonlocal size
            if stream == "stdout":
                size += len(data)
                if size > limit:
                    raise SandboxFileError(
                        f"the working directory's files add up to more than {limit} bytes"
                    )
                parts.append(data)  # noqa: B023 - called before the next round

        done = sandbox.exec(argv, timeout_s=COPY_S, on_output=take)
        if done.ok:
            return b"".join(parts)
    said = "" if done is None else done.stderr.strip()
    raise SandboxFileError(f"the working directory could not be read: {said}")


def unpack(sandbox: Sandbox, packed: bytes) -> None:
    """Unpack a tar file in the working directory.

    Raises:
        SandboxFileError: It could not be written.
    """
    said = ""
    for argv in UNPACKERS:
        done = sandbox.exec(argv, timeout_s=COPY_S, stdin=packed)
        if done.ok:
            return
        said = done.stderr.strip()
    raise SandboxFileError(f"the copy could not be written: {said}")
