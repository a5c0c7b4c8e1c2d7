"""Persistent Python sessions, seen from the leader that owns them."""

from __future__ import annotations

import os
import select
import signal
import socket
import time

from agentbench_sandbox.guest.capture import Capture, widen
from agentbench_sandbox.guest.confine import execute
from agentbench_sandbox.guest.processes import (
    Children,
    descendants,
    fork_patiently,
    kill_tree,
    memory_kib,
    send_signal,
)
from agentbench_sandbox.guest.wire import CHUNK, Frames, WireError, pack

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from agentbench_sandbox.guest.leader import Setting
    from agentbench_sandbox.guest.wire import Header, Link

START_S = 60.0
MAX_TEXT = 64 << 10
"""Bytes of a value, a message or a traceback. What a kernel says is the agent's word."""


def clipped(text: object, limit: int = MAX_TEXT) -> str | None:
    """Return a string that fits a frame whatever its characters; None for what is not a string."""
    if not isinstance(text, str):
        return None
    return text.encode("utf-8", "backslashreplace")[:limit].decode("utf-8", "ignore")


def described(error: object) -> Header | None:
    """Return an error as the host expects it."""
    if not isinstance(error, dict):
        return None
    names = ("name", "message", "traceback")
    return {name: clipped(error.get(name), 200 if name == "name" else MAX_TEXT) for name in names}


