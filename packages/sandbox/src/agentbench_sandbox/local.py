"""Isolation without Docker: bubblewrap where it works, else Landlock, else a refusal."""

import base64
import os
import platform
import secrets
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentbench_sandbox import bubblewrap, control_group, landlock, seccomp
from agentbench_sandbox.channel import Channel, Header
from agentbench_sandbox.control_group import ControlGroup
from agentbench_sandbox.errors import CapabilityError, SandboxClosedError, SandboxUnavailableError
from agentbench_sandbox.guest import cell_program, program
from agentbench_sandbox.interpreter import is_compiled, search_path
from agentbench_sandbox.launch import launch
from agentbench_sandbox.proxy import PORT, variables
from agentbench_sandbox.request import Request
from agentbench_sandbox.sandbox import Capabilities
from agentbench_sandbox.supervised import SupervisedSandbox

UNSAFE = Capabilities(
    isolated=False,
    memory="watchdog",
    pids="watchdog",
    disk="watchdog",
    remap=False,
    read_only_root=False,
    network="open",
    network_isolated=False,
    hide=False,
    cpus="whole",
    private_processes=False,
    signals_isolated=False,
)
INSTALL = (
    "install bubblewrap (Debian, Ubuntu, Fedora, Arch: the package is called bubblewrap) or "
    "Docker, or use a Linux kernel of 6.12 or newer with Landlock enabled"
)
MIB = 1 << 20
BYTECODE_MIB = 128
"""A sandbox with less room for temporary files than this gets no compiled packages there."""


def open_local(request: Request) -> SupervisedSandbox:
    """Open a sandbox on this machine without Docker.

    Raises:
        SandboxUnavailableError: Neither bubblewrap nor Landlock works here.
        CapabilityError: What works here cannot honour the request.
    """
    if sys.platform != "linux":
        raise SandboxUnavailableError(
            f"local sandboxes need Linux and this is {platform.system()}; install Docker"
        )
    if request.unsafe:
        return open_unsafe(request)
    try:
        return open_bubblewrap(request)
    except SandboxUnavailableError as error:
        reason = str(error)
    try:
        return open_landlock(request)
    except SandboxUnavailableError as error:
        raise SandboxUnavailableError(f"{reason}; {error}; {INSTALL}") from None


