"""What a case is, and the shorthands the cases are written in."""

from collections.abc import Callable
from typing import Any

from agentbench_sandbox.request import Limits
from agentbench_sandbox.result import ExecResult
from agentbench_sandbox.sandbox import Sandbox

Case = Callable[[Sandbox], None]

TESTING_LIMITS = Limits(
    memory_mib=512, pids=128, disk_mib=128, tmp_mib=64, shm_mib=64, output_mib=1, file_mib=64
)
"""Small, so that exceeding them is quick."""


def needs(*capabilities: str) -> Callable[[Case], Case]:
    """Mark a case as meant for back ends that claim these capabilities (`name` or `name=value`)."""

    def mark(case: Case) -> Case:
        vars(case)["needs"] = capabilities
        return case

    return mark


def missing(case: Case, sandbox: Sandbox) -> list[str]:
    """Return what a case needs and the sandbox does not claim."""
    lacking: list[str] = []
    for need in vars(case).get("needs", ()):
        name, _, value = need.partition("=")
        claimed: Any = getattr(sandbox.capabilities, name)
        if not (claimed == value if value else claimed not in (False, "none")):
            lacking.append(need)
    return lacking


def sh(sandbox: Sandbox, script: str, timeout_s: float = 20) -> ExecResult:
    """Run a shell script."""
    return sandbox.exec(["sh", "-c", script], timeout_s=timeout_s)


def py(sandbox: Sandbox, code: str, timeout_s: float = 30) -> ExecResult:
    """Run Python code."""
    return sandbox.exec(["python3", "-c", code], timeout_s=timeout_s)


def assert_alive(sandbox: Sandbox) -> None:
    """The sandbox still runs commands."""
    result = sandbox.exec(["echo", "alive"], timeout_s=10)
    assert result.stdout == "alive\n", result


def survivors(sandbox: Sandbox, mark: str) -> int:
    """Count the processes whose command line holds `mark`, however they detached."""
    if not sandbox.capabilities.private_processes:
        return _survivors_here(mark)
    listing = 'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done 2>/dev/null'
    return sum(mark in line for line in sh(sandbox, listing).stdout.splitlines())


def _survivors_here(mark: str) -> int:
    from pathlib import Path

    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                count += mark.encode() in (entry / "cmdline").read_bytes()
            except OSError:
                continue
    return count
