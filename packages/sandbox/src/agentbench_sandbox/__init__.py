"""Run untrusted agent code in a hardened container or a local sandbox, in milliseconds."""

from agentbench_sandbox.errors import (
    CapabilityError,
    ExecFailedError,
    ExecTimeoutError,
    ImageError,
    InvalidLimitsError,
    SandboxClosedError,
    SandboxError,
    SandboxFileError,
    SandboxFileNotFoundError,
    SandboxIsADirectoryError,
    SandboxPermissionError,
    SandboxUnavailableError,
    TransferLimitError,
)
from agentbench_sandbox.kernel import CellError, CellResult, Kernel, KernelError
from agentbench_sandbox.pool import SandboxPool
from agentbench_sandbox.request import Limits, Mount, Request
from agentbench_sandbox.result import ExecResult
from agentbench_sandbox.sandbox import Capabilities, Sandbox, open_sandbox

__all__ = [
    "Capabilities",
    "CapabilityError",
    "CellError",
    "CellResult",
    "ExecFailedError",
    "ExecResult",
    "ExecTimeoutError",
    "ImageError",
    "InvalidLimitsError",
    "Kernel",
    "KernelError",
    "Limits",
    "Mount",
    "Request",
    "Sandbox",
    "SandboxClosedError",
    "SandboxError",
    "SandboxFileError",
    "SandboxFileNotFoundError",
    "SandboxIsADirectoryError",
    "SandboxPermissionError",
    "SandboxPool",
    "SandboxUnavailableError",
    "TransferLimitError",
    "open_sandbox",
]
