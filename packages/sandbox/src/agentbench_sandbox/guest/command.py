"""Run one command for the host: its streams, its deadline, its whole process tree."""

from __future__ import annotations

import collections
import errno
import os
import select
import signal
import time

from agentbench_sandbox.guest.confine import execute
from agentbench_sandbox.guest.processes import (
    descendants,
    kill_tree,
    send_signal,
)
from agentbench_sandbox.guest.wire import CHUNK, WINDOW

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from agentbench_sandbox.guest.leader import Setting
    from agentbench_sandbox.guest.wire import Header, Link

QUIET_S = 0.05
"""A command whose leader is gone has said everything once its pipes are silent this long."""
MAX_QUIET_S = 0.25
"""What it left running may keep talking; the result does not wait longer than this."""


class Capture:
    """Keep the first and the last half of `limit` bytes of a stream, and count all of it."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._head = bytearray()
        self._room = limit - limit // 2
        self._tail_limit = limit // 2
        self._tail: collections.deque[bytes] = collections.deque()
        self._tail_size = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        if self._room:
            self._head += data[: self._room]
            taken = min(len(data), self._room)
            self._room -= taken
            data = data[taken:]
        if data:
            self._tail.append(data)
            self._tail_size += len(data)
            while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_limit:
                self._tail_size -= len(self._tail.popleft())

    def parts(self) -> tuple[bytes, bytes]:
        """Return (head, tail): what was kept of the start and of the end."""
        tail = b"".join(self._tail)
        return bytes(self._head), tail[max(0, len(tail) - self._tail_limit) :]


def widen(fd: int) -> None:
    """Ask for a 1 MiB pipe: fewer wake-ups when a program floods it."""
    try:
        import fcntl

        fcntl.fcntl(fd, 1031, 1 << 20)  # F_SETPIPE_SZ
    except OSError:
        pass


def fork_patiently(patience_s: float = 1.0) -> int | None:
    """Fork; wait a little when the process limit is hit. Returns None when it stays hit."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return os.fork()
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.01)


