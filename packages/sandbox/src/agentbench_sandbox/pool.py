"""Sandboxes opened ahead of time: taking one costs what a command costs."""

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from agentbench_sandbox.errors import SandboxClosedError, SandboxError
from agentbench_sandbox.sandbox import Sandbox


class SandboxPool:
    """Keeps `size` fresh sandboxes ready. Each is handed out once and never reused.

    Args:
        open_one: Opens a sandbox, for instance `lambda: open_sandbox("docker")`.
        size: How many are kept ready.

    Raises:
        SandboxError: The first sandbox could not be opened.
    """

    def __init__(self, open_one: Callable[[], Sandbox], size: int = 4) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self._open_one = open_one
        self._ready: queue.Queue[Sandbox | SandboxError] = queue.Queue(maxsize=size)
        self._ready.put(open_one())
        self._closed = threading.Event()
        self._filler = threading.Thread(target=self._fill, name="sandbox-pool", daemon=True)
        self._filler.start()

    def _fill(self) -> None:
        while not self._closed.is_set():
            try:
                fresh: Sandbox | SandboxError = self._open_one()
            except SandboxError as error:
                fresh = error
            while not self._closed.is_set():
                try:
                    self._ready.put(fresh, timeout=0.2)
                    break
                except queue.Full:
                    continue
            else:
                if not isinstance(fresh, SandboxError):
                    fresh.close()

    def take(self, timeout_s: float = 120.0) -> Sandbox:
        """Return a fresh sandbox; the caller closes it.

        Raises:
            SandboxError: Opening it failed.
            SandboxClosedError: The pool is closed, or none became ready in time.
        """
        if self._closed.is_set():
            raise SandboxClosedError("the pool is closed")
        try:
            fresh = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            raise SandboxClosedError(f"no sandbox became ready in {timeout_s:.0f} s") from None
        if isinstance(fresh, SandboxError):
            raise fresh
        return fresh

    def close(self) -> None:
        """Close the sandboxes that were not taken."""
        self._closed.set()
        self._filler.join()
        while not self._ready.empty():
            fresh = self._ready.get()
            if not isinstance(fresh, SandboxError):
                fresh.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
