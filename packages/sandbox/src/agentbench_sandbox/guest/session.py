"""Run cells of Python in one process that keeps its state. Stands alone: it is sent as a program.

Descriptor 3 is the control socket. It is moved out of reach of code that closes descriptors, and
standard output and error are put back before each cell, whatever the last one did to them.
"""

import ast
import fcntl
import json
import linecache
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from typing import Any

LENGTHS = struct.Struct(">II")
_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)
HIGH = min(65_600, HARD - 16)
MAX_TEXT = 64 << 10


def out_of_reach(fd: int) -> int:
    """Move a descriptor above the limit that `closerange` loops stop at."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(HIGH, 4096), HARD))
    os.close(fd)
    return moved


class Control:
    """Frames over the control socket."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=fd)

    def take(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                os._exit(0)
            data += part
        return data

    def receive(self) -> "tuple[dict[str, Any], bytes, list[int]]":
        """Wait for a frame; return it with the descriptors that came along."""
        first, descriptors, _, _ = socket.recv_fds(self.socket, LENGTHS.size, 3)
        if not first:
            os._exit(0)
        first += self.take(LENGTHS.size - len(first))
        head, body = LENGTHS.unpack(first)
        return json.loads(self.take(head)), self.take(body), descriptors

    def send(self, header: "dict[str, Any]") -> None:
        """Send a frame without a body."""
        head = json.dumps(header).encode()
        self.socket.sendall(LENGTHS.pack(len(head), 0) + head)


class Session:
    """The namespace, and what surrounds the cells."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
        self.streams = [out_of_reach(os.dup(1)), out_of_reach(os.dup(2))]
        self.count = 0
        self.running = False
        self.copies: list[int] = []

    def reap(self) -> None:
        """Collect copies of this process that have ended."""
        for pid in list(self.copies):
            try:
                gone, _ = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                gone = pid
            if gone:
                self.copies.remove(pid)

    def interrupted(self, _number: int, _frame: object) -> None:
        """Interrupt a cell, and nothing but a cell."""
        if self.running:
            raise KeyboardInterrupt

    def repair(self) -> None:
        """Put descriptors, streams and the interrupt handler back as a cell expects them."""
        for number, saved in enumerate(self.streams, start=1):
            os.dup2(saved, number)
        for name, number in (("stdout", 1), ("stderr", 2)):
            stream = getattr(sys, name)
            if getattr(stream, "closed", True) or stream is not getattr(sys, f"__{name}__"):
                fresh = open(  # noqa: SIM115 - it lives as long as the session
                    number, "w", encoding="utf-8", errors="replace", closefd=False
                )
                setattr(sys, name, fresh)
                setattr(sys, f"__{name}__", fresh)
        signal.signal(signal.SIGINT, self.interrupted)

    def flush(self) -> None:
        """Push out what the cell has printed."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # noqa: BLE001, S110 - the cell may have put anything there
                pass

    def run(self, code: str) -> "dict[str, Any]":
        """Run one cell; return its value and its error."""
        self.count += 1
        name = f"<cell {self.count}>"
        lines = code.splitlines(keepends=True)
        linecache.cache[name] = (len(code), None, lines, name)
        value = error = None
        try:
            self.running = True
            value = self.evaluate(code, name)
        except BaseException as caught:  # noqa: BLE001 - SystemExit and interrupts are results too
            self.running = False
            error = self.describe(caught)
        finally:
            self.running = False
        return {"value": value, "error": error}

    def evaluate(self, code: str, name: str) -> "str | None":
        """Execute the statements; return the text of a final expression's value."""
        tree = ast.parse(code, name)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, name, "exec"), self.namespace)  # noqa: S102 - this is the point
        if not isinstance(last, ast.Expr):
            return None
        expression = ast.Expression(last.value)
        value = eval(compile(expression, name, "eval"), self.namespace)  # noqa: S307 - likewise
        if value is None:
            return None
        self.namespace["_"] = value
        return repr(value)[:MAX_TEXT]

    def describe(self, error: BaseException) -> "dict[str, str]":
        """Return an error's name, message and traceback, this program's own frames left out."""
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file_name__:
            trace = trace.tb_next
        try:
            message = str(error)
        except Exception:  # noqa: BLE001 - the cell wrote this class
            message = "(its message cannot be shown)"
        try:
            text = "".join(traceback.format_exception(type(error), error, trace))
        except Exception:  # noqa: BLE001
            text = type(error).__name__
        return {
            "name": type(error).__name__,
            "message": message[:MAX_TEXT],
            "traceback": text[-MAX_TEXT:],
        }

    def fork(self, descriptors: "list[int]") -> None:
        """Copy this process; the copy answers on the new descriptors."""
        self.flush()
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            self.control.socket.close()
            control, out, err = descriptors
            self.control = Control(out_of_reach(control))
            for saved in self.streams:
                os.close(saved)
            self.streams = [out_of_reach(out), out_of_reach(err)]
            self.copies = []
            self.repair()
            self.control.send({"pid": os.getpid()})
            return
        self.copies.append(pid)
        for fd in descriptors:
            os.close(fd)
        self.control.send({"forked": pid})

    def serve(self) -> None:
        """Answer until the leader goes away."""
        self.control.send({"pid": os.getpid()})
        while True:
            header, body, descriptors = self.control.receive()
            self.reap()
            if header["op"] == "fork":
                self.fork(descriptors)
                continue
            self.repair()
            outcome = self.run(body.decode())
            self.flush()
            self.control.send({"done": True, **outcome})


__file_name__ = Session.run.__code__.co_filename
session = Session(Control(out_of_reach(3)))
sys.argv = [""]
sys.path.insert(0, "")
sys.modules["__main__"].__dict__.pop("__annotations__", None)
session.serve()
