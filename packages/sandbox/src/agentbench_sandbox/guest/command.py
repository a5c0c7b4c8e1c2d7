"""Run one command for the host: its streams, its deadline, its whole process tree."""

from __future__ import annotations

import collections
import os
import select
import signal
import time

from agentbench_sandbox.guest.capture import Capture, widen
from agentbench_sandbox.guest.deputy import CROWDED, NOBODY, RESIGNED, Deputy, appoint
from agentbench_sandbox.guest.processes import (
    Children,
    descendants,
    direct_children,
    kill_tree,
    send_signal,
)
from agentbench_sandbox.guest.watchdog import PIDS_NEAR
from agentbench_sandbox.guest.wire import CHUNK, WINDOW

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from agentbench_sandbox.guest.leader import Setting
    from agentbench_sandbox.guest.wire import Header, Link

QUIET_S = 0.05
"""A command whose leader is gone has said everything once its pipes are silent this long."""
MAX_QUIET_S = 0.25
"""What it left running may keep talking; the result does not wait longer than this."""
BACKGROUND_TICK_S = 0.25
"""How often what was left running is checked for having filled the process limit."""
ATTEMPTS = 3
"""How many deputies may resign before a command is given up."""
READS = 4
"""Reads of a stream per wait: a flood needs fewer waits."""
SMALL_PIPE = 64 << 10
LOST = signal.SIGKILL


