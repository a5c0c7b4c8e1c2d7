"""What a sandbox is: its protocol, its limits, its results, and how to open one."""

import math
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, cast, runtime_checkable

from agentbench_sandbox.errors import (
    ExecFailedError,
    ExecTimeoutError,
    ImageError,
    InvalidLimitsError,
    SandboxUnavailableError,
)

if TYPE_CHECKING:
    from agentbench_sandbox.kernel import Kernel

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
class Capabilities:
    """What a back end can do. What it cannot do is refused when the sandbox is opened.

    Attributes:
        isolated: Files, processes and network of the host are out of reach.
        memory: "kernel" where a control group enforces the limit, "watchdog" where the tree is
            measured several times a second and ended, "none" otherwise.
        pids: Likewise for the number of processes.
        disk: "kernel" where the working directory is a file system of its own size.
        remap: Mounts appear at their target and the working directory at `workdir`.
        read_only_root: Everything but the working directory, /tmp and mounts is read-only.
        network: "none", "proxy" (allow-list only) or "open": the most that can be granted.
        network_isolated: With `network=False` nothing can be reached.
        gpus: GPUs can be passed in.
        cpus: "fraction", "whole" or "none".
        hide: Paths below the Python import roots can be taken away.
        shared_memory: /dev/shm works (multiprocessing locks and semaphores).
        private_processes: Processes of the host cannot be seen.
        signals_isolated: Processes outside the sandbox cannot be signalled.
        tree_kill: A command's whole tree ends with it, detached processes included.
        streaming: Output can be streamed and standard input sent.
        kernel: Persistent Python sessions.
        fork: The sandbox can be copied with its working directory.
        ends_with_host: A killed host process leaves nothing behind.
    """

    isolated: bool = True
    memory: Literal["kernel", "watchdog", "none"] = "kernel"
    pids: Literal["kernel", "watchdog", "none"] = "kernel"
    disk: Literal["kernel", "watchdog", "none"] = "kernel"
    remap: bool = True
    read_only_root: bool = True
    network: Literal["none", "proxy", "open"] = "none"
    network_isolated: bool = True
    gpus: bool = False
    cpus: Literal["fraction", "whole", "none"] = "none"
    hide: bool = True
    shared_memory: bool = True
    private_processes: bool = True
    signals_isolated: bool = True
    tree_kill: bool = True
    streaming: bool = True
    kernel: bool = True
    fork: bool = True
    ends_with_host: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What a command did.

    Attributes:
        exit_code: Its exit code; minus the signal's number when a signal ended it. 127: no such
            program; 126: it could not be started.
        stdout_bytes: What was kept of its standard output: all, or head, a marker line and tail.
        stderr_bytes: Likewise for standard error.
        stdout_total: Bytes it wrote to standard output, kept or not.
        stderr_total: Bytes it wrote to standard error.
        truncated: Whether anything was left out.
        signal: The signal that ended it, or None.
        timed_out: It was still running at the deadline; its whole tree was ended.
        oom_killed: The memory limit was hit while it ran.
        pids_limit_hit: The process limit was hit while it ran.
        disk_limit_hit: A watchdog ended it for using too much disk (where disk is "watchdog";
            elsewhere the program itself sees ENOSPC).
        wall_s: Seconds from start to end.
        cpu_s: CPU seconds, user and system, of all its processes that have ended.
        peak_memory_mib: Largest resident set of any one of its processes.
        background: Processes it left running.
    """

    exit_code: int
    stdout_bytes: bytes
    stderr_bytes: bytes
    stdout_total: int
    stderr_total: int
    truncated: bool = False
    signal: int | None = None
    timed_out: bool = False
    oom_killed: bool = False
    pids_limit_hit: bool = False
    disk_limit_hit: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mib: float = 0.0
    background: int = 0

    @property
    def stdout(self) -> str:
        """Standard output as text; what is not UTF-8 is replaced."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """Standard error as text; what is not UTF-8 is replaced."""
        return self.stderr_bytes.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """Whether it exited with 0 in time."""
        return self.exit_code == 0 and not self.timed_out

    def check(self) -> Self:
        """Return this result if it is ok.

        Raises:
            ExecTimeoutError: It timed out.
            ExecFailedError: It exited with another code than 0.
        """
        last = self.stderr.strip().splitlines()[-1:] or ["nothing on standard error"]
        if self.timed_out:
            raise ExecTimeoutError(f"command timed out after {self.wall_s:.1f} s: {last[0]}", self)
        if self.exit_code != 0:
            raise ExecFailedError(f"command exited with {self.exit_code}: {last[0]}", self)
        return self


OnOutput = Callable[[Literal["stdout", "stderr"], bytes], None]
"""Called with the stream's name and the next bytes, as they come; a slow one slows the command."""


