"""Turn a forked child of the supervisor into the agent: identity, limits, Landlock, seccomp."""

from __future__ import annotations

import base64
import ctypes
import gc
import os
import resource
import signal
import struct
import sys

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from typing import NoReturn

    from agentbench_sandbox.guest.wire import Header

PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 444, 445, 446

libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, *values: int) -> None:
    """Call prctl; raise `OSError` when it fails."""
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"prctl {option}")


def syscall(number: int, *values: object) -> int:
    """Call a system call by number; raise `OSError` when it fails."""
    result = libc.syscall(ctypes.c_long(number), *values)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"syscall {number}")
    return result


def landlock_ruleset(rules: list[tuple[str, int]], handled: tuple[int, int, int]) -> int:
    """Make a Landlock ruleset and return its descriptor.

    `handled` is (file-system rights, network rights, scopes); each rule is (path, rights). Paths
    that do not exist are left out: absence grants nothing.
    """
    attributes = struct.pack("=QQQ", *handled)
    size = 24 if handled[2] else 16 if handled[1] else 8
    fd = syscall(SYS_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path, rights in rules:
        try:
            at = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            rule = struct.pack("=Qi", rights, at)
            syscall(SYS_LANDLOCK_ADD, ctypes.c_int(fd), ctypes.c_int(1), rule, ctypes.c_uint32(0))
        finally:
            os.close(at)
    return fd


def load_seccomp(program: bytes) -> None:
    """Load a seccomp filter: packed `struct sock_filter` instructions."""
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    filters = Program(len(program) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(filters))


def drop_capabilities() -> None:
    """Give up every capability, also the ones a later exec could bring back."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break
    try:
        prctl(PR_CAP_AMBIENT, 4)
    except OSError:
        pass
    header = struct.pack("=Ii", 0x20080522, 0)
    syscall(SYS_CAPSET[os.uname().machine], header, bytes(24))


def lower(limit: int, value: int) -> None:
    """Lower one resource limit, soft and hard; never raise it."""
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))


class Confinement:
    """What a child must give up before it runs anything of the agent's."""

    def __init__(self, config: Header) -> None:
        self.uid = config.get("uid")
        self.rlimits = [
            (getattr(resource, name), n) for name, n in config.get("rlimits", {}).items()
        ]
        self.drop = bool(config.get("drop_capabilities"))
        self.seccomp = base64.b64decode(config["seccomp"]) if config.get("seccomp") else None
        self.join: list[str] = config.get("join", [])
        self.ruleset = None
        if config.get("landlock"):
            landlock = config["landlock"]
            self.ruleset = landlock_ruleset(landlock["rules"], landlock["handled"])

    def join_groups(self) -> None:
        """Move this process, and what it will fork, into its control groups.

        The kernel takes milliseconds for it, so leaders do it once instead of every command.
        """
        for group in self.join:
            with open(group, "w") as file:
                file.write("0")

    def enter(self) -> None:
        """Become the agent. Called once, in the child; what fails here must end the child."""
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        try:
            score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(score, b"800")
            os.close(score)
        except OSError:
            pass  # rootless: the supervisor is outside the limit anyway
        for limit, value in self.rlimits:
            lower(limit, value)
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        if self.drop:
            drop_capabilities()
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if self.ruleset is not None:
            syscall(SYS_LANDLOCK_RESTRICT, ctypes.c_int(self.ruleset), ctypes.c_uint32(0))
        if self.seccomp is not None:
            load_seccomp(self.seccomp)
        os.umask(0o022)


def say_and_exit(message: str, code: int) -> NoReturn:
    """End a child that could not start its program, with the reason on its standard error."""
    try:
        os.write(2, message.encode("utf-8", "replace") + b"\n")
    finally:
        os._exit(code)


def execute(argv: list[str], env: dict[str, str], cwd: str) -> NoReturn:
    """Replace this process by a program found on PATH; exit 127 or 126 as a shell would."""
    try:
        os.chdir(cwd)
    except OSError as error:
        say_and_exit(f"agentbench-sandbox: cannot enter {cwd}: {error.strerror}", 126)
    name = argv[0]
    places = [name]
    if "/" not in name:
        places = [os.path.join(p or ".", name) for p in env.get("PATH", os.defpath).split(":")]
    reason, code = "command not found", 127
    for place in places:
        try:
            os.execve(place, argv, env)  # noqa: S606 - no shell is the point
        except FileNotFoundError as error:
            if os.path.lexists(place):
                reason, code = error.strerror, 126
        except OSError as error:
            reason, code = error.strerror, 126
            if os.path.isdir(place):
                reason = "Is a directory"
    say_and_exit(f"agentbench-sandbox: {name}: {reason}", code)


def stay_private() -> None:
    """Close stray descriptors and forbid other processes of the same user to look inside."""
    os.closerange(3, 1 << 16)
    prctl(PR_SET_DUMPABLE, 0)
    sys.setrecursionlimit(2000)
    gc.disable()  # a collection in a forked child would copy every page it looks at
