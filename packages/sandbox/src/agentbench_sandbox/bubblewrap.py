"""The command line of a bubblewrap sandbox.

As an ordinary user everything runs as one mapped user; the supervisor is PID 1, which no signal
from inside reaches, and not dumpable, so it cannot be traced or read. As root there is no user
namespace: the supervisor keeps three capabilities and the agent is another, unused user.
"""

import base64
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from agentbench_sandbox import seccomp
from agentbench_sandbox.channel import Header
from agentbench_sandbox.guest import BOOT
from agentbench_sandbox.identity import AGENT, agent_user
from agentbench_sandbox.interpreter import SYSTEM, hidden_paths, prefixes
from agentbench_sandbox.request import Request
from agentbench_sandbox.sandbox import Capabilities

CAPABILITIES = Capabilities(
    memory="watchdog", pids="kernel", disk="kernel", network="proxy", cpus="whole"
)
MIB = 1 << 20
OWN_DIRECTORIES = (Path("/tmp"), Path("/proc"), Path("/dev"), Path("/usr"))  # noqa: S108
SHOWN_OF_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "ssl")
UNUSED_USERS = 0x70000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to start bubblewrap.

    Attributes:
        argv: Its command line; words that are keys of `data` stand for descriptors.
        data: What it reads from descriptors.
        config: What the supervisor must know about it.
    """

    argv: list[str]
    data: dict[str, bytes]
    config: Header


def plan(binary: str, request: Request) -> Plan:
    """Return how to start bubblewrap for this request."""
    root = os.geteuid() == 0
    unused = UNUSED_USERS + secrets.randbelow(1 << 24)
    uid = agent_user(request, unused) if root else AGENT
    data = {"@passwd": passwd(uid), "@group": f"agent:x:{uid}:\n".encode(), "@hosts": HOSTS}
    argv = [binary, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--as-pid-1"]
    argv += ["--hostname", "sandbox", "--clearenv"]
    config: Header = {}
    if root:
        config["uid"] = uid
        argv += ["--cap-drop", "ALL"]
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
            argv += ["--cap-add", capability]
    else:
        argv += ["--unshare-user", "--uid", str(uid), "--gid", str(uid), "--cap-drop", "ALL"]
        argv += ["--disable-userns"]
    config["seccomp"] = _filter(request)
    argv += file_system(request)
    argv += ["--", sys.executable, "-I", "-S", "-c", BOOT]
    return Plan(argv=argv, data=data, config=config)


def _filter(request: Request) -> str:
    affinity = request.limits.cpus is None
    instructions = seccomp.filter_program(sockets=True, affinity=affinity, segments=False)
    return base64.b64encode(instructions).decode()


HOSTS = b"127.0.0.1 localhost sandbox\n::1 localhost\n"


def passwd(uid: int) -> bytes:
    """Return the users that exist inside."""
    return f"root:x:0:0::/:/bin/sh\nagent:x:{uid}:{uid}::/:/bin/sh\n".encode()


def open_parents(path: Path) -> list[str]:
    """Return the arguments that make a path's parents, open to all; bubblewrap's are its own."""
    argv: list[str] = []
    for parent in reversed(path.parents[:-1]):
        if parent not in OWN_DIRECTORIES:
            argv += ["--perms", "0755", "--dir", str(parent)]
    return argv


def host_parts() -> list[str]:
    """Return the arguments that show the system's programs and libraries and this Python."""
    argv: list[str] = []
    for path in SYSTEM:
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    for prefix in prefixes():
        argv += open_parents(prefix)
        argv += ["--ro-bind", str(prefix), str(prefix)]
    argv += ["--perms", "0755", "--dir", "/etc"]
    for name in SHOWN_OF_ETC:
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in ("passwd", "group", "hosts"):
        argv += ["--perms", "0644", "--ro-bind-data", f"@{name}", f"/etc/{name}"]
    return argv


def file_system(request: Request) -> list[str]:
    """Return the arguments that build what is visible inside."""
    limits = request.limits
    # first what may lie above the interpreter: a virtual environment below /tmp or the workdir
    argv = ["--perms", "1777", "--size", str(limits.tmp_mib * MIB), "--tmpfs", "/tmp"]  # noqa: S108
    argv += open_parents(Path(request.workdir))
    argv += ["--perms", "1777", "--size", str(limits.disk_mib * MIB), "--tmpfs", request.workdir]
    argv += host_parts()
    for path in hidden_paths(request.hide):
        if path.is_symlink():
            continue  # its target is hidden by its own name
        if path.is_dir():
            argv += ["--tmpfs", str(path), "--remount-ro", str(path)]
        else:
            argv += ["--ro-bind", "/dev/null", str(path)]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    argv += ["--perms", "1777", "--size", str(limits.shm_mib * MIB), "--tmpfs", "/dev/shm"]  # noqa: S108
    for mount in sorted(request.mounts, key=lambda found: found.target):
        word = "--ro-bind" if mount.read_only else "--bind"
        argv += open_parents(Path(mount.target))
        argv += [word, str(mount.source), mount.target]
    return [*argv, "--remount-ro", "/", "--chdir", "/"]