class Command:
    """One command under way. `run` returns the header and body of its last frame."""

    def __init__(self, link: Link, request: Header, body: bytes, setting: Setting) -> None:
        self.link = link
        self.request = request
        self.setting = setting
        self.children = setting.children()
        self.streaming = bool(request.get("stream"))
        self.credit = WINDOW
        self.captures = {1: Capture(request["output"]), 2: Capture(request["output"])}
        self.pipes: dict[int, int] = {}
        self.stdin: int | None = None
        self.unwritten = collections.deque([body] if body else [])
        self.unwritten_closes = not request.get("more")
        self.timed_out = self.cancelled = False
        self.crowded = False
        self.limit: str | None = None

    def start(self) -> int | None:
        """Fork and exec the program; return its process id or None when the limit forbids it."""
        near: list[int] = []
        if self.unwritten or not self.unwritten_closes:
            child_in, self.stdin = os.pipe()
            os.set_blocking(self.stdin, False)
        else:
            child_in = os.open("/dev/null", os.O_RDONLY)
        near.append(child_in)
        for number in (1, 2):
            mine, theirs = os.pipe()
            os.set_blocking(mine, False)
            widen(mine)
            self.pipes[mine] = number
            near.append(theirs)
        pid = fork_patiently()
        if pid == 0:
            try:
                os.setsid()
                for number, fd in enumerate(near):
                    os.dup2(fd, number)
                self.setting.confinement.enter()
                env = {**self.setting.env, **self.request.get("env", {})}
                execute(self.request["argv"], env, self.request.get("cwd") or self.setting.workdir)
            except BaseException as error:  # noqa: BLE001 - the child must not return into the loop
                os.write(2, f"agentbench-sandbox: cannot start: {error}\n".encode())
            finally:
                os._exit(126)
        for fd in near:
            os.close(fd)
        return pid

    def close_stdin(self) -> None:
        """Close the program's standard input and forget what was not written."""
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None
        self.forget_stdin()

    def forget_stdin(self) -> None:
        """Drop input nobody will read, so that the host does not wait to send the rest."""
        dropped = sum(len(chunk) for chunk in self.unwritten)
        self.unwritten.clear()
        if dropped:
            self.link.send({"id": self.request["id"], "op": "ack", "n": dropped})

    def write_stdin(self) -> None:
        """Write what the pipe takes; tell the host how much is gone."""
        assert self.stdin is not None  # noqa: S101 - for the type checker
        try:
            written = os.write(self.stdin, self.unwritten[0])
        except BlockingIOError:
            return
        except OSError:
            self.close_stdin()
            return
        chunk = self.unwritten.popleft()
        if written < len(chunk):
            self.unwritten.appendleft(chunk[written:])
        if not self.unwritten_closes:
            self.link.send({"id": self.request["id"], "op": "ack", "n": written})

    def read_pipe(self, fd: int) -> None:
        """Read once from a stream of the program."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            del self.pipes[fd]
            os.close(fd)
            return
        number = self.pipes[fd]
        if self.streaming:
            self.captures[number].total += len(data)
            self.credit -= len(data)
            self.link.send({"id": self.request["id"], "op": "out", "fd": number}, data)
        else:
            self.captures[number].add(data)

    def listen(self) -> None:
        """Take what the host or the supervisor says about this command."""
        header, body = self.link.receive()
        op = header["op"]
        if op == "stdin":
            if body and self.stdin is not None:
                self.unwritten.append(body)
            elif body:
                self.link.send({"id": self.request["id"], "op": "ack", "n": len(body)})
            self.unwritten_closes = self.unwritten_closes or bool(header.get("eof"))
        elif op == "credit":
            self.credit += header["n"]
        elif op == "kill":
            self.cancelled = True
        elif op == "limit":
            self.limit = header["which"]
        elif op == "crowded":
            self.crowded = True

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for something to happen, at most `timeout_s`; return whether anything did."""
        poller = select.poll()
        poller.register(self.link.fd, select.POLLIN)
        poller.register(self.setting.wakeup, select.POLLIN)
        if not self.streaming or self.credit > 0:
            for fd in self.pipes:
                poller.register(fd, select.POLLIN)
        if self.stdin is not None and self.unwritten:
            poller.register(self.stdin, select.POLLOUT)
        events = poller.poll(None if timeout_s is None else max(0, timeout_s) * 1000 + 0.5)
        busy = False
        for fd, _ in events:
            if fd == self.link.fd:
                self.listen()
            elif fd == self.setting.wakeup:
                os.read(fd, 4096)
            elif fd == self.stdin:
                self.write_stdin()
            elif fd in self.pipes:
                self.read_pipe(fd)
                busy = True
        if self.stdin is not None and not self.unwritten and self.unwritten_closes:
            self.close_stdin()
        return busy

    def drain(self) -> None:
        """Read what is already in the pipes, without waiting for more."""
        while self.pipes and self.wait(0):
            pass

    def follow(self, pid: int, deadline: float) -> bool:
        """Wait until the program is gone and silent; return False when it must be ended."""
        gone_at = quiet_at = 0.0
        while True:
            left = self.children.reap()
            now = time.monotonic()
            if self.cancelled or self.limit:
                return False
            if pid not in self.children.status:
                if now >= deadline:
                    self.timed_out = True
                    return False
                self.wait(deadline - now)
                continue
            gone_at = gone_at or now
            if self.streaming and self.credit <= 0:
                quiet_at = 0.0  # there may be more to say once the host has room
            elif not quiet_at:
                quiet_at = now + QUIET_S
            if not self.pipes or (quiet_at and now >= quiet_at):
                return True
            if left and now >= gone_at + MAX_QUIET_S and quiet_at:
                return True  # what it left in the background goes on and on
            if self.wait(QUIET_S):
                quiet_at = 0.0

    def end(self) -> None:
        """Ask the whole tree to go, wait the grace period, then kill what is left."""
        me = os.getpid()
        if not self.limit:
            for victim in descendants(me):
                send_signal(victim, signal.SIGTERM)
                send_signal(victim, signal.SIGCONT)
            deadline = time.monotonic() + self.setting.grace_s
            while self.children.reap() and time.monotonic() < deadline:
                self.wait(min(0.05, deadline - time.monotonic()))
        kill_tree(me, self.children)
        self.drain()

    def run(self) -> tuple[Header, bytes]:
        """Run the command to its end; return (header, body) of the frame that reports it."""
        started = time.monotonic()
        setting = self.setting
        oom_before, refused_before = setting.oom_kills(), setting.pids_refused()
        pid = self.start()
        if pid is None:
            self.limit = "pids"
            self.captures[2].add(
                b"agentbench-sandbox: cannot start: the process limit is reached\n"
            )
        elif not self.follow(pid, started + self.request["timeout"]):
            self.end()
        if setting.oom_kills() > oom_before:
            self.limit = "memory"
        elif self.crowded or setting.pids_refused() > refused_before:
            self.limit = self.limit or "pids"
        return self.report(pid, time.monotonic() - started)

    def report(self, pid: int | None, wall_s: float) -> tuple[Header, bytes]:
        """Describe what happened."""
        self.close_stdin()
        status = None if pid is None else self.children.status.pop(pid, None)
        if status is None:
            code, number = (126, None) if pid is None else (-signal.SIGKILL, int(signal.SIGKILL))
        elif os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            code = -number
        else:
            code, number = os.WEXITSTATUS(status), None
        background = len(descendants(os.getpid())) if self.children.reap() else 0
        if background > self.setting.pids_limit - 8:
            self.limit = self.limit or "pids"
        parts: list[bytes] = []
        sizes: list[int] = []
        for stream in (1, 2):
            for part in self.captures[stream].parts():
                parts.append(part)
                sizes.append(len(part))
        header = {
            "id": self.request["id"],
            "op": "end",
            "exit_code": code,
            "signal": number,
            "timed_out": self.timed_out,
            "limit": self.limit,
            "wall_s": wall_s,
            "cpu_s": self.children.cpu_s,
            "peak_kib": self.children.peak_kib,
            "background": background,
            "totals": [self.captures[1].total, self.captures[2].total],
            "sizes": sizes,
        }
        return header, b"".join(parts)

    def keep_background(self) -> None:
        """Stay with what the command left running: swallow its output, reap it, end with it."""
        while self.children.reap():
            self.streaming = False
            self.captures = {1: Capture(0), 2: Capture(0)}
            self.wait(None)
            if self.cancelled or self.limit:
                kill_tree(os.getpid(), self.children)
        for fd in self.pipes:
            os.close(fd)
