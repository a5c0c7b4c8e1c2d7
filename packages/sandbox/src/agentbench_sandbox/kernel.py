"""A Python session inside a sandbox: state is kept from cell to cell."""

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agentbench_sandbox.channel import Channel, Conversation, Header
from agentbench_sandbox.errors import SandboxClosedError, SandboxError
from agentbench_sandbox.guest.wire import MAX_BODY
from agentbench_sandbox.reply import split
from agentbench_sandbox.request import Limits
from agentbench_sandbox.result import joined

SLACK_S = 30.0
START_S = 60.0
MIB = 1 << 20


class KernelError(SandboxError, RuntimeError):
    """A session could not be started or copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellError:
    """The exception a cell ended with.

    Attributes:
        name: Its class, or "KernelDied" when the process ended.
        message: Its text.
        traceback: The traceback, as Python prints it, from the cell's own first line.
    """

    name: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """What a cell did.

    Attributes:
        stdout: What it wrote to standard output (head and tail when it was too much).
        stderr: Likewise for standard error.
        value: `repr` of the value of its last expression, or None.
        error: The exception it ended with, or None.
        truncated: Whether output was left out.
        timed_out: It was interrupted at its deadline.
        state_lost: The process ended or had to be ended; the next cell starts from nothing.
        oom_killed: The memory limit was hit.
        wall_s: Seconds it took.
    """

    stdout: str
    stderr: str
    value: str | None
    error: CellError | None
    truncated: bool
    timed_out: bool
    state_lost: bool
    oom_killed: bool
    wall_s: float

    @property
    def ok(self) -> bool:
        """Whether it ran to its end."""
        return self.error is None and not self.timed_out


class Kernel:
    """A persistent Python session. `Sandbox.python()` makes it; it is a context manager.

    One thread at a time runs a cell in it; forks of it run independently.
    """

    def __init__(self, channel: Channel, limits: Limits, conversation: Conversation) -> None:
        self._channel = channel
        self._limits = limits
        self._conversation = conversation
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def start(cls, channel: Channel, limits: Limits) -> Self:
        """Start a session and wait until it is ready.

        Raises:
            KernelError: It did not start.
        """
        kernel = cls(channel, limits, channel.open())
        output = max(2, int(limits.output_mib * MIB))
        kernel._conversation.send({"op": "kernel", "output": output})
        kernel._wait_started()
        return kernel

    def _wait_started(self) -> None:
        answer, _ = self._receive(time.monotonic() + START_S + SLACK_S)
        if answer["op"] != "started":
            self._closed = True
            self._channel.finish(self._conversation)
            raise KernelError(f"the Python session did not start: {answer.get('refused')}")

    def _receive(self, deadline: float) -> tuple[Header, bytes]:
        try:
            return self._conversation.receive(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            self._channel.close("the supervisor stopped answering")
            raise SandboxClosedError("the supervisor stopped answering") from None

    def run(self, code: str, timeout_s: float = 60.0) -> CellResult:
        """Run a cell.

        Args:
            code: Python statements; the value of a final expression is returned.
            timeout_s: Seconds it may take. Then it gets a KeyboardInterrupt, and after
                `Limits.grace_s` the process is ended and started afresh (`state_lost`).

        Raises:
            ValueError: The code is longer than 1 MiB or the time-out is not positive.
            SandboxClosedError: The sandbox or the session is closed.
        """
        body = code.encode("utf-8", "surrogatepass")
        if len(body) > MAX_BODY:
            raise ValueError(f"a cell may have {MAX_BODY} bytes, this one has {len(body)}")
        if not 0 < timeout_s < 10**9:
            raise ValueError(f"timeout_s must be positive and finite, not {timeout_s!r}")
        deadline = time.monotonic() + timeout_s + self._limits.grace_s + SLACK_S
        with self._lock:
            if self._closed:
                raise SandboxClosedError("the Python session is closed")
            self._conversation.send({"op": "cell", "timeout": timeout_s}, body)
            parts: list[bytes] = []
            while True:
                answer, part = self._receive(deadline)
                parts.append(part)
                if answer["op"] == "cell":
                    break
                if answer["op"] == "end":
                    self._closed = True
                    raise SandboxClosedError("the Python session has ended")
            if answer["state_lost"]:
                self._wait_started()
        return _cell_result(answer, b"".join(parts))

    def restart(self) -> None:
        """Throw the state away and start afresh."""
        with self._lock:
            self._conversation.send({"op": "restart"})
            self._wait_started()

    def fork(self, n: int = 1) -> list["Kernel"]:
        """Return `n` copies of this session, state and all, by forking its process.

        Memory is shared until written to. Threads of the session do not exist in the copies.

        Raises:
            KernelError: A copy could not be made.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        copies: list[Kernel] = []
        with self._lock:
            for _ in range(n):
                copy = Kernel(self._channel, self._limits, self._channel.open())
                copy._conversation.send({"op": "join", "of": self._conversation.number})
                self._conversation.send({"op": "fork", "into": copy._conversation.number})
                copy._wait_started()
                copies.append(copy)
        return copies

    def close(self) -> None:
        """End the session. Closing twice is fine."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._channel.closed:
                self._conversation.send({"op": "kill"})
            self._channel.finish(self._conversation)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cell_result(answer: Header, body: bytes) -> CellResult:
    totals: list[int] = list(answer["totals"])
    pairs = split(body, answer["sizes"])
    out, err = (
        joined(*parts, total).decode("utf-8", "replace")
        for parts, total in zip(pairs, totals, strict=True)
    )
    error = answer["error"]
    return CellResult(
        stdout=out,
        stderr=err,
        value=answer["value"],
        error=None
        if error is None
        else CellError(
            name=str(error["name"]),
            message=str(error["message"]),
            traceback=str(error["traceback"]),
        ),
        truncated=sum(totals) != len(body),
        timed_out=bool(answer["timed_out"]),
        state_lost=bool(answer["state_lost"]),
        oom_killed=answer["limit"] == "memory",
        wall_s=float(answer["wall_s"]),
    )
