"""PID 1's only child in a container without Python: a shell that holds it, counts, and kills.

It is root, the agent is not, so the agent can neither signal nor read it. It needs nothing but
shell built-ins: a kill from here needs no new process and cannot be outrun by a fork bomb. When
its input ends, because the host process has died for instance, it exits and the container with it.
"""

import io
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from agentbench_sandbox.errors import ImageError, SandboxClosedError
from agentbench_sandbox.guest.processes import OOM_COUNTERS, PIDS_COUNTERS

ANSWER_S = 20.0
STDERR_KEPT = 4096
OWN_PROCESSES = 2
"""Docker's init and this shell."""
NEEDED = ("cat", "chmod", "head", "mkdir", "stat", "tar")
"""Programs an image must have beside `sh`, for the transfer of files."""
SCRIPT = f"""\
for program in {" ".join(NEEDED)}; do
  command -v $program >/dev/null || missing="$missing $program"
done
chmod 1777 "$@" 2>/dev/null
echo "ready$missing"
number() {{
  [ -r "$1" ] || return 0
  while read -r key value rest; do
    [ "$key" = "$2" ] && found=$value
  done < "$1"
}}
while read -r word; do
  case $word in
    TERM | KILL) kill -$word -1 2>/dev/null; kill -CONT -1 2>/dev/null ;;
  esac
  set -- /proc/[0-9]*
  others=$(($# - {OWN_PROCESSES}))
  found=0
  for file in {" ".join(OOM_COUNTERS)}; do number $file oom_kill; done
  oom=$found
  found=0
  for file in {" ".join(PIDS_COUNTERS)}; do number $file max; done
  echo "$others $oom $found"
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What runs in a container, and how often its limits were hit.

    Attributes:
        others: Processes that are neither Docker's init nor the anchor.
        oom: Processes the kernel has ended for memory so far.
        pids: Forks the kernel has refused so far.
    """

    others: int
    oom: int
    pids: int


class Anchor:
    """The host's end of the anchor's streams. One thread at a time uses it.

    Args:
        attached: What the SDK returns for an attached container.
    """

    def __init__(self, attached: Any) -> None:  # noqa: ANN401 - the SDK has no types
        self._attached = attached
        self._end: socket.socket = getattr(attached, "_sock", attached)
        self._end.settimeout(ANSWER_S)
        self._frames = Demultiplexer()
        self._text = b""
        self.stderr = b""

    def wait_ready(self) -> None:
        """Wait for the greeting.

        Raises:
            ImageError: The image lacks programs that are needed.
        """
        _, *missing = self._line().split()
        if missing:
            raise ImageError(
                "the image has neither python3, which would be all it needs, nor "
                + ", ".join(missing)
            )

    def ask(self, word: Literal["COUNT", "TERM", "KILL"] = "COUNT") -> Count:
        """Signal every process of the agent's, or none; return what is there afterwards.

        Raises:
            SandboxClosedError: The container has ended.
        """
        try:
            self._end.sendall(word.encode() + b"\n")
        except OSError:
            raise SandboxClosedError("the sandbox has died") from None
        others, oom, pids = (int(number) for number in self._line().split())
        return Count(others=others, oom=oom, pids=pids)

    def _line(self) -> str:
        while b"\n" not in self._text:
            try:
                data = self._end.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                raise SandboxClosedError("the sandbox has died")
            for stream, part in self._frames.feed(data):
                if stream == 1:
                    self._text += part
                else:
                    self.stderr = (self.stderr + part)[-STDERR_KEPT:]
        line, _, self._text = self._text.partition(b"\n")
        return line.decode("ascii", "replace")

    def close(self) -> None:
        """End its input, and with it the container."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
        if isinstance(self._attached, io.IOBase):
            self._attached.close()


class Demultiplexer:
    """Takes Docker's eight-byte headers out of a stream of two streams."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return (stream, bytes) of what has come; stream 1 is stdout, 2 is stderr."""
        self._buffer += data
        found: list[tuple[int, bytes]] = []
        while self._buffer:
            if self._left == 0:
                if len(self._buffer) < 8:
                    break
                self._stream = self._buffer[0]
                self._left = int.from_bytes(self._buffer[4:8], "big")
                del self._buffer[:8]
                continue
            part = bytes(self._buffer[: self._left])
            del self._buffer[: self._left]
            self._left -= len(part)
            found.append((self._stream, part))
        return found


def end_everything(anchor: Anchor, grace_s: float) -> bool:
    """End all processes of the agent's: SIGTERM, then after `grace_s` SIGKILL.

    Returns:
        Whether none is left.
    """
    deadline = time.monotonic() + grace_s
    count = anchor.ask("TERM")
    while count.others > 0 and time.monotonic() < deadline:
        time.sleep(0.01)
        count = anchor.ask()
    for _ in range(200):
        if count.others <= 0:
            return True
        count = anchor.ask("KILL")
        time.sleep(0.005)
    return False
