"""What a sandbox is: its protocol, what back ends can do, and how to open one."""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, cast, runtime_checkable

from agentbench_sandbox.errors import ImageError, SandboxUnavailableError
from agentbench_sandbox.request import Limits, Mount, Request
from agentbench_sandbox.result import ExecResult

if TYPE_CHECKING:
    from agentbench_sandbox.kernel import Kernel


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
        python: `python3` runs inside.
        kernel: Persistent Python sessions.
        fork: The sandbox can be copied with its files.
        concurrent: Commands run at the same time, and one that times out ends alone. Otherwise
            they run one after another, and a time-out ends all that runs in the sandbox.
        usage: `cpu_s` and `peak_memory_mib` are measured; otherwise they are 0.
        users: Commands can run as other users than the agent (`exec(user=...)`); as root too where
            the sandbox was opened with `root=True`.
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
    python: bool = True
    kernel: bool = True
    fork: bool = True
    concurrent: bool = True
    usage: bool = True
    users: bool = False
    ends_with_host: bool = True


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
        user: str | None = None,
        check: bool = False,
        on_output: OnOutput | None = None,
        cancel: threading.Event | None = None,
        end_background: bool = False,
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
    root: bool = False,
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
        root: Let the caller run commands as root inside a container (`exec(user="root")`), to add
            users or packages for instance. Its root file system is then writable, and root has
            the capabilities CHOWN, DAC_OVERRIDE, FOWNER and FSETID beside those of the supervisor;
            what root runs can end the sandbox. The agent stays what it was.

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
        root=root,
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
