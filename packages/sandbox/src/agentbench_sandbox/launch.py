"""Start a supervisor as a child process whose stdin and stdout are one socket."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress

from agentbench_sandbox.channel import Channel, Header
from agentbench_sandbox.errors import SandboxClosedError


class Launched(Channel):
    """A channel that also owns the process at its other end."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self.process: subprocess.Popen[bytes] | None = None

    def close(self, reason: str = "the sandbox is closed") -> None:
        """End the stream, then the process, and reap it."""
        super().close(reason)
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()


def launch(
    argv: Sequence[str], data: Mapping[str, bytes], program: bytes, config: Header
) -> Channel:
    """Start `argv` with a clean environment and hand it the supervisor.

    Args:
        argv: The program; an argument equal to a key of `data` is replaced by the number of a
            descriptor it can read those bytes from.
        data: Bytes to pass by descriptor.
        program: The supervisor, as `BOOT` expects it.
        config: Its configuration.

    Raises:
        SandboxClosedError: It did not start; the message holds what it wrote to stderr.
    """
    ours, theirs = socket.socketpair()
    descriptors = {key: memory_file(key, body) for key, body in data.items()}
    channel = Launched(ours)
    with tempfile.TemporaryFile() as errors:
        try:
            # no environment: bubblewrap's own would be readable inside as /proc/1/environ
            channel.process = subprocess.Popen(  # noqa: S603 - the arguments are ours
                [str(descriptors.get(word, word)) for word in argv],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=errors,
                env={},
                cwd="/",
                pass_fds=tuple(descriptors.values()),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SandboxClosedError(f"{argv[0]}: {error.strerror}") from None
        finally:
            theirs.close()
            for fd in descriptors.values():
                os.close(fd)
        try:
            channel.start(program, config)
        except SandboxClosedError as error:
            errors.seek(0)
            said = errors.read(4096).decode("utf-8", "replace").strip()
            raise SandboxClosedError(said or error.reason) from None
    return channel


def memory_file(name: str, body: bytes) -> int:
    """Return a descriptor that reads `body` from its start and lives in memory only."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(body)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
