"""The host's end of the stream to a supervisor: requests go in, their frames come back."""

import io
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from agentbench_sandbox.errors import SandboxClosedError
from agentbench_sandbox.guest.wire import Frames, WireError, pack

Header = dict[str, Any]
Frame = tuple[Header, bytes]
Buffer = bytes | bytearray | memoryview

MAX_GUEST_HEADER = 4 << 20
STDERR_KEPT = 4096


class Conversation:
    """One request under way: what the guest says about it, in order."""

    def __init__(self, channel: "Channel", number: int) -> None:
        self._channel = channel
        self.number = number
        self.frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()

    def send(self, header: Header, body: Buffer = b"") -> None:
        """Send a frame about this request."""
        self._channel.send({**header, "id": self.number}, body)

    def receive(self, timeout_s: float | None) -> Frame:
        """Wait for the next frame.

        Raises:
            TimeoutError: Nothing came in time.
            SandboxClosedError: The stream has ended.
        """
        try:
            frame = self.frames.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None
        if frame is None:
            self.frames.put(None)
            raise SandboxClosedError(self._channel.reason)
        return frame


class Channel:
    """A connected socket to a supervisor, shared by threads.

    Args:
        end: The socket. It is owned by the channel from now on.
        docker: Whether Docker multiplexes stdout and stderr on it with eight-byte headers.
        keep: What must not be collected while the socket is in use (the SDK's response).
    """

    def __init__(self, end: socket.socket, *, docker: bool = False, keep: object = None) -> None:
        self._end = end
        self._keep = keep
        self._docker = docker
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._conversations: dict[int, Conversation] = {}
        self._next = 1
        self._stderr = bytearray()
        self._closed = False
        self.reason = "the sandbox is closed"
        self.explain: Callable[[], str | None] = lambda: None
        self.on_tunnel: Callable[[Header, bytes], None] | None = None
        self.on_end: Callable[[], None] = lambda: None
        self._reader = threading.Thread(target=self._read, name="agentbench-sandbox", daemon=True)

    def start(self, program: bytes, config: Header, timeout_s: float = 20.0) -> Header:
        """Send the supervisor and its configuration; return its greeting.

        Raises:
            SandboxClosedError: It did not come up; the reason holds what it said on stderr.
        """
        hello = Conversation(self, 0)
        self._conversations[0] = hello
        self._reader.start()
        try:
            self._end.sendall(program + pack(config))
            greeting, _ = hello.receive(timeout_s)
        except TimeoutError:
            self.close(f"the supervisor did not answer in {timeout_s:.0f} s")
            raise SandboxClosedError(self.reason) from None
        except OSError as error:
            self._reader.join(2)
            reason = self.stderr() or str(error)
            self.close(reason)
            raise SandboxClosedError(f"the supervisor did not start: {reason}") from None
        finally:
            self._conversations.pop(0, None)
        if greeting.get("op") != "ready":
            self.close(str(greeting.get("message", "it did not say why")))
            raise SandboxClosedError(f"the supervisor did not start: {self.reason}")
        return greeting

    def stderr(self) -> str:
        """Return the last of what the supervisor or its launcher wrote to standard error."""
        return self._stderr.decode("utf-8", "replace").strip()

    @property
    def closed(self) -> bool:
        """Whether the stream has ended."""
        return self._closed

    def open(self) -> Conversation:
        """Begin a request."""
        with self._lock:
            if self._closed:
                raise SandboxClosedError(self.reason)
            conversation = Conversation(self, self._next)
            self._conversations[self._next] = conversation
            self._next += 1
        return conversation

    def finish(self, conversation: Conversation) -> None:
        """Forget a request; late frames about it are dropped."""
        with self._lock:
            self._conversations.pop(conversation.number, None)

    def send(self, header: Header, body: Buffer = b"") -> None:
        """Send a frame."""
        data = pack(header, body)
        try:
            with self._sending:
                self._end.sendall(data)
        except OSError:
            self._end_all("the sandbox has died")
            raise SandboxClosedError(self.reason) from None

    def close(self, reason: str = "the sandbox is closed") -> None:
        """End the stream, and with it the sandbox."""
        self._end_all(reason)
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._reader and self._reader.ident is not None:
            self._reader.join(5)
        self._end.close()
        if isinstance(self._keep, io.IOBase):
            self._keep.close()

    def _end_all(self, reason: str) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self.reason = reason
            waiting = list(self._conversations.values())
            self._conversations.clear()
        for conversation in waiting:
            conversation.frames.put(None)
        self.on_end()

    def _chunks(self) -> Iterator[bytes]:
        if not self._docker:
            while data := self._end.recv(1 << 18):
                yield data
            return
        buffer = bytearray()
        left, stream = 0, 0
        while data := self._end.recv(1 << 18):
            buffer += data
            while buffer:
                if left == 0:
                    if len(buffer) < 8:
                        break
                    stream, left = buffer[0], int.from_bytes(buffer[4:8], "big")
                    del buffer[:8]
                    continue
                part = bytes(buffer[:left])
                del buffer[:left]
                left -= len(part)
                if stream == 1:
                    yield part
                else:
                    self._stderr = (self._stderr + part)[-STDERR_KEPT:]

    def _read(self) -> None:
        frames = Frames(MAX_GUEST_HEADER)
        reason = "the sandbox has died"
        try:
            for data in self._chunks():
                for header, body in frames.feed(data):
                    self._route(header, body)
        except OSError:
            pass
        except (WireError, KeyError, TypeError, ValueError) as error:
            reason = f"the sandbox broke the protocol: {error}"
            with suppress(OSError):
                self._end.shutdown(socket.SHUT_RDWR)
        if not self._closed:
            reason = self.explain() or reason
        self._end_all(reason)

    def _route(self, header: Header, body: bytes) -> None:
        if header.get("op") == "tunnel":
            if self.on_tunnel is not None:
                self.on_tunnel(header, body)
            return
        conversation = self._conversations.get(header.get("id", 0))
        if conversation is not None:
            conversation.frames.put((header, body))