def environment(request: Request, workdir: str, tmp: str) -> dict[str, str]:
    """Return the variables inside: nothing of the host's, all of it fixed."""
    env = {
        "PATH": search_path(),
        "HOME": workdir,
        "TMPDIR": tmp,
        "USER": "agent",
        "LOGNAME": "agent",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
    }
    room = min(request.limits.tmp_mib, request.limits.disk_mib) >= BYTECODE_MIB
    if is_compiled() or not room:
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    else:  # compile once in each sandbox; what is compiled beside its source is not looked for
        env["PYTHONPYCACHEPREFIX"] = f"{tmp}/.pycache"
    if request.limits.cpus is not None:
        threads = str(max(1, int(request.limits.cpus)))
        env |= {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    if isinstance(request.limits.network, tuple):
        env |= variables()
    return env | dict(request.env)


def some_cpus(count: int) -> list[int]:
    """Pick CPUs for a sandbox at random, so that several do not crowd on the first."""
    return secrets.SystemRandom().sample(sorted(os.sched_getaffinity(0)), count)


def configuration(request: Request, workdir: str, tmp: str) -> Header:
    """Return the part of the supervisor's configuration that all local back ends share."""
    limits = request.limits
    largest = max(limits.disk_mib, limits.tmp_mib) * MIB
    return {
        "env": environment(request, workdir, tmp),
        "workdir": workdir,
        "grace_s": limits.grace_s,
        "proxy_port": PORT if isinstance(limits.network, tuple) else None,
        "lifetime_s": limits.lifetime_s,
        "python": sys.executable,
        "cell_program": cell_program(),
        "cpus": None if limits.cpus is None else some_cpus(int(limits.cpus)),
        "rlimits": {
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": largest,
            "RLIMIT_DATA": 2 * limits.memory_mib * MIB,
            "RLIMIT_NOFILE": 65_664,
        },
        "watch": {"memory_kib": limits.memory_mib * 1024, "pids": limits.pids},
        "oom_counters": [],
        "pids_counters": [],
    }


def refuse_what_no_local_back_end_can(request: Request) -> None:
    """Raise `CapabilityError` for what needs Docker."""
    if request.image is not None:
        raise CapabilityError(f"a local sandbox has no image, but {request.image!r} was asked for")
    if request.root:
        raise CapabilityError("a local sandbox has no root; use the Docker back end")
    if request.runtime is not None:
        raise CapabilityError(f"a local sandbox has no OCI runtime such as {request.runtime!r}")
    if request.limits.gpus:
        raise CapabilityError("a local sandbox passes no GPU in; use the Docker back end")
    cpus = request.limits.cpus
    if cpus is not None and (cpus != int(cpus) or cpus > len(os.sched_getaffinity(0))):
        most = len(os.sched_getaffinity(0))
        raise CapabilityError(
            f"a local sandbox limits CPUs in whole numbers up to {most}, not to {cpus}"
        )


def open_bubblewrap(request: Request) -> SupervisedSandbox:
    """Open a bubblewrap sandbox: own mounts, processes, network and IPC.

    Raises:
        SandboxUnavailableError: `bwrap` is missing or this kernel does not let it work.
        CapabilityError: It cannot honour the request.
    """
    refuse_what_no_local_back_end_can(request)
    if request.limits.network is True:
        raise CapabilityError(
            "bubblewrap would have to share the host's network; name the hosts instead "
            "(Limits(network=('pypi.org:443',))) or use the Docker back end"
        )
    binary = shutil.which("bwrap")
    if binary is None:
        raise SandboxUnavailableError("bubblewrap: there is no bwrap program on PATH")
    if not seccomp.supported():
        raise SandboxUnavailableError(f"bubblewrap: no seccomp filter for {platform.machine()}")
    plan = bubblewrap.plan(binary, request)
    config = configuration(request, request.workdir, "/tmp")  # noqa: S108 - a path inside
    config |= plan.config
    config["rlimits"]["RLIMIT_NPROC"] = request.limits.pids
    places = (request.workdir, "/tmp", "/dev/shm")  # noqa: S108 - paths inside
    config["watch"] |= {
        "disk_kib": request.limits.disk_mib * 1024,
        "entries_paths": places,
    }
    try:
        channel = launch(plan.argv, plan.data, program(), config)
    except SandboxClosedError as error:
        raise SandboxUnavailableError(f"bubblewrap does not work here: {error}") from None
    return finish(channel, request, "bubblewrap", bubblewrap.CAPABILITIES, request.workdir)


def state_directory() -> tuple[Path, str, str]:
    """Make a private directory for a sandbox without mounts of its own; return it, work, tmp."""
    root = Path(tempfile.mkdtemp(prefix="agentbench-"))
    work, tmp, programs = root / "work", root / "tmp", root / "bin"
    for path in (work, tmp, programs):
        path.mkdir(mode=0o700)
    (programs / "python").symlink_to(sys.executable)
    return root, str(work), str(tmp)


def moved_paths(request: Request, workdir: str) -> dict[str, str]:
    """Return where mounts and the working directory are found without a mount namespace."""
    moved = {mount.target: str(Path(mount.source).resolve()) for mount in request.mounts}
    return {request.workdir: workdir} | moved


def open_landlock(request: Request) -> SupervisedSandbox:
    """Open a Landlock sandbox: files, signals and sockets fenced in, no mounts of its own.

    Raises:
        SandboxUnavailableError: This kernel has no Landlock, or too old a one.
        CapabilityError: It cannot honour the request.
    """
    refuse_what_no_local_back_end_can(request)
    if request.limits.network:
        raise CapabilityError("Landlock keeps all of the network out; use bubblewrap or Docker")
    abi = landlock.abi()
    if abi < landlock.NEEDED_ABI or not seccomp.supported():
        raise SandboxUnavailableError(
            f"Landlock: ABI {abi} on {platform.machine()}, needed is {landlock.NEEDED_ABI}"
        )
    group = kernel_limits(request)
    if group is None and os.geteuid() == 0:
        raise SandboxUnavailableError(
            "Landlock: as root, processes can only be limited by a control group, and none can be "
            "made here; run as an ordinary user"
        )
    root, workdir, tmp = state_directory()
    config = without_mounts(request, group, root, workdir, tmp)
    config |= {
        "landlock": landlock.ruleset(request, (workdir, tmp, str(root / "bin"))),
        "drop_capabilities": os.geteuid() == 0,
        "seccomp": encoded_filter(request),
    }
    return start_without_mounts(
        request, config, root, "landlock", landlock.CAPABILITIES, group=group
    )


def open_unsafe(request: Request) -> SupervisedSandbox:
    """Open what isolates nothing: limits and clean-up only, because `unsafe=True` asked for it.

    Raises:
        CapabilityError: Paths were to be hidden, which is impossible without isolation.
    """
    refuse_what_no_local_back_end_can(request)
    if isinstance(request.limits.network, tuple):
        raise CapabilityError("without isolation the network cannot be limited to a list")
    if request.hide:
        raise CapabilityError(f"without isolation nothing can be hidden: {', '.join(request.hide)}")
    group = kernel_limits(request)
    root, workdir, tmp = state_directory()
    config = without_mounts(request, group, root, workdir, tmp)
    return start_without_mounts(request, config, root, "unsafe-local", UNSAFE, group=group)


def kernel_limits(request: Request) -> ControlGroup | None:
    """Make a control group where root may; an ordinary user has a resource limit instead."""
    return control_group.make(request.limits) if os.geteuid() == 0 else None


def processes_of_user() -> int:
    """Return how many processes and threads this user has now."""
    count = 0
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                count += sum(1 for _ in (entry / "task").iterdir())
    return count


def without_mounts(
    request: Request, group: ControlGroup | None, root: Path, workdir: str, tmp: str
) -> Header:
    """Return the configuration of a sandbox that lives in a directory of the host."""
    config = configuration(request, workdir, tmp)
    if group is not None:
        config |= group.config()
        config["oom_counters"] = [config.pop("oom_counter")]
        config["pids_counters"] = [config.pop("pids_counter")]
        config["watch"] = {}
        del config["rlimits"]["RLIMIT_DATA"]
    else:
        config["rlimits"]["RLIMIT_NPROC"] = processes_of_user() + request.limits.pids
    config["env"]["PATH"] += f":{root / 'bin'}"
    config["remove"] = [str(root)]
    # a single file must be able to pass the limit, or the watchdog sees a disk that is just full
    config["rlimits"]["RLIMIT_FSIZE"] += MIB
    config["watch"] |= {"disk_kib": request.limits.disk_mib * 1024, "disk_paths": [workdir, tmp]}
    return config


def start_without_mounts(
    request: Request,
    config: Header,
    root: Path,
    backend: str,
    capabilities: Capabilities,
    *,
    group: ControlGroup | None,
) -> SupervisedSandbox:
    """Start the supervisor as an ordinary process of this user."""
    from agentbench_sandbox.guest import BOOT

    argv = [sys.executable, "-I", "-S", "-c", BOOT]
    try:
        channel = launch(argv, {}, program(), config)
    except SandboxClosedError as error:
        shutil.rmtree(root, ignore_errors=True)
        if group is not None:
            group.remove()
        raise SandboxUnavailableError(f"{backend} does not work here: {error}") from None
    if group is not None:
        capabilities = replace(capabilities, memory="kernel", pids="kernel")
    elif os.geteuid() != 0:
        capabilities = replace(capabilities, pids="kernel")
    workdir = str(config["workdir"])
    moved = moved_paths(request, workdir)
    return finish(channel, request, backend, capabilities, workdir, moved=moved)


REOPEN = {
    "bubblewrap": open_bubblewrap,
    "landlock": open_landlock,
    "unsafe-local": open_unsafe,
}


def encoded_filter(request: Request) -> str:
    """Return Landlock's seccomp filter as the configuration carries it."""
    affinity = request.limits.cpus is None
    return base64.b64encode(seccomp.filter_program(sockets=False, affinity=affinity)).decode()


def finish(
    channel: Channel,
    request: Request,
    backend: str,
    capabilities: Capabilities,
    workdir: str,
    *,
    moved: dict[str, str] | None = None,
) -> SupervisedSandbox:
    """Wrap a started channel."""
    description: dict[str, Any] = {
        "image": None,
        "image_digest": None,
        "isolation": "none" if backend == "unsafe-local" else backend,
        "python": sys.version.split()[0],
        "kernel": platform.release(),
    }
    return SupervisedSandbox(
        channel,
        request,
        backend=backend,
        capabilities=capabilities,
        description=description,
        workdir=workdir,
        moved=moved,
        reopen=REOPEN[backend],
    )
