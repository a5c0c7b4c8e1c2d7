"""A deputy: a child of a leader that became the agent once and starts its programs from then on.

Forking a Python process costs milliseconds of page faults; a deputy starts programs with
posix_spawn, which copies nothing. To the kernel it is the agent: what the agent may not touch, it
may not either, so that it also reads and writes the agent's files.

The agent's processes can stop and kill it, because they have its user, and can do no more: it
cannot be traced, and when its limits, priority or processors were tampered with it resigns. The
leader wakes one that was stopped and replaces one that is gone.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import struct
import time

from agentbench_sandbox.guest.confine import (
    PR_SET_DUMPABLE,
    CannotStart,
    enter_directory,
    prctl,
    try_places,
)
from agentbench_sandbox.guest.processes import fork_patiently, send_signal
from agentbench_sandbox.guest.transfer import Transfer
from agentbench_sandbox.guest.wire import LENGTHS, Link, pack, read_exactly

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from typing import Any

    from agentbench_sandbox.guest.leader import Setting
    from agentbench_sandbox.guest.wire import Header

REPLY = struct.Struct("=qidq")
"""Process id, wait status, CPU seconds, peak KiB."""
INT = struct.Struct("=i")
RESIGNED, CROWDED, NOBODY = -1, -2, -3
"""In place of a process id: tampered with; no room below the process limit; no such user."""
PATIENCE_S = 1.0
HAND_OVER_S = 5.0
"""A deputy that does not take a request for this long is given up."""
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
RESET = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores and programs expect at their default."""


def condition() -> tuple[Any, ...]:
    """Return what another process of the same user could change about this one."""
    return (
        [resource.getrlimit(limit) for limit in LIMITS],
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getscheduler(0),
        os.sched_getaffinity(0),
    )


class Deputy:
    """The leader's end of it."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self.end = end
        self.fd = end.fileno()

    def hand_over(self, request: Header, body: bytes = b"", fds: list[int] | None = None) -> bool:
        """Pass a request, and descriptors with it; return False when the deputy is gone."""
        self.wake()
        data = pack(request, body)
        try:
            sent = socket.send_fds(self.end, [data], fds) if fds else 0
            self.end.sendall(memoryview(data)[sent:])
        except OSError:
            return False
        return True

    def reply(self) -> tuple[int, int, float, int] | None:
        """Read one reply; None when the deputy is gone."""
        try:
            return REPLY.unpack(read_exactly(self.fd, REPLY.size))
        except (OSError, EOFError):
            return None

    def answer(self, wakeup: int) -> tuple[int, int, float, int] | None:
        """Wait for a reply and wake the deputy whenever it is stopped; None when it is gone."""
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        poller.register(wakeup, select.POLLIN)
        while True:
            for fd, _ in poller.poll():
                if fd == self.fd:
                    return self.reply()
                os.read(fd, 4096)
                self.wake()

    def wake(self) -> None:
        """Continue it in case one of the agent's processes has stopped it."""
        send_signal(self.pid, signal.SIGCONT)

    def dismiss(self) -> None:
        """End and reap it; what it started is a child of the leader then."""
        self.end.close()
        try:
            gone, _ = os.waitpid(self.pid, os.WNOHANG)
            if not gone:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass  # reaped already: its number may be another's by now


def appoint(link: Link, setting: Setting, user: str | None = None) -> Deputy | None:
    """Fork a deputy, which is the agent or another user; None at the process limit."""
    ours, theirs = socket.socketpair()
    pid = fork_patiently()
    if pid == 0:
        try:
            ours.close()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(setting.wakeup)
            try:
                setting.env = {**setting.env, **setting.confinement.enter(user)}
            except KeyError:
                os.write(theirs.fileno(), REPLY.pack(NOBODY, 0, 0.0, 0))
                return None
            prctl(PR_SET_DUMPABLE, 0)
            act(theirs, link, setting)
        finally:
            os._exit(0)
    theirs.close()
    if pid is None:
        ours.close()
        return None
    ours.settimeout(HAND_OVER_S)
    return Deputy(pid, ours)


def act(end: socket.socket, link: Link, setting: Setting) -> None:
    """Serve the leader: the deputy's whole life."""
    fd = end.fileno()
    normal = condition()
    while True:
        first, fds = receive_with_descriptors(end, LENGTHS.size)
        if not first:
            return
        first += read_exactly(fd, LENGTHS.size - len(first))
        head_size, body_size = LENGTHS.unpack(first)
        request = json.loads(read_exactly(fd, head_size))
        body = read_exactly(fd, body_size)
        if condition() != normal:
            os.write(fd, REPLY.pack(RESIGNED, 0, 0.0, 0))
            return
        if request["op"] == "exec":
            start_and_wait(fd, request, fds, setting)
        else:
            link.send(Transfer(link, request, bytes(body), setting).run())
            os.write(fd, REPLY.pack(0, 0, 0.0, 0))


def receive_with_descriptors(end: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """Read up to `size` bytes and up to three descriptors, which no program inherits.

    `socket.recv_fds` ignores its flags and would make them inheritable.
    """
    space = socket.CMSG_LEN(3 * INT.size)
    data, ancillary, _, _ = end.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    fds = [
        number
        for level, kind, packed in ancillary
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS
        for (number,) in INT.iter_unpack(packed[: len(packed) // INT.size * INT.size])
    ]
    return data, fds


def start_and_wait(fd: int, request: Header, fds: list[int], setting: Setting) -> None:
    """Start the program with `fds` as its streams, say so, and say how it ended."""
    env = {**setting.env, **request["env"]} if request.get("env") else setting.env
    argv = request["argv"]
    actions = [(os.POSIX_SPAWN_DUP2, near, number) for number, near in enumerate(fds)]

    deadline = time.monotonic() + PATIENCE_S

    def start(place: str) -> int:
        while True:
            try:
                return os.posix_spawn(
                    place, argv, env, file_actions=actions, setsid=True, setsigdef=RESET
                )
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    try:
        enter_directory(request.get("cwd") or setting.workdir)
        pid = try_places(argv[0], env, start)
    except BlockingIOError:
        for near in fds:
            os.close(near)
        os.write(fd, REPLY.pack(CROWDED, 0, 0.0, 0))
        return
    except CannotStart as error:
        os.write(fds[2], b"agentbench-sandbox: %s\n" % str(error).encode("utf-8", "replace"))
        for near in fds:
            os.close(near)
        os.write(fd, REPLY.pack(0, error.code << 8, 0.0, 0))
        return
    os.write(fd, REPLY.pack(pid, 0, 0.0, 0))
    for near in fds:
        os.close(near)
    # asleep without reaping: when this process is killed meanwhile, the leader gets the status
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    _, status, usage = os.wait4(pid, 0)
    cpu_s = usage.ru_utime + usage.ru_stime
    os.write(fd, REPLY.pack(pid, status, cpu_s, usage.ru_maxrss))
