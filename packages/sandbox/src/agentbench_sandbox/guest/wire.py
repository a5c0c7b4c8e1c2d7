"""Frames: two big-endian lengths, a JSON header, a body of bytes. Both ends use it."""

from __future__ import annotations

import json
import os
import struct

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from typing import Any

    Header = dict[str, Any]
    Buffer = bytes | bytearray | memoryview

LENGTHS = struct.Struct(">II")
MAX_HEADER = 8 << 20
MAX_BODY = 1 << 20
encode = json.JSONEncoder(separators=(",", ":")).encode
CHUNK = 256 << 10
WINDOW = 1 << 20
"""Bytes that may be under way in one direction of one request before the other side says go on."""


class WireError(Exception):
    """The other side sent something that is not a frame."""


def pack(header: Header, body: Buffer = b"") -> bytes:
    """Return the bytes of one frame."""
    return repack(encode(header).encode(), body)


def repack(head: bytes, body: Buffer) -> bytes:
    """Return the bytes of one frame whose header is JSON already."""
    return b"".join((LENGTHS.pack(len(head), len(body)), head, body))


class Frames:
    """Cut a stream of bytes into frames, whatever the sizes it arrives in."""

    def __init__(self, max_header: int = MAX_HEADER, max_body: int = MAX_BODY) -> None:
        self._buffer = bytearray()
        self._max_header = max_header
        self._max_body = max_body

    def feed(self, data: Buffer) -> list[tuple[Header, bytes]]:
        """Take bytes; return the frames they complete as (header, body) pairs."""
        return [(header, body) for header, _, body in self.cut(data)]

    def cut(self, data: Buffer) -> list[tuple[Header, bytes, bytes]]:
        """Take bytes; return the frames they complete as (header, the same as JSON, body)."""
        buffer = self._buffer
        buffer += data
        frames: list[tuple[Header, bytes, bytes]] = []
        at = 0
        while len(buffer) - at >= LENGTHS.size:
            head_size, body_size = LENGTHS.unpack_from(buffer, at)
            if head_size > self._max_header or body_size > self._max_body:
                raise WireError(f"frame of {head_size} + {body_size} bytes")
            end = at + LENGTHS.size + head_size + body_size
            if len(buffer) < end:
                break
            start = at + LENGTHS.size
            head = bytes(buffer[start : start + head_size])
            try:
                header: Header = json.loads(head.decode())
            except (ValueError, RecursionError) as error:
                raise WireError(f"header is not JSON: {error}") from error
            if type(header) is not dict:
                raise WireError("header is not an object")
            frames.append((header, head, bytes(buffer[start + head_size : end])))
            at = end
        del buffer[:at]
        return frames


def write_all(fd: int, data: Buffer) -> None:
    """Write all of `data` to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_exactly(fd: int, size: int) -> bytes:
    """Read `size` bytes from a blocking descriptor; raise `EOFError` when it ends before."""
    data = os.read(fd, size) if size else b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Link:
    """A blocking stream of frames over one descriptor (a leader's socket to the supervisor).

    It never reads beyond the frame it returns, so that a forked child can take over the stream.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, header: Header, body: Buffer = b"") -> None:
        """Send one frame."""
        write_all(self.fd, pack(header, body))

    def receive(self) -> tuple[Header, bytes]:
        """Wait for one frame; raise `EOFError` at the end of the stream."""
        head_size, body_size = LENGTHS.unpack(read_exactly(self.fd, LENGTHS.size))
        if head_size > MAX_HEADER or body_size > MAX_BODY:
            raise WireError(f"frame of {head_size} + {body_size} bytes")
        head = read_exactly(self.fd, head_size)
        return json.loads(head.decode()), read_exactly(self.fd, body_size)
