"""A server that fails on demand, for tests of whatever talks to language models."""

import json
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

FaultKind = Literal[
    "status",  # an HTTP error
    "hang",  # accepts the request and says nothing
    "drop",  # closes the connection without a word
    "half",  # half of the body, then closes
    "trickle",  # one byte every 50 ms, for ever
    "cut stream",  # a stream that ends in the middle, politely
    "broken stream",  # a stream whose connection breaks in the middle
    "stream error",  # a stream that ends with an error of the server
    "invalid JSON",
    "page",  # HTTP 200 with a web page
    "wrong JSON",  # JSON that is not a completion
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        kind: What.
        status: For ``status``.
        headers: Further response headers.
        body: For ``status``; ``{authorization}`` becomes the key that the client sent.
        seconds: How long ``hang`` and ``trickle`` last at most.
    """

    kind: FaultKind
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    body: str = '{"error": {"message": "injected fault"}}'
    seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request that arrived: path, JSON body and the moment (`time.monotonic`)."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(repr=False)
    at: float = 0.0


class FaultServer:
    """Speaks OpenAI's chat completions and Anthropic's messages, and fails on demand.

    The n-th request meets the n-th fault; ``None`` and everything after the last fault is answered
    well, with ``text``, streamed where the request asks for it.

    Example:
        >>> with FaultServer([Fault(kind="status", status=429), None]) as server:
        ...     model = open_model("openai:any", base_url=server.base_url)
    """

    def __init__(
        self,
        faults: Iterable[Fault | None] = (),
        *,
        text: str = "hello",
        delay_s: float = 0.0,
        capacity: int | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            faults: What goes wrong, in order.
            text: What good answers say.
            delay_s: How long a good answer takes.
            capacity: More requests at once than this get HTTP 429.
        """
        self.seen: list[Seen] = []
        self.most_at_once = 0
        self.released = threading.Event()
        self._faults = list(faults)
        self._text = text
        self._delay_s = delay_s
        self._capacity = capacity
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def base_url(self) -> str:
        """For OpenAI's client."""
        return f"{self.root_url}/v1"

    @property
    def root_url(self) -> str:
        """For Anthropic's client, which adds ``/v1`` itself."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def admit(self, seen: Seen) -> Fault | None:
        """Note a request and say what goes wrong with it."""
        with self._lock:
            self.seen.append(seen)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            if self._capacity is not None and self._at_once > self._capacity:
                return Fault(kind="status", status=429)
            n = len(self.seen) - 1
            return self._faults[n] if n < len(self._faults) else None

    def leave(self) -> None:
        """Note that a request is over."""
        with self._lock:
            self._at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(_Handler):
            owner = server
            text = server._text
            delay_s = server._delay_s

        return Handler


class _Server(ThreadingHTTPServer):
    """Ends the connections that clients keep open, as a server that goes away does."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - theirs
        """Remember the connection."""
        self._open.add(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """Shut every connection down that is still open."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


_STREAM = "text/event-stream"


class _Handler(BaseHTTPRequestHandler):
    owner: FaultServer
    text: str
    delay_s: float
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or header and body, two writes, are 40 ms apart

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Stay silent."""

    def do_POST(self) -> None:
        """Answer one request, well or badly."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.loads(raw)
        seen = Seen(path=self.path, body=body, headers=dict(self.headers), at=time.monotonic())
        fault = self.owner.admit(seen)
        try:
            if fault is None:
                self.owner.released.wait(self.delay_s)
                self._answer(body)
            else:
                self._fail(fault, body)
        except ConnectionError:  # the client gave up first
            self.close_connection = True
        finally:
            self.owner.leave()

    def _answer(self, body: dict[str, Any]) -> None:
        if body.get("stream"):
            self._send(200, "".join(self._events()), kind=_STREAM)
        else:
            self._send(200, json.dumps(self._whole()))

    def _fail(self, fault: Fault, body: dict[str, Any]) -> None:  # noqa: C901 - one case a fault
        whole, events = json.dumps(self._whole()), self._events()
        some = "".join(events[: len(events) // 2])
        match fault.kind:
            case "status":
                self._fail_with_status(fault)
            case "hang":
                self.owner.released.wait(fault.seconds)
                self.close_connection = True
            case "drop":
                self.close_connection = True
            case "half":
                self._send(200, whole[: len(whole) // 2], missing=True)
            case "trickle":
                self._trickle(fault.seconds)
            case "cut stream":
                self._send(200, some, kind=_STREAM)
            case "broken stream":
                self._send(200, some, kind=_STREAM, missing=True)
            case "stream error":
                self._send(200, "".join(events[:2]) + self._stream_error(), kind=_STREAM)
            case "invalid JSON" if body.get("stream"):
                self._send(200, events[0] + "data: {oops\n\n", kind=_STREAM)
            case "invalid JSON":
                self._send(200, whole[:-3])
            case "page":
                self._send(200, "<html><body>It works!</body></html>", kind="text/html")
            case "wrong JSON":
                self._send(200, '{"status": "fine"}')

    def _fail_with_status(self, fault: Fault) -> None:
        key = self.headers.get("authorization") or self.headers.get("x-api-key") or ""
        body = fault.body.replace("{authorization}", key)
        self._send(fault.status, body, headers=fault.headers)

    def _stream_error(self) -> str:
        error = json.dumps({"type": "error", "error": {"message": "engine died"}})
        event = "event: error\n" if self._anthropic else ""
        return f"{event}data: {error}\n\n"

    def _trickle(self, seconds: float) -> None:
        self._send(200, "{", missing=True)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.owner.released.wait(0.05):
            self.wfile.write(b" ")

    def _send(
        self,
        status: int,
        text: str,
        *,
        kind: str = "application/json",
        missing: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        data = text.encode()
        self.close_connection = missing
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data) + 10**6 * missing))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    @property
    def _anthropic(self) -> bool:
        return self.path.endswith("/messages")

    def _whole(self) -> dict[str, Any]:
        return _message(self.text) if self._anthropic else _chat_completion(self.text)

    def _events(self) -> list[str]:
        return _message_events(self.text) if self._anthropic else _chat_events(self.text)


def _chat_completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "fault",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def _chat_events(text: str) -> list[str]:
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, *({"content": c} for c in text)]
    choices: list[dict[str, Any]] = [
        *({"index": 0, "delta": delta, "finish_reason": None} for delta in deltas),
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    chunks = [{"id": "c", "object": "chat.completion.chunk", "choices": [c]} for c in choices]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    chunks.append({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage})  # pyright: ignore[reportArgumentType]
    return [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]


def _message(text: str) -> dict[str, Any]:
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "fault",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }


def _message_events(text: str) -> list[str]:
    start: dict[str, Any] = {**_message(text), "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": c},
            }
            for c in text
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events]
