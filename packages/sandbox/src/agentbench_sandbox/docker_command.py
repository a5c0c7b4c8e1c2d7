"""One command under `docker exec`: its streams, its deadline, its result."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from socket import SHUT_WR
from typing import Any, Literal

from agentbench_sandbox.anchor import Anchor, Count, Demultiplexer, end_everything
from agentbench_sandbox.errors import SandboxClosedError
from agentbench_sandbox.guest.capture import Capture
from agentbench_sandbox.request import Limits
from agentbench_sandbox.result import ExecResult, joined
from agentbench_sandbox.sandbox import OnOutput

NAME = "agentbench-sandbox"
"""What the starting shell calls itself, so that its complaints say where they come from."""
LOOK_S = 0.02
"""How often a silent command's deadline and cancellation are looked at."""
MAX_LOOK_S = 0.16
"""How often, after a while, Docker is asked whether a silent command has ended."""
QUIET_S = 0.25
"""A command that has ended, but left something running that holds its output open, has said
everything once that is silent for this long."""
DRAIN_S = 5.0
"""How long output may take from a command that has ended to here."""
MIB = 1 << 20


class Run:
    """One command under `docker exec`."""

    def __init__(
        self,
        api: Any,  # noqa: ANN401 - the SDK has no types
        anchor: Anchor,
        limits: Limits,
        on_output: OnOutput | None,
        cancel: threading.Event | None,
    ) -> None:
        self._api = api
        self._anchor = anchor
        self._limits = limits
        self._on_output = on_output
        self._cancel = cancel
        cap = max(2, int(limits.output_mib * MIB))
        self._captures = (Capture(cap), Capture(cap))
        self._frames = Demultiplexer()
        self._id = ""
        self._end: Any = None

    def start(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: str,
        variables: Mapping[str, str],
        stdin: bytes,
        timeout_s: float,
    ) -> ExecResult:
        """Run the command to its end, its deadline or its cancellation."""
        before = self._anchor.ask()
        began = time.monotonic()
        made = self._api.exec_create(
            container,
            list(command),
            stdin=bool(stdin),
            environment=dict(variables),
            user=user,
        )
        self._id = made["Id"]
        attached: Any = self._api.exec_start(self._id, socket=True)
        self._end = getattr(attached, "_sock", attached)
        writer = self._write(stdin)
        over = True
        try:
            over = self._listen(began + timeout_s)
        except BaseException:
            end_everything(self._anchor, 0)
            raise
        finally:
            with suppress(OSError):
                self._end.shutdown(2)
            self._end.close()
            attached.close()
            if writer is not None:
                writer.join()
        return self._result(before, timed_out=not over, wall_s=time.monotonic() - began)

    def _write(self, stdin: bytes) -> threading.Thread | None:
        """Send standard input beside the listening; it ends with the stream."""
        if not stdin:
            return None

        def send() -> None:
            with suppress(OSError):  # the command may have ended without reading it
                self._end.sendall(stdin)
                self._end.shutdown(SHUT_WR)

        writer = threading.Thread(target=send, name="agentbench-sandbox-stdin", daemon=True)
        writer.start()
        return writer

    def _listen(self, deadline: float) -> bool:
        """Take output until the command ends; return False when its time was up first."""
        last = time.monotonic()
        wait, look = LOOK_S, last + LOOK_S
        while True:
            data = self._receive()
            now = time.monotonic()
            if data == b"":
                return True
            if data is not None:
                last = now
            if now >= deadline or (self._cancel is not None and self._cancel.is_set()):
                if not end_everything(self._anchor, self._limits.grace_s):
                    raise SandboxClosedError("processes inside could not be ended")
                self._drain()
                return False
            if data is None and now >= look:
                if not self._running():
                    quiet = QUIET_S if self._anchor.ask().others else DRAIN_S
                    if now - last >= quiet:
                        return True
                wait = min(2 * wait, MAX_LOOK_S)
                look = now + wait

    def _drain(self) -> None:
        """Take what is still on its way after everything has ended."""
        until = time.monotonic() + DRAIN_S
        while time.monotonic() < until and self._receive() != b"":
            pass

    def _receive(self) -> bytes | None:
        """Take the next bytes; b"" at the end, None when nothing has come for a while."""
        self._end.settimeout(LOOK_S)
        try:
            data: bytes = self._end.recv(1 << 18)
        except TimeoutError:
            return None
        except OSError:
            return b""
        for number, part in self._frames.feed(data):
            self._take("stderr" if number == 2 else "stdout", part)
        return data

    def _take(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        self._captures[stream == "stderr"].add(data)
        if self._on_output is not None:
            self._end.settimeout(None)
            self._on_output(stream, data)

    def _running(self) -> bool:
        return bool(self._api.exec_inspect(self._id)["Running"])

    def _exit_code(self) -> int:
        until = time.monotonic() + 5
        while self._running() and time.monotonic() < until:
            time.sleep(0.005)
        code = self._api.exec_inspect(self._id)["ExitCode"]
        return -9 if code is None else int(code)

    def _result(self, before: Count, *, timed_out: bool, wall_s: float) -> ExecResult:
        code = self._exit_code()
        after = self._anchor.ask()
        kept = [capture.parts() for capture in self._captures]
        totals = [capture.total for capture in self._captures]
        said = [joined(*parts, total) for parts, total in zip(kept, totals, strict=True)]
        if code == 126 and said[0].startswith(b"OCI runtime exec failed"):
            text = said[0].decode("utf-8", "replace").strip()
            return not_started(text, pids_limit_hit=after.pids > before.pids)
        signal = code - 128 if 128 < code < 128 + 65 else None
        return ExecResult(
            exit_code=code if signal is None else -signal,
            signal=signal,
            stdout_bytes=said[0],
            stderr_bytes=said[1],
            stdout_total=totals[0],
            stderr_total=totals[1],
            truncated=[sum(map(len, parts)) for parts in kept] != totals,
            timed_out=timed_out,
            oom_killed=after.oom > before.oom,
            pids_limit_hit=after.pids > before.pids,
            wall_s=wall_s,
            background=max(0, after.others),
        )


def not_started(reason: str, *, pids_limit_hit: bool = False) -> ExecResult:
    """Return the result of a command that could not be started."""
    text = f"{NAME}: cannot start: {reason}\n".encode()
    return ExecResult(
        exit_code=126,
        stdout_bytes=b"",
        stderr_bytes=text,
        stdout_total=0,
        stderr_total=len(text),
        pids_limit_hit=pids_limit_hit,
    )
