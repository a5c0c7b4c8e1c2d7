"""Keep what matters of a program's output, however much it is."""

from __future__ import annotations

import collections


class Capture:
    """Keep the first and the last half of `limit` bytes of a stream, and count all of it."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._head = bytearray()
        self._room = limit - limit // 2
        self._tail_limit = limit // 2
        self._tail: collections.deque[bytes] = collections.deque()
        self._tail_size = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        if self._room:
            self._head += data[: self._room]
            taken = min(len(data), self._room)
            self._room -= taken
            data = data[taken:]
        if data:
            self._tail.append(data)
            self._tail_size += len(data)
            while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_limit:
                self._tail_size -= len(self._tail.popleft())

    def parts(self) -> tuple[bytes, bytes]:
        """Return (head, tail): what was kept of the start and of the end."""
        tail = b"".join(self._tail)
        return bytes(self._head), tail[max(0, len(tail) - self._tail_limit) :]


def widen(fd: int) -> None:
    """Ask for a 1 MiB pipe: fewer wake-ups when a program floods it."""
    try:
        import fcntl

        fcntl.fcntl(fd, 1031, 1 << 20)  # F_SETPIPE_SZ
    except OSError:
        pass
