"""Start a supervisor as a child process whose stdin and stdout are one socket."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from agentbench_sandbox.channel import Channel, Header
from agentbench_sandbox.errors import SandboxClosedError


class Launched(Channel):
    """A channel that also owns the process at its other end.

    The reader thread starts the process: the kernel ends a `--die-with-parent` process with the
    *thread* that made it, and that thread lives exactly as long as the stream.
    """

    def __init__(self, end: socket.socket, spawn: Callable[[], subprocess.Popen[bytes]]) -> None:
        super().__init__(end)
        self._spawn = spawn
        self._process: subprocess.Popen[bytes] | None = None

    def _read(self) -> None:
        try:
            self._process = self._spawn()
        except OSError as error:
            self._end_all(f"{error.filename}: {error.strerror}")
            return
        super()._read()

    def close(self, reason: str = "the sandbox is closed") -> None:
        """End the stream, then the process, and reap it."""
        super().close(reason)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGKILL)
                self._process.wait()


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
    with tempfile.TemporaryFile() as errors:

        def spawn() -> subprocess.Popen[bytes]:
            # no environment: bubblewrap's own would be readable inside as /proc/1/environ
            try:
                return subprocess.Popen(  # noqa: S603 - the arguments are ours
                    [str(descriptors.get(word, word)) for word in argv],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=errors,
                    env={},
                    cwd="/",
                    pass_fds=tuple(descriptors.values()),
                    start_new_session=True,
                )
            finally:
                theirs.close()
                for fd in descriptors.values():
                    os.close(fd)

        channel = Launched(ours, spawn)
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
