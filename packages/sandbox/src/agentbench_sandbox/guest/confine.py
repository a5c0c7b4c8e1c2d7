"""Turn a forked child of the supervisor into the agent: identity, limits, Landlock, seccomp."""

from __future__ import annotations

import base64
import ctypes
import errno
import gc
import os
import resource
import signal
import struct
import sys

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import NoReturn

    from agentbench_sandbox.guest.wire import Header

PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
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


def load_seccomp(program: bytes, *, listen: bool) -> int | None:
    """Load a seccomp filter: packed `struct sock_filter` instructions.

    Returns the descriptor at which the calls are announced that it hands over, with `listen`.
    """
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    filters = Program(len(program) // 8, ctypes.addressof(buffer))
    if listen:
        number, new_listener = SYS_SECCOMP[os.uname().machine], ctypes.c_ulong(8)
        return syscall(number, ctypes.c_ulong(1), new_listener, ctypes.byref(filters))
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(filters))
    return None


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


def send_descriptor(end: socket.socket, fd: int) -> None:
    """Pass a descriptor on."""
    import socket  # only here: it is known where it is needed

    socket.send_fds(end, [b"."], [fd])


class Confinement:
    """What a child must give up before it runs anything of the agent's."""

    def __init__(self, config: Header) -> None:
        self.uid = config.get("uid")
        self.root = bool(config.get("root"))
        self.rlimits = [
            (getattr(resource, name), n) for name, n in config.get("rlimits", {}).items()
        ]
        self.drop = bool(config.get("drop_capabilities"))
        self.seccomp = base64.b64decode(config["seccomp"]) if config.get("seccomp") else None
        self.announce: socket.socket | None = None
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

    def become(self, user: str | None) -> dict[str, str]:
        """Take on the agent's identity, or a user's; return the variables that say who it is.

        Raises `KeyError` for a user that does not exist or may not be taken on.
        """
        if user is None:
            if self.uid is not None:
                os.setgroups([])
                os.setresgid(self.uid, self.uid, self.uid)
                os.setresuid(self.uid, self.uid, self.uid)
            return {}
        import pwd

        entry = pwd.getpwnam(user)
        if entry.pw_uid == 0 and not self.root:
            raise KeyError(user)
        os.initgroups(user, entry.pw_gid)
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
        return {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user}

    def enter(self, user: str | None = None) -> dict[str, str]:
        """Become the agent. Called once, in the child; what fails here must end the child."""
        try:
            score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            os.write(score, b"800")
            os.close(score)
        except OSError:
            pass  # rootless: the supervisor is outside the limit anyway
        for limit, value in self.rlimits:
            lower(limit, value)
        variables = self.become(user)
        if self.drop:
            drop_capabilities()
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if self.ruleset is not None:
            syscall(SYS_LANDLOCK_RESTRICT, ctypes.c_int(self.ruleset), ctypes.c_uint32(0))
        if self.seccomp is not None:
            fd = load_seccomp(self.seccomp, listen=self.announce is not None)
            if self.announce is not None and fd is not None:
                send_descriptor(self.announce, fd)
                os.close(fd)
        os.umask(0o022)
        return variables


class CannotStart(Exception):  # noqa: N818 - a word for the host, not a failure of this program
    """A program that cannot be started; `code` is the exit code a shell would give: 127 or 126."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def enter_directory(path: str) -> None:
    """Change the working directory; raise `CannotStart` when that is not possible."""
    try:
        os.chdir(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotStart(f"cannot enter {path}: {reason}", 126) from None


def try_places(name: str, env: dict[str, str], start: Callable[[str], int]) -> int:
    """Return `start(place)` of the first place on PATH where it works; raise `CannotStart`.

    Places where there is nothing to execute are left out, so that `start` is not tried in vain.
    """
    places = [name]
    if "/" not in name:
        places = [os.path.join(p or ".", name) for p in env.get("PATH", os.defpath).split(":")]
    reason, code = "command not found", 127
    for place in places:
        if not os.access(place, os.X_OK):
            if os.path.lexists(place):
                missing = not os.path.exists(place)
                reason, code = os.strerror(errno.ENOENT if missing else errno.EACCES), 126
        elif os.path.isdir(place):
            reason, code = os.strerror(errno.EISDIR), 126
        else:
            try:
                return start(place)
            except BlockingIOError:
                raise  # the process limit: no other place helps
            except OSError as error:
                reason, code = str(error.strerror), 126
    raise CannotStart(f"{name}: {reason}", code)


def execute(argv: list[str], env: dict[str, str], cwd: str) -> NoReturn:
    """Replace this forked child by a program; exit with the reason on its standard error."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        enter_directory(cwd)
        try_places(argv[0], env, lambda place: os.execve(place, argv, env))  # noqa: S606 - no shell is the point
    except CannotStart as error:
        os.write(2, f"agentbench-sandbox: {error}\n".encode("utf-8", "replace"))
        os._exit(error.code)
    os._exit(126)


def stay_private() -> None:
    """Close stray descriptors and forbid other processes of the same user to look inside."""
    os.closerange(3, 1 << 16)
    prctl(PR_SET_DUMPABLE, 0)
    sys.setrecursionlimit(2000)
    gc.disable()  # a collection in a forked child would copy every page it looks at
