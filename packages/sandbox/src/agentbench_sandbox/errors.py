"""What can go wrong with a sandbox itself; a command that fails inside one is a result."""


class SandboxError(Exception):
    """The root of every error of this package."""


class SandboxUnavailableError(SandboxError, RuntimeError):
    """No back end can run here; the message says what to install."""


class CapabilityError(SandboxError, NotImplementedError):
    """The back end cannot do what was asked, so it refuses instead of ignoring it."""


class InvalidLimitsError(SandboxError, ValueError):
    """A limit is out of range, or limits contradict one another."""


class ImageError(SandboxError, LookupError):
    """The image is missing, cannot be built, or cannot run a sandbox."""


class SandboxClosedError(SandboxError, ConnectionError):
    """The sandbox was closed or has died; `reason` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ExecTimeoutError(SandboxError, TimeoutError):
    """A command timed out and `check=True` was asked for; `result` holds what it said."""

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result


class ExecFailedError(SandboxError, RuntimeError):
    """A command exited with a code other than 0 and `check=True` was asked for."""

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result


class SandboxFileNotFoundError(SandboxError, FileNotFoundError):
    """A path does not exist inside the sandbox."""


class SandboxPermissionError(SandboxError, PermissionError):
    """The agent's user may not touch a path inside the sandbox."""


class SandboxIsADirectoryError(SandboxError, IsADirectoryError):
    """A file was expected and the path is a directory."""


class SandboxFileError(SandboxError, OSError):
    """Any other failure of a file transfer: not a regular file, no space left, a bad name."""


class TransferLimitError(SandboxError, ValueError):
    """A file or directory is larger than the transfer limit; nothing of it was kept."""