class Command:
    """One command under way. `run` returns the header and body of its last frame."""

    def __init__(
        self, link: Link, request: Header, body: bytes, setting: Setting, deputy: Deputy | None
    ) -> None:
        self.link = link
        self.request = request
        self.setting = setting
        self.deputy = deputy
        self.attempts = 0
        self.children = Children()
        self.pid: int | None = None
        self.status: int | None = None
        self.streaming = bool(request.get("stream"))
        self.credit = WINDOW
        self.captures = {1: Capture(request["output"]), 2: Capture(request["output"])}
        self.pipes: dict[int, int] = {}
        self.far: list[int] = []
        self.stdin: int | None = None
        self.unwritten = collections.deque([body] if body else [])
        self.unwritten_closes = not request.get("more")
        self.timed_out = self.cancelled = False
        self.crowded = False
        self.limit: str | None = None

    # -- the program ----------------------------------------------------------------------------

    def plumb(self) -> None:
        """Make the program's streams."""
        if self.unwritten or not self.unwritten_closes:
            child_in, self.stdin = os.pipe()
            os.set_blocking(self.stdin, False)
        else:
            child_in = os.open("/dev/null", os.O_RDONLY)
        self.far.append(child_in)
        for number in (1, 2):
            mine, theirs = os.pipe()
            os.set_blocking(mine, False)
            self.pipes[mine] = number
            self.far.append(theirs)

    def unplumb(self) -> None:
        """Close the program's ends of its streams: it has them, or never will."""
        for fd in self.far:
            os.close(fd)
        self.far.clear()

    def delegate(self) -> None:
        """Hand the program to a deputy, to another one when the first is gone or resigns."""
        names = ("op", "argv", "env", "cwd")
        order = {name: self.request[name] for name in names if name in self.request}
        while self.attempts < ATTEMPTS:
            self.attempts += 1
            if self.deputy is None:
                self.deputy = appoint(self.link, self.setting, self.request.get("user"))
                if self.deputy is None:
                    self.refuse("the process limit is reached", limit="pids")
                    return
                self.children.exempt = self.deputy.pid
            if self.deputy.hand_over(order, fds=self.far):
                return
            self.lose_deputy()
        self.status = LOST
        self.unplumb()

    def refuse(self, reason: str, limit: str | None = None) -> None:
        """Note that the program cannot be started."""
        self.limit = limit
        self.captures[2].add(f"agentbench-sandbox: cannot start: {reason}\n".encode())
        self.status = 126 << 8
        self.unplumb()

    def lose_deputy(self) -> None:
        """Forget a deputy that is gone; the program, if it has one, is our child now."""
        if self.deputy is not None:
            self.deputy.dismiss()
            self.deputy = None

    def hear_deputy(self) -> None:
        """Take what the deputy says: it has started the program, or the program has ended."""
        assert self.deputy is not None  # noqa: S101 - for the type checker
        reply = self.deputy.reply()
        if reply is None:
            self.unplumb()
            self.lose_deputy()
            if self.pid is None:  # killed by the program before it could name it: our oldest child
                self.children.reap()
                pids = {*self.children.status, *direct_children(os.getpid())}
                self.pid = min(pids, default=None)
            return
        pid, status, cpu_s, peak_kib = reply
        if pid == RESIGNED:
            self.lose_deputy()
            self.delegate()
        elif pid == CROWDED:
            self.refuse("the process limit is reached", limit="pids")
        elif pid == NOBODY:
            self.refuse(f"no user {self.request['user']} that a command may run as")
        elif pid == 0 or self.pid is not None:
            self.unplumb()
            self.status = status
            self.children.note(pid, status, cpu_s, peak_kib)
        else:
            self.pid = pid
            self.unplumb()

    def ended(self) -> bool:
        """Whether the program is gone."""
        if self.status is None and self.deputy is None:
            left = self.children.reap()
            if self.pid in self.children.status:
                self.status = self.children.status[self.pid]
            elif not left or self.pid is None or not os.path.exists(f"/proc/{self.pid}"):
                self.status = LOST
        return self.status is not None

    def others(self) -> bool:
        """Whether anything but the deputy is left; reaps what is not."""
        if not self.children.reap():
            return False
        return any(pid != self.children.exempt for pid in direct_children(os.getpid()))

    # -- its streams ----------------------------------------------------------------------------

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
        """Read from a stream of the program: once when streaming, else a few times."""
        number = self.pipes[fd]
        for _ in range(1 if self.streaming else READS):
            try:
                data = os.read(fd, CHUNK)
            except BlockingIOError:
                return
            if not data:
                del self.pipes[fd]
                os.close(fd)
                return
            if len(data) == SMALL_PIPE:
                widen(fd)
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
        if self.deputy is not None:
            poller.register(self.deputy.fd, select.POLLIN)
        events = poller.poll(None if timeout_s is None else max(0, timeout_s) * 1000 + 0.5)
        busy = False
        for fd, _ in events:
            busy = self.attend(fd) or busy
        if self.stdin is not None and not self.unwritten and self.unwritten_closes:
            self.close_stdin()
        return busy

    def attend(self, fd: int) -> bool:
        """Deal with a descriptor that is ready; return whether the program said something."""
        if fd in self.pipes:
            self.read_pipe(fd)
            return True
        if fd == self.link.fd:
            self.listen()
        elif fd == self.stdin:
            self.write_stdin()
        elif fd == self.setting.wakeup:
            os.read(fd, 4096)
            self.children.reap()
            if self.deputy is not None:
                self.deputy.wake()
        elif self.deputy is not None and fd == self.deputy.fd:
            self.hear_deputy()
        return False

    def drain(self) -> None:
        """Read what is already in the pipes, without waiting for more."""
        while self.pipes and self.wait(0):
            pass

    # -- its course -----------------------------------------------------------------------------

    def follow(self, deadline: float) -> bool:
        """Wait until the program is gone and silent; return False when it must be ended."""
        gone_at = quiet_at = 0.0
        while True:
            now = time.monotonic()
            if self.cancelled or self.limit:
                return False
            if not self.ended():
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
            if quiet_at and now >= gone_at + MAX_QUIET_S and self.others():
                return True  # what it left in the background goes on and on
            if self.wait(QUIET_S):
                quiet_at = 0.0

    def end(self) -> None:
        """Ask the whole tree to go, wait the grace period, then kill what is left."""
        me = os.getpid()
        if not self.limit:
            for victim in descendants(me):
                if victim != self.children.exempt:
                    send_signal(victim, signal.SIGTERM)
                    send_signal(victim, signal.SIGCONT)
            deadline = time.monotonic() + self.setting.grace_s
            while not self.ended() or self.others():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self.wait(min(0.05, left))
        kill_tree(me, self.children)
        self.drain()
        while self.deputy is not None:
            self.hear_deputy()  # what it said before it died, and that it did

    def run(self) -> tuple[Header, bytes]:
        """Run the command to its end; return (header, body) of the frame that reports it."""
        started = time.monotonic()
        setting = self.setting
        oom_before, refused_before = setting.oom_kills(), setting.pids_refused()
        if self.deputy is not None:
            self.children.exempt = self.deputy.pid
        self.plumb()
        self.delegate()
        if not self.follow(started + self.request["timeout"]):
            self.end()
        if setting.oom_kills() > oom_before:
            self.limit = "memory"
        elif self.crowded or setting.pids_refused() > refused_before:
            self.limit = self.limit or "pids"
        return self.report(time.monotonic() - started)

    def background(self) -> int:
        """Return how many processes the command has left running.

        A bomb is not left running, and nothing is if the host asked for that (`sweep`).
        """
        if not self.others():
            return 0
        me = os.getpid()
        count = sum(pid != self.children.exempt for pid in descendants(me))
        bomb = count > self.setting.pids_limit - PIDS_NEAR
        if bomb or self.request.get("sweep"):
            self.limit = self.limit or ("pids" if bomb else None)
            kill_tree(me, self.children)
            self.lose_deputy()
            return 0
        return count

    def report(self, wall_s: float) -> tuple[Header, bytes]:
        """Describe what happened."""
        self.close_stdin()
        background = self.background()
        self.ended()
        status = LOST if self.status is None else self.status
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            code = -number
        else:
            code, number = os.WEXITSTATUS(status), None
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
        """Stay with what the command left running: swallow its output, reap it, end with it.

        When it multiplies up to the process limit, where no other command could start any more, it
        is ended.
        """
        me = os.getpid()
        self.lose_deputy()
        while self.children.reap():
            self.children.status.clear()
            self.streaming = False
            self.captures = {1: Capture(0), 2: Capture(0)}
            self.wait(BACKGROUND_TICK_S)
            crowd = len(descendants(me)) > self.setting.pids_limit - PIDS_NEAR
            if self.cancelled or self.limit or self.crowded or crowd:
                kill_tree(me, self.children)
