"""What a command did."""

from dataclasses import dataclass
from typing import Self

from agentbench_sandbox.errors import ExecFailedError, ExecTimeoutError


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """What a command did.

    Attributes:
        exit_code: Its exit code; minus the signal's number when a signal ended it. 127: no such
            program; 126: it could not be started.
        stdout_bytes: What was kept of its standard output: all, or head, a marker line and tail.
        stderr_bytes: Likewise for standard error.
        stdout_total: Bytes it wrote to standard output, kept or not.
        stderr_total: Bytes it wrote to standard error.
        truncated: Whether anything was left out.
        signal: The signal that ended it, or None.
        timed_out: It was still running at the deadline; its whole tree was ended.
        oom_killed: The memory limit was hit while it ran.
        pids_limit_hit: The process limit was hit while it ran.
        disk_limit_hit: A watchdog ended it for using too much disk (where disk is "watchdog";
            elsewhere the program itself sees ENOSPC).
        wall_s: Seconds from start to end.
        cpu_s: CPU seconds, user and system, of all its processes that have ended.
        peak_memory_mib: Largest resident set of any one of its processes.
        background: Processes it left running.
    """

    exit_code: int
    stdout_bytes: bytes
    stderr_bytes: bytes
    stdout_total: int
    stderr_total: int
    truncated: bool = False
    signal: int | None = None
    timed_out: bool = False
    oom_killed: bool = False
    pids_limit_hit: bool = False
    disk_limit_hit: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mib: float = 0.0
    background: int = 0

    @property
    def stdout(self) -> str:
        """Standard output as text; what is not UTF-8 is replaced."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """Standard error as text; what is not UTF-8 is replaced."""
        return self.stderr_bytes.decode("utf-8", "replace")

    @property
    def ok(self) -> bool:
        """Whether it exited with 0 in time."""
        return self.exit_code == 0 and not self.timed_out

    def check(self) -> Self:
        """Return this result if it is ok.

        Raises:
            ExecTimeoutError: It timed out.
            ExecFailedError: It exited with another code than 0.
        """
        last = self.stderr.strip().splitlines()[-1:] or ["nothing on standard error"]
        if self.timed_out:
            raise ExecTimeoutError(f"command timed out after {self.wall_s:.1f} s: {last[0]}", self)
        if self.exit_code != 0:
            raise ExecFailedError(f"command exited with {self.exit_code}: {last[0]}", self)
        return self


def joined(head: bytes | memoryview, tail: bytes | memoryview, total: int) -> bytes:
    """Return what was kept of `total` bytes of output, with a line where something is missing."""
    left_out = total - len(head) - len(tail)
    mark = f"\n[... {left_out} bytes left out ...]\n".encode() if left_out else b""
    return b"".join((head, mark, tail))
