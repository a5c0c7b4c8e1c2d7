"""What the supervisor's last frames mean: results of commands, errors of transfers."""

from collections.abc import Sequence
from typing import NoReturn

from agentbench_sandbox.channel import Header
from agentbench_sandbox.errors import (
    SandboxFileError,
    SandboxFileNotFoundError,
    SandboxIsADirectoryError,
    SandboxPermissionError,
    TransferLimitError,
)
from agentbench_sandbox.guest.capture import Capture
from agentbench_sandbox.result import ExecResult, joined

Parts = tuple[bytes | memoryview, bytes | memoryview]
"""The kept head and tail of a stream."""


def split(body: bytes, sizes: Sequence[int]) -> list[Parts]:
    """Cut the body of a last frame into (head, tail) of standard output and standard error."""
    parts: list[memoryview] = []
    whole = memoryview(body)
    at = 0
    for size in sizes:
        parts.append(whole[at : at + size])
        at += size
    return [(parts[0], parts[1]), (parts[2], parts[3])]


def exec_result(
    answer: Header, body: bytes, streamed: tuple[Capture, Capture] | None
) -> ExecResult:
    """Return what a command did, from its last frame and, when streamed, what was captured."""
    if answer.get("lost"):
        text = b"agentbench-sandbox: the command and its leader were killed from inside\n"
        return ExecResult(
            exit_code=-9,
            signal=9,
            stdout_bytes=b"",
            stderr_bytes=text,
            stdout_total=0,
            stderr_total=len(text),
        )
    if "refused" in answer:
        text = f"agentbench-sandbox: cannot start: {answer['refused']}\n".encode()
        return ExecResult(
            exit_code=126,
            stdout_bytes=b"",
            stderr_bytes=text,
            stdout_total=0,
            stderr_total=len(text),
            pids_limit_hit=True,
        )
    totals: list[int] = [int(total) for total in answer["totals"]]
    if streamed is None:
        pairs = split(body, answer["sizes"])
    else:
        pairs: list[Parts] = [capture.parts() for capture in streamed]
    kept = [len(head) + len(tail) for head, tail in pairs]
    limit = answer["limit"]
    return ExecResult(
        exit_code=int(answer["exit_code"]),
        signal=answer["signal"],
        stdout_bytes=joined(*pairs[0], totals[0]),
        stderr_bytes=joined(*pairs[1], totals[1]),
        stdout_total=totals[0],
        stderr_total=totals[1],
        truncated=kept != totals,
        timed_out=bool(answer["timed_out"]),
        oom_killed=limit == "memory",
        pids_limit_hit=limit == "pids",
        disk_limit_hit=limit == "disk",
        wall_s=float(answer["wall_s"]),
        cpu_s=float(answer["cpu_s"]),
        peak_memory_mib=float(answer["peak_kib"]) / 1024,
        background=int(answer["background"]),
    )


def raise_for(answer: Header, path: str) -> None:
    """Raise the error that the last frame of a transfer of `path` reports, if any."""
    error = answer.get("error")
    if answer.get("lost") or "refused" in answer:
        raise SandboxFileError(f"{path}: the transfer was ended inside the sandbox")
    if error is None:
        return
    message = f"{answer.get('message', error)} (in the sandbox)"
    if error == "os":
        _raise_os(int(answer["errno"]), message)
    if error == "too_large":
        raise TransferLimitError(message)
    if error == "is_directory":
        raise SandboxIsADirectoryError(message)
    raise SandboxFileError(message)


def _raise_os(number: int, message: str) -> NoReturn:
    kinds = {
        2: SandboxFileNotFoundError,
        1: SandboxPermissionError,
        13: SandboxPermissionError,
        30: SandboxPermissionError,
        21: SandboxIsADirectoryError,
    }
    raise kinds.get(number, SandboxFileError)(number, message)
