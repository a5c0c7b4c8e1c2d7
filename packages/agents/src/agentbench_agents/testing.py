"""For tests of agents and environments: a sandbox that runs nothing."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from agentbench_sandbox import (
    Capabilities,
    CapabilityError,
    ExecResult,
    Limits,
    SandboxFileNotFoundError,
)

if TYPE_CHECKING:
    from agentbench_sandbox import Kernel
    from agentbench_sandbox.sandbox import OnOutput


@dataclass(slots=True, kw_only=True)
class NullSandbox:
    """Keeps files in memory and pretends that every command ended well.

    Attributes:
        submission: What a program "writes" as submission.csv, or None.
        stdout: What a program "prints".
        exit_code: With what a program "ends".
        commands: The commands that were given.
    """

    submission: bytes | None = None
    stdout: bytes = b""
    exit_code: int = 0
    commands: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    backend: str = "null"
    workdir: str = "/workspace"
    capabilities: Capabilities = field(default_factory=Capabilities)
    limits: Limits = field(default_factory=Limits)

    def path(self, target: str) -> str:
        """Every path is where it was asked for."""
        return target

    def describe(self) -> dict[str, Any]:
        """Say that this is no sandbox."""
        return {"backend": self.backend, "isolated": False}

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        check: bool = False,
        on_output: "OnOutput | None" = None,
        cancel: threading.Event | None = None,
    ) -> ExecResult:
        """Note the command; a Python program "writes" the submission."""
        del timeout_s, stdin, env, check, on_output, cancel
        self.commands.append(tuple(argv))
        name = f"{cwd or self.workdir}/submission.csv"
        if argv[0] == "rm":
            self.files.pop(name, None)
        is_program = argv[0] == "python" and argv[1] != "-c"
        if is_program and self.submission is not None:
            self.files[name] = self.submission
        return ExecResult(
            exit_code=self.exit_code if is_program else 0,
            stdout_bytes=self.stdout if is_program else b"",
            stderr_bytes=b"",
            stdout_total=len(self.stdout) if is_program else 0,
            stderr_total=0,
        )

    def read_file(self, path: str) -> bytes:
        """Return a file."""
        if path not in self.files:
            raise SandboxFileNotFoundError(f"no file {path}")
        return self.files[path]

    def write_file(self, path: str, data: bytes | str) -> None:
        """Keep a file."""
        self.files[path] = data.encode() if isinstance(data, str) else data

    def upload(self, src: str | Path, dst: str) -> None:
        """Forget it."""

    def download(self, src: str, dst: str | Path) -> list[str]:
        """There is nothing to copy."""
        del dst
        return [src]

    def python(self) -> "Kernel":
        """There is no Python here.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError("the null sandbox runs nothing, so it has no Python session")

    def fork(self) -> "NullSandbox":
        """Return a copy with the same files."""
        return replace(self, files=dict(self.files), commands=list(self.commands))

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
