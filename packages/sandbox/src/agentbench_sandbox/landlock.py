"""The Landlock rules of a sandbox without a mount namespace.

Landlock only grants, and a grant covers everything below it; what must be hidden is therefore
left out by granting what lies around it.
"""

import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentbench_sandbox.interpreter import SYSTEM, hidden_paths, prefixes
from agentbench_sandbox.request import Request
from agentbench_sandbox.sandbox import Capabilities

NEEDED_ABI = 6
"""The first that keeps signals and abstract Unix sockets in (Linux 6.12)."""
CAPABILITIES = Capabilities(
    memory="watchdog",
    pids="watchdog",
    disk="watchdog",
    remap=False,
    private_processes=False,
    shared_memory=False,
    cpus="whole",
)
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
READ = EXECUTE | READ_FILE | READ_DIR
ALL_FILE_SYSTEM = (1 << 16) - 1
IOCTL_DEVICE = 1 << 15
FILE_ONLY = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14) | (1 << 15)
"""Rights that make sense for a file: execute, write, read, truncate, ioctl."""
NETWORK = 3
SCOPES = 3
READABLE = (
    *(f"/etc/{name}" for name in ("ld.so.cache", "alternatives", "localtime", "ssl")),
    *(f"/proc/{name}" for name in ("cpuinfo", "meminfo", "stat", "version", "filesystems")),
    "/proc/sys/kernel",
    "/proc/sys/vm",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
SYS_CREATE_RULESET = 444


def abi() -> int:
    """Return the Landlock version of this kernel; 0 when there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(SYS_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(0, int(version))


def around(root: Path, hidden: Sequence[Path]) -> Iterator[tuple[str, int]]:
    """Yield the (path, rights) that grant reading all of `root` but `hidden`.

    Directories that contain something hidden can still be listed, names only.
    """
    inside = [path for path in hidden if path.is_relative_to(root)]
    if not inside:
        yield str(root), READ if root.is_dir() else READ & FILE_ONLY
        return
    if root in inside:
        return
    yield str(root), READ_DIR
    for entry in root.iterdir():
        if not entry.is_symlink():
            yield from around(entry, inside)


def ruleset(request: Request, writable: Sequence[str]) -> dict[str, Any]:
    """Return the rules, as the supervisor's configuration carries them."""
    hidden = hidden_paths(request.hide)
    rules: list[tuple[str, int]] = []
    for root in (*SYSTEM, *prefixes()):
        if root.is_dir() and not root.is_symlink():
            rules += around(root, hidden)
    rules += [(path, READ if Path(path).is_dir() else READ & FILE_ONLY) for path in READABLE]
    rules += [(path, FILE_ONLY & ~EXECUTE) for path in DEVICES]
    rules += [(path, ALL_FILE_SYSTEM & ~IOCTL_DEVICE) for path in writable]
    for mount in request.mounts:
        source = Path(mount.source).resolve(strict=True)
        rights = READ if mount.read_only else ALL_FILE_SYSTEM & ~IOCTL_DEVICE
        rules.append((str(source), rights if source.is_dir() else rights & FILE_ONLY))
    return {"rules": rules, "handled": [ALL_FILE_SYSTEM, NETWORK, SCOPES]}
