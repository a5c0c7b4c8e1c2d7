"""Modes and owners of files under Landlock, which keeps contents in and attributes not.

The seccomp filter hands chmod(2), chown(2) and their kin to the supervisor. It finds the file
itself, changes it where the agent may write, and refuses the rest: without that, the agent could
open the files of the user it runs as to everybody, or lock that user out.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import stat
import struct

from agentbench_sandbox.guest.deputy import receive_with_descriptors

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from collections.abc import Sequence

NOTICE = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, process, flags; call, architecture, instruction, six arguments."""
ANSWER = struct.Struct("=QqiI")
"""struct seccomp_notif_resp: id, value, error, flags."""
RECEIVE, SEND, IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
PATH_LIMIT = 4096
UNCHANGED = 0xFFFFFFFF
NO_FOLLOW, EMPTY_PATH, HERE = 0x100, 0x1000, -100
EPERM, ENOENT, EBADF, ENAMETOOLONG, EOPNOTSUPP = 1, 2, 9, 36, 95

CALLS: dict[str, tuple[int, int]] = {
    "chmod": (90, -1),
    "chown": (92, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "lchown": (94, -1),
}
"""The calls that are handed over: numbers on x86_64 and aarch64, -1 where there is none."""


class Attributes:
    """Answers for every program that runs below `roots`.

    Args:
        roots: Where the agent may write.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self.roots = [os.path.realpath(root) for root in roots]
        self.incoming, self.outgoing = socket.socketpair()
        self.listeners: set[int] = set()
        column = 1 if os.uname().machine == "aarch64" else 0
        self.names = {numbers[column]: name for name, numbers in CALLS.items()}

    def wanted(self) -> dict[int, int]:
        """Return {descriptor: what to wait for}."""
        return dict.fromkeys((self.incoming.fileno(), *self.listeners), select.POLLIN)

    def close_all(self) -> None:
        """Close a leader's copies: only the end that new listeners are sent by is its business."""
        self.incoming.close()
        for fd in self.listeners:
            os.close(fd)

    def attend(self, fd: int, event: int) -> None:
        """Take a new listener, or answer a call."""
        if fd == self.incoming.fileno():
            _, fds = receive_with_descriptors(self.incoming, 1)
            self.listeners.update(fds)
            return
        if event & select.POLLIN and self.answer(fd):
            return
        self.listeners.discard(fd)  # the last of its programs has ended
        os.close(fd)

    def answer(self, fd: int) -> bool:
        """Answer one call; return False when nobody can call any more."""
        notice = bytearray(NOTICE.size)
        try:
            fcntl.ioctl(fd, RECEIVE, notice)
        except OSError as error:
            return error.errno == ENOENT  # the caller has been killed meanwhile
        number, pid, _, call, _, _, *arguments = NOTICE.unpack(notice)
        try:
            self.serve(self.names[call], pid, arguments, fd, number)
            error = 0
        except OSError as failure:
            error = failure.errno or EPERM
        try:
            fcntl.ioctl(fd, SEND, ANSWER.pack(number, 0, -error, 0))
        except OSError:
            pass  # interrupted: it calls again or is gone
        return True

    def serve(self, name: str, pid: int, arguments: list[int], fd: int, number: int) -> None:
        """Do what a call asks for; raise `OSError` for what it gets instead."""
        flags = 0
        if name in ("fchmod", "fchown"):
            place, path, values = signed(arguments[0]), "", arguments[1:3]
            flags = EMPTY_PATH
        elif name in ("chmod", "chown", "lchown"):
            place, path, values = HERE, read_path(pid, arguments[0]), arguments[1:3]
            flags = NO_FOLLOW if name == "lchown" else 0
        else:
            place, path = signed(arguments[0]), read_path(pid, arguments[1])
            values = arguments[2:4]
            flags = {"fchmodat": 0, "fchmodat2": arguments[3], "fchownat": arguments[4]}[name]
        if not path and not flags & EMPTY_PATH:
            raise OSError(ENOENT, "an empty path")
        target = find(pid, place, path, follow=not flags & NO_FOLLOW)
        try:
            fcntl.ioctl(fd, IS_VALID, struct.pack("=Q", number))  # it still is that process
            self.change(target, name, values)
        finally:
            os.close(target)

    def change(self, target: int, name: str, values: list[int]) -> None:
        """Change the file that is open, if the agent may write where it is."""
        where = os.readlink(f"/proc/self/fd/{target}")
        if not any(where == root or where.startswith(root + "/") for root in self.roots):
            raise OSError(EPERM, "not the agent's to change")
        status = os.fstat(target)
        if "chown" in name:
            user, group = (value & 0xFFFFFFFF for value in values)
            if user not in (status.st_uid, UNCHANGED) or group not in (status.st_gid, UNCHANGED):
                raise OSError(EPERM, "there is one user")
            return
        if stat.S_ISLNK(status.st_mode):
            raise OSError(EOPNOTSUPP, "links have no mode")
        os.chmod(f"/proc/self/fd/{target}", values[0] & 0o1777)


def signed(value: int) -> int:
    """Return an argument as the C int it is."""
    return ctypes.c_int(value & 0xFFFFFFFF).value


def read_path(pid: int, address: int) -> str:
    """Read a path from a process's memory."""
    data = b""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        while b"\0" not in data:
            if len(data) >= PATH_LIMIT:
                raise OSError(ENAMETOOLONG, "a path without an end")
            at = address + len(data)
            data += os.pread(memory.fileno(), min(256, 4096 - at % 4096), at)
    return os.fsdecode(data.partition(b"\0")[0])


def find(pid: int, place: int, path: str, *, follow: bool) -> int:
    """Open the file that a process means, without any right to it."""
    flags = os.O_PATH | os.O_CLOEXEC
    start = f"/proc/{pid}/cwd" if place == HERE else f"/proc/{pid}/fd/{place}"
    last = flags if follow else flags | os.O_NOFOLLOW
    for itself in ("/proc/self/", "/proc/thread-self/"):
        if path.startswith(itself):  # C libraries name an open file so
            path = f"/proc/{pid}/{path[len(itself) :]}"
    if path.startswith("/"):
        return os.open(path, last)
    try:
        directory = os.open(start, flags)
    except FileNotFoundError:
        raise OSError(EBADF, "no such descriptor") from None
    if not path:
        return directory
    try:
        return os.open(path, last, dir_fd=directory)
    finally:
        os.close(directory)
