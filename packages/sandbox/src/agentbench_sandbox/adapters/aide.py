"""A drop-in for the interpreter of AIDE-style tree searches: same calls, real isolation.

`Interpreter(...).run(code, reset_session)` returns an object with `term_out`, `exec_time`,
`exc_type`, `exc_info` and `exc_stack`, as those agents expect.
"""

from dataclasses import dataclass, field
from itertools import zip_longest
from types import TracebackType
from typing import Any, Self

from agentbench_sandbox.kernel import CellResult, Kernel
from agentbench_sandbox.sandbox import Sandbox


@dataclass(slots=True)
class ExecutionResult:
    """What a node's code did.

    Attributes:
        term_out: What a terminal would have shown, in pieces.
        exec_time: Seconds.
        exc_type: Name of the exception, "TimeoutError" when time was up, or None.
        exc_info: Its arguments.
        exc_stack: (file, line, function, source line) of each frame.
    """

    term_out: list[str]
    exec_time: float
    exc_type: str | None
    exc_info: dict[str, Any] = field(default_factory=dict[str, Any])
    exc_stack: list[tuple[str, int, str, str]] = field(
        default_factory=list[tuple[str, int, str, str]]
    )


class Interpreter:
    """Runs the code of search nodes in one sandbox.

    Args:
        sandbox: An open sandbox; it is not closed here.
        timeout: Seconds a node may take.
    """

    def __init__(self, sandbox: Sandbox, timeout: float = 3600.0) -> None:
        self._sandbox = sandbox
        self._timeout = timeout
        self._kernel: Kernel | None = None

    def run(self, code: str, reset_session: bool = True) -> ExecutionResult:  # noqa: FBT001, FBT002 - AIDE's signature
        """Run code, in a fresh session unless `reset_session` is False."""
        if self._kernel is None:
            self._kernel = self._sandbox.python()
        elif reset_session:
            self._kernel.restart()
        return _translate(self._kernel.run(code, timeout_s=self._timeout), self._timeout)

    def cleanup_session(self) -> None:
        """End the session."""
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cleanup_session()


def _translate(cell: CellResult, timeout: float) -> ExecutionResult:
    said = [text for text in (cell.stdout, cell.stderr) if text]
    kind = None if cell.error is None else cell.error.name
    info: dict[str, Any] = {}
    if cell.error is not None:
        said.append(cell.error.traceback)
        info = {"msg": cell.error.message}
    if cell.timed_out:
        kind = "TimeoutError"
        said.append(f"TimeoutError: Execution exceeded the time limit of {timeout:g} seconds")
    else:
        said.append(f"Execution time: {cell.wall_s:.1f} seconds")
    trace = "" if cell.error is None else cell.error.traceback
    return ExecutionResult(
        term_out=said, exec_time=cell.wall_s, exc_type=kind, exc_info=info, exc_stack=frames(trace)
    )


def frames(trace: str) -> list[tuple[str, int, str, str]]:
    """Return (file, line, function, source line) of each frame of a printed traceback."""
    found: list[tuple[str, int, str, str]] = []
    lines = trace.splitlines()
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        if line.startswith('  File "') and ", line " in line:
            file, _, rest = line[8:].partition('", line ')
            number, _, function = rest.partition(", in ")
            source = following.strip() if following.startswith("    ") else ""
            found.append((file, int(number) if number.isdigit() else 0, function, source))
    return found
