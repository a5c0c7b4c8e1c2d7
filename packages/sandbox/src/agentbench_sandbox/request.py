"""What a sandbox is asked for: limits, mounts, and the whole request."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from agentbench_sandbox.errors import InvalidLimitsError

RESERVED_MIB = 64
"""Memory kept free of tmpfs so that a full disk ends in ENOSPC and not in an OOM kill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a sandbox may use. All of it is enforced or refused at creation, never ignored.

    Attributes:
        memory_mib: Memory of all processes together.
        cpus: CPUs, fractions allowed where the back end can; None leaves them all.
        pids: Processes and threads at the same time.
        disk_mib: Size of the working directory.
        tmp_mib: Size of `/tmp`.
        shm_mib: Size of `/dev/shm`.
        output_mib: What is kept of each output stream of a command: its first and last half.
        file_mib: Largest file or directory that `read_file` and `download` accept.
        lifetime_s: The sandbox ends itself after this many seconds.
        grace_s: Between SIGTERM and SIGKILL when a command times out.
        network: False for none; True for open; a tuple of `host` or `host:port` patterns
            (`*.pythonhosted.org:443`) for HTTP(S) through a proxy that admits only those.
        gpus: Number of GPUs, or a tuple of device ids.
    """

    memory_mib: int = 2048
    cpus: float | None = None
    pids: int = 512
    disk_mib: int = 1024
    tmp_mib: int = 256
    shm_mib: int = 64
    output_mib: float = 10
    file_mib: int = 1024
    lifetime_s: float = 24 * 3600
    grace_s: float = 1.0
    network: bool | tuple[str, ...] = False
    gpus: int | tuple[str, ...] = 0

    def __post_init__(self) -> None:
        positive = ("memory_mib", "pids", "disk_mib", "tmp_mib", "shm_mib", "file_mib")
        for name in (*positive, "output_mib", "lifetime_s", "cpus"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InvalidLimitsError(f"Limits.{name} must be a positive number, not {value!r}")
        if not (math.isfinite(self.grace_s) and self.grace_s >= 0):
            raise InvalidLimitsError(f"Limits.grace_s must be at least 0, not {self.grace_s!r}")
        if isinstance(self.gpus, int) and self.gpus < 0:
            raise InvalidLimitsError(f"Limits.gpus must be at least 0, not {self.gpus}")
        storage = self.disk_mib + self.tmp_mib + self.shm_mib
        if storage + RESERVED_MIB > self.memory_mib:
            raise InvalidLimitsError(
                f"disk_mib + tmp_mib + shm_mib = {storage} MiB live in memory and need "
                f"{RESERVED_MIB} MiB beside them, but memory_mib is {self.memory_mib}; "
                f"raise memory_mib to at least {storage + RESERVED_MIB} or lower disk_mib"
            )


@dataclass(frozen=True, slots=True)
class Mount:
    """A host file or directory that is visible inside.

    Attributes:
        source: Absolute path on the host (of the Docker daemon, where that is another machine).
        target: Absolute path inside. Where the back end cannot move paths (Landlock), the mount
            is found at its source; `Sandbox.path(target)` tells.
        read_only: Whether the sandbox may change it.
    """

    source: str | Path
    target: str
    read_only: bool = True

    def __post_init__(self) -> None:
        if not Path(self.source).is_absolute():
            raise ValueError(f"Mount.source must be an absolute path, not {str(self.source)!r}")
        target = PurePosixPath(self.target)
        if not target.is_absolute() or ".." in target.parts or target == PurePosixPath("/"):
            raise ValueError(f"Mount.target must be an absolute path below /, not {self.target!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything a back end is asked for when a sandbox is opened (see `open_sandbox`)."""

    image: str | None = None
    limits: Limits = field(default_factory=Limits)
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    hide: tuple[str, ...] = ()
    workdir: str = "/workspace"
    unsafe: bool = False
    runtime: str | None = None
    root: bool = False

    def __post_init__(self) -> None:
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(f"env: {name!r} is not a valid environment variable")
        for path in self.hide:
            parts = PurePosixPath(path).parts
            if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
                raise ValueError(f"hide: {path!r} must be relative to the Python import roots")
        Mount("/", self.workdir)


def check_argv(argv: Sequence[str], env: Mapping[str, str] | None) -> None:
    """Raise `ValueError` for what no system can start: nothing, or a NUL in a string."""
    if isinstance(argv, str) or not argv or not argv[0]:
        raise ValueError(f"argv must be a non-empty list of strings, not {argv!r}")
    for text in (*argv, *(env or {}), *(env or {}).values()):
        if "\0" in text:
            raise ValueError(f"an argument or variable cannot hold a NUL: {text[:80]!r}")


def check_timeout(timeout_s: float) -> None:
    """Raise `ValueError` for a time-out that is not positive and finite."""
    if not 0 < timeout_s < 10**9:
        raise ValueError(f"timeout_s must be positive and finite, not {timeout_s!r}")


def record(request: Request) -> dict[str, Any]:
    """Return what was asked for, as the record of a run keeps it (JSON types only)."""
    limits = {name: getattr(request.limits, name) for name in Limits.__dataclass_fields__}
    for name in ("network", "gpus"):
        if isinstance(limits[name], tuple):
            limits[name] = list(limits[name])
    return {
        "limits": limits,
        "hide": list(request.hide),
        "mounts": [
            {"target": mount.target, "read_only": mount.read_only} for mount in request.mounts
        ],
    }