class Kernel:
    """One process that runs cells, under the number of the host's conversation with it."""

    def __init__(self, number: int, output: int) -> None:
        self.number = number
        self.output = output
        self.pid = -1
        self.control: socket.socket | None = None
        self.frames = Frames()
        self.pipes: dict[int, int] = {}
        self.captures = (Capture(output), Capture(output))
        self.ready = False
        self.forking: Kernel | None = None
        self.cell: Header | None = None
        self.started = 0.0
        self.deadline = float("inf")
        self.interrupted = False
        self.limit: str | None = None
        self.oom_before = 0

    def close(self) -> None:
        """Close this side's descriptors."""
        for fd in self.pipes:
            os.close(fd)
        self.pipes.clear()
        if self.control is not None:
            self.control.close()
            self.control = None

    def plumb(self) -> list[int]:
        """Make fresh descriptors; return the other side's: control, stdout, stderr."""
        self.close()
        self.frames = Frames()
        self.ready = False
        self.control, theirs = socket.socketpair()
        far = [theirs.detach()]
        for number in (0, 1):
            mine, other = os.pipe()
            os.set_blocking(mine, False)
            widen(mine)
            self.pipes[mine] = number
            far.append(other)
        return far

    def read(self, fd: int) -> bool:
        """Read once from an output pipe; return whether there was something."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        if data:
            self.captures[self.pipes[fd]].add(data)
            return True
        del self.pipes[fd]
        os.close(fd)
        return False

    def drain(self) -> None:
        """Read all that is in the pipes now."""
        for fd in list(self.pipes):
            for _ in range(4096):
                if not self.read(fd):
                    break


class Session:
    """A kernel and its forks: one family, one leader."""

    def __init__(self, link: Link, request: Header, setting: Setting) -> None:
        self.link = link
        self.setting = setting
        self.children = Children()
        self.kernels: dict[int, Kernel] = {}
        first = Kernel(request["id"], request["output"])
        self.kernels[first.number] = first
        self.start(first)

    def start(self, kernel: Kernel) -> None:
        """Start a fresh process for a kernel."""
        far = kernel.plumb()
        pid = fork_patiently()
        if pid is None:
            for fd in far:
                os.close(fd)
            self.link.send({"id": kernel.number, "op": "end", "refused": "process limit reached"})
            return
        if pid == 0:
            try:
                os.setsid()
                null = os.open("/dev/null", os.O_RDONLY)
                moved = [os.dup(fd) for fd in (null, far[1], far[2], far[0])]
                for number, fd in enumerate(moved[:3]):
                    os.dup2(fd, number)
                self.setting.confinement.enter()
                os.dup2(moved[3], 3)  # only now: this may have been the Landlock ruleset's number
                argv = [self.setting.python, "-u", "-c", self.setting.cell_program]
                execute(argv, self.setting.env, self.setting.workdir)
            finally:
                os._exit(126)
        kernel.pid = pid
        kernel.deadline = time.monotonic() + START_S
        for fd in far:
            os.close(fd)

    # -- what the host asks ---------------------------------------------------------------------

    def listen(self) -> None:
        """Act on one frame of the host's."""
        header, body = self.link.receive()
        op = header["op"]
        if op == "limit":
            largest = max(self.kernels.values(), key=lambda found: memory_kib([found.pid]))
            largest.limit = header["which"]
            self.lose(largest)
            return
        kernel = self.kernels.get(header["id"])
        if kernel is None:
            return
        if op == "cell":
            self.run_cell(kernel, header, body)
        elif op == "fork":
            self.fork(kernel, header["into"])
        elif op == "restart":
            self.lose(kernel)
        elif op == "kill":
            self.drop(kernel)

    def run_cell(self, kernel: Kernel, header: Header, body: bytes) -> None:
        """Hand a cell to its kernel."""
        kernel.cell = header
        kernel.started = time.monotonic()
        kernel.deadline = kernel.started + header["timeout"]
        kernel.interrupted = False
        kernel.limit = None
        kernel.oom_before = self.setting.oom_kills()
        kernel.captures = (Capture(kernel.output), Capture(kernel.output))
        try:
            assert kernel.control is not None  # noqa: S101 - a kernel in the table has one
            kernel.control.sendall(pack({"op": "cell"}, body))
        except OSError:
            self.lose(kernel)

    def fork(self, kernel: Kernel, number: int) -> None:
        """Ask a kernel to copy itself."""
        copy = Kernel(number, kernel.output)
        far = copy.plumb()
        head = pack({"op": "fork"})
        try:
            assert kernel.control is not None  # noqa: S101
            socket.send_fds(kernel.control, [head], far)
        except OSError:
            self.link.send({"id": number, "op": "end", "refused": "the kernel cannot be copied"})
            copy.close()
            return
        finally:
            for fd in far:
                os.close(fd)
        kernel.forking = copy
        self.kernels[number] = copy
        copy.deadline = time.monotonic() + START_S

    def drop(self, kernel: Kernel) -> None:
        """End a kernel for good."""
        del self.kernels[kernel.number]
        self.end(kernel)
        self.link.send({"id": kernel.number, "op": "end"})

    # -- what kernels say -----------------------------------------------------------------------

    def answer(self, kernel: Kernel) -> None:
        """Act on what a kernel sends over its control socket."""
        assert kernel.control is not None  # noqa: S101
        try:
            data = kernel.control.recv(CHUNK)
            frames = kernel.frames.feed(data)
        except (OSError, WireError):
            data, frames = b"", []
        if not data:
            self.lose(kernel)  # the process may live, but nobody can talk to it any more
            return
        for header, _ in frames:
            if "pid" in header:
                if not kernel.ready:  # said once, or the host would have to remember it each time
                    kernel.ready = True
                    kernel.deadline = float("inf")
                    self.link.send({"id": kernel.number, "op": "started"})
            elif "forked" in header and kernel.forking is not None:
                if header["forked"] in descendants(os.getpid()):  # else the cell made it up
                    kernel.forking.pid = header["forked"]
                kernel.forking = None
            elif header.get("done") and kernel.cell is not None:
                kernel.drain()
                self.report(kernel, header, lost=False)

    def report(self, kernel: Kernel, outcome: Header, *, lost: bool) -> None:
        """Tell the host how a cell ended."""
        parts = [part for capture in kernel.captures for part in capture.parts()]
        body = memoryview(b"".join(parts))
        while len(body) > CHUNK:
            self.link.send({"id": kernel.number, "op": "part"}, body[:CHUNK])
            body = body[CHUNK:]
        header = {
            "id": kernel.number,
            "op": "cell",
            "value": clipped(outcome.get("value")),
            "error": described(outcome.get("error")),
            "timed_out": kernel.interrupted,
            "state_lost": lost,
            "limit": kernel.limit,
            "wall_s": time.monotonic() - kernel.started,
            "totals": [capture.total for capture in kernel.captures],
            "sizes": [len(part) for part in parts],
        }
        kernel.cell = None
        kernel.deadline = float("inf")
        self.link.send(header, body)

    def end(self, kernel: Kernel) -> str:
        """End a kernel's processes; return how its own ended."""
        if kernel.pid > 0 and kernel.pid not in self.children.status:
            kill_tree(kernel.pid, self.children)
        kernel.drain()
        kernel.close()
        pid, kernel.pid = kernel.pid, -1
        self.kill_detached()
        status = self.children.status.pop(pid, None)
        if status is None:
            return "it could not be reached any more"
        if os.WIFSIGNALED(status):
            return f"it was ended by signal {os.WTERMSIG(status)}"
        return f"it exited with code {os.WEXITSTATUS(status)}"

    def kill_detached(self) -> None:
        """Kill what dead kernels had detached: all that is not below a kernel that lives."""
        live = {kernel.pid for kernel in self.kernels.values() if kernel.pid > 0}
        for pid in list(live):
            live.update(descendants(pid))
        for pid in descendants(os.getpid()):
            if pid not in live and not any(kernel.forking for kernel in self.kernels.values()):
                send_signal(pid, signal.SIGKILL)

    def lose(self, kernel: Kernel) -> None:
        """A kernel is gone or must go: report the cell, start it afresh."""
        was_ready = kernel.ready
        how = self.end(kernel)
        if not was_ready:
            self.kernels.pop(kernel.number, None)
            said = b"".join(kernel.captures[1].parts())[-500:].decode("utf-8", "replace").strip()
            reason = f"{how}: {said}" if said else how
            self.link.send({"id": kernel.number, "op": "end", "refused": reason})
            return
        if self.setting.oom_kills() > kernel.oom_before:
            kernel.limit = kernel.limit or "memory"
        if kernel.cell is not None:
            reason = {"name": "KernelDied", "message": how, "traceback": ""}
            self.report(kernel, {"error": reason}, lost=True)
        self.start(kernel)

    # -- the loop -------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Interrupt cells that are over time; end those that do not listen."""
        for kernel in list(self.kernels.values()):
            if now < kernel.deadline:
                continue
            if kernel.cell is None or kernel.interrupted:
                self.lose(kernel)
                continue
            kernel.interrupted = True
            kernel.deadline = now + self.setting.grace_s
            if kernel.pid not in descendants(os.getpid()):
                continue
            try:
                os.killpg(kernel.pid, signal.SIGINT)
            except OSError:
                send_signal(kernel.pid, signal.SIGINT)

    def serve(self) -> None:
        """Serve until the last kernel of the family is dropped."""
        while self.kernels:
            poller = select.poll()
            poller.register(self.link.fd, select.POLLIN)
            poller.register(self.setting.wakeup, select.POLLIN)
            owners: dict[int, Kernel] = {}
            for kernel in self.kernels.values():
                if kernel.control is not None:
                    owners[kernel.control.fileno()] = kernel
                for fd in kernel.pipes:
                    owners[fd] = kernel
            for fd in owners:
                poller.register(fd, select.POLLIN)
            soonest = min(kernel.deadline for kernel in self.kernels.values())
            wait_s = min(3600.0, max(0.0, soonest - time.monotonic()))
            events = poller.poll(wait_s * 1000 + 0.5)
            for fd, _ in sorted(events, key=lambda found: found[0] in owners, reverse=True):
                self.attend(fd, owners)
            self.expire(time.monotonic())

    def attend(self, fd: int, owners: dict[int, Kernel]) -> None:
        """Deal with a descriptor that is ready."""
        if fd == self.link.fd:
            self.listen()
        elif fd == self.setting.wakeup:
            os.read(fd, 4096)
            self.children.reap()
            for kernel in list(self.kernels.values()):
                if kernel.pid in self.children.status:
                    self.lose(kernel)
        else:
            kernel = owners[fd]
            if fd in kernel.pipes:
                kernel.read(fd)
            elif kernel.control is not None and kernel.control.fileno() == fd:
                self.answer(kernel)