@runtime_checkable
class Sandbox(Protocol):
    """A place where untrusted commands run. Thread-safe: several commands may run at once."""

    @property
    def backend(self) -> str:
        """Name of the back end: "docker", "bubblewrap", "landlock", "unsafe-local" or another."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this back end can do here."""
        ...

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        ...

    @property
    def workdir(self) -> str:
        """The writable working directory, as a path inside."""
        ...

    def path(self, target: str) -> str:
        """Return where a mount target or a path below the asked-for workdir is found inside."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what a record of a run should say about this sandbox (JSON types only)."""
        ...

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        check: bool = False,
        on_output: OnOutput | None = None,
        cancel: threading.Event | None = None,
    ) -> ExecResult:
        """Run a command and return what it did. A time-out is a result."""
        ...

    def read_file(self, path: str) -> bytes:
        """Return the contents of a regular file inside."""
        ...

    def write_file(self, path: str, data: bytes | str) -> None:
        """Write a file inside, making its directories."""
        ...

    def upload(self, src: str | Path, dst: str) -> None:
        """Copy a host file or directory to `dst` inside."""
        ...

    def download(self, src: str, dst: str | Path) -> list[str]:
        """Copy a file or directory from inside to `dst`; return what was left out."""
        ...

    def python(self) -> "Kernel":
        """Start a persistent Python session inside."""
        ...

    def fork(self) -> "Sandbox":
        """Return a second sandbox of the same kind with a copy of the working directory."""
        ...

    def close(self) -> None:
        """End everything inside and remove the sandbox."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


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

    def __post_init__(self) -> None:
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(f"env: {name!r} is not a valid environment variable")
        for path in self.hide:
            parts = PurePosixPath(path).parts
            if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
                raise ValueError(f"hide: {path!r} must be relative to the Python import roots")
        Mount("/", self.workdir)


Opener = Callable[[Request], Sandbox]
"""What an entry point of the group `agentbench.sandboxes` names: opens a sandbox or raises."""


def open_sandbox(
    backend: str = "auto",
    *,
    image: str | None = None,
    limits: Limits | None = None,
    mounts: Sequence[Mount] = (),
    env: Mapping[str, str] | None = None,
    hide: Sequence[str] = (),
    workdir: str = "/workspace",
    unsafe: bool = False,
    runtime: str | None = None,
) -> Sandbox:
    """Open a sandbox; use it as a context manager.

    Args:
        backend: "docker", "local", "auto", or the name of an entry point of the group
            `agentbench.sandboxes`. "auto" is Docker when its daemon answers and the image is
            there, else local isolation, else an error. Nothing is pulled or built.
        image: Docker image; by default the one `agentbench-sandbox build` makes.
        limits: What the sandbox may use.
        mounts: Host paths to show inside.
        env: Environment variables inside. Those of the host never enter.
        hide: Paths relative to the Python import roots inside ("sklearn/datasets/data") that must
            be absent, empty or unreadable.
        workdir: The writable working directory inside.
        unsafe: Run without isolation, in the local back end only, and only where this is asked for.
        runtime: Docker's OCI runtime ("runsc" for gVisor, "kata"); its default otherwise.

    Raises:
        SandboxUnavailableError: Nothing here can run it; the message says what to install.
        CapabilityError: The back end cannot honour a limit, a mount or a path to hide.
        ImageError: The image is not there (`backend="docker"`).
    """
    request = Request(
        image=image,
        limits=limits or Limits(),
        mounts=tuple(mounts),
        env=dict(env or {}),
        hide=tuple(hide),
        workdir=workdir,
        unsafe=unsafe,
        runtime=runtime,
    )
    if backend == "auto":
        return _open_auto(request)
    return opener(backend)(request)


def opener(backend: str) -> Opener:
    """Return what opens sandboxes of this back end.

    Raises:
        SandboxUnavailableError: There is no back end of that name.
    """
    if backend == "docker":
        from agentbench_sandbox.docker import open_docker

        return open_docker
    if backend == "local":
        from agentbench_sandbox.local import open_local

        return open_local
    from importlib.metadata import entry_points

    found = entry_points(group="agentbench.sandboxes")
    if backend in found.names:
        return cast("Opener", found[backend].load())
    names = ", ".join(["auto", "docker", "local", *sorted(found.names)])
    raise SandboxUnavailableError(f"no sandbox back end is called {backend!r}; there are {names}")


def _open_auto(request: Request) -> Sandbox:
    if request.unsafe:
        return opener("local")(request)
    reasons: list[str] = []
    for name in ("docker", "local"):
        try:
            return opener(name)(request)
        except (SandboxUnavailableError, ImageError) as error:
            reasons.append(f"{name}: {error}")
    raise SandboxUnavailableError("no sandbox can run here. " + " ".join(reasons))


@contextmanager
def closing_on_error(sandbox: Sandbox) -> Generator[None]:
    """Close a sandbox that was opened but could not be made ready."""
    try:
        yield
    except BaseException:
        sandbox.close()
        raise
