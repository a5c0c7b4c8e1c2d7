"""A limit on GPU memory, which neither Docker nor the kernel keeps: watch it and stop the run.

The device's use is read from `nvidia-smi` twice a second while a command runs, less what was in use
before. That is right for one run at a time on a device; what others begin meanwhile is counted too.
Well-behaved programs are told the limit as `AGENTBENCH_GPU_MEMORY_MIB`.
"""

import shutil
import subprocess
import threading
from types import TracebackType
from typing import Self

_EVERY_S = 0.5
_QUERY = ("--query-gpu=memory.used", "--format=csv,noheader,nounits")
VARIABLE = "AGENTBENCH_GPU_MEMORY_MIB"


def used_mib() -> int | None:
    """Memory in use over all GPUs of this machine, in MiB; None where that cannot be told."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [program, *_QUERY], capture_output=True, text=True, timeout=10, check=True
        )
        return sum(int(line) for line in done.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


class GpuMemoryWatch:
    """Sets `exceeded` when more than `limit_mib` are in use beyond what was at the start.

    Attributes:
        exceeded: Hand it to `Sandbox.exec` as `cancel`.
        peak_mib: The most that was seen; None where nothing can be seen.
    """

    def __init__(self, limit_mib: int | None) -> None:
        self.exceeded = threading.Event()
        self.peak_mib: int | None = None
        self._limit = limit_mib
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        before = None if self._limit is None else used_mib()
        if before is not None:
            self.peak_mib = 0
            self._thread = threading.Thread(target=self._watch, args=(before,), daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, before: int) -> None:
        while not self._done.wait(_EVERY_S):
            now = used_mib()
            if now is None:
                continue
            self.peak_mib = max(self.peak_mib or 0, now - before)
            if self._limit is not None and self.peak_mib > self._limit:
                self.exceeded.set()
                return
