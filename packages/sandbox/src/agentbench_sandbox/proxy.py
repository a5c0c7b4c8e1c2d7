"""The network allow-list: a CONNECT proxy on the host for sandboxes that have no network.

Inside, the supervisor listens on a loopback port and carries each connection over the stream; the
decision, the name resolution and the connection are made here. The sandbox itself keeps no route
to anywhere. Allowed is a host name and port; under TLS the server name in the first message must
be that host too, and a public name must not lead to a private address.
"""

import ipaddress
import queue
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

from agentbench_sandbox.channel import Channel, Header

PORT = 3128
HEAD_LIMIT = 16 << 10
WINDOW = 1 << 20
CONNECT_S = 15.0
HELLO_S = 30.0
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?|[0-9a-f:.]{2,45}")
"""A host name, or an address of version 6. The resolver would stop reading at a NUL, after which
an allowed ending may follow."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the proxy decided about one connection.

    Attributes:
        host: The host asked for.
        port: The port asked for.
        allowed: Whether it was connected.
        reason: Why not; empty when it was.
    """

    host: str
    port: int
    allowed: bool
    reason: str = ""


class RefusedError(Exception):
    """A connection that is not allowed; the message says why."""


def matches(pattern: str, host: str, port: int) -> bool:
    """Whether `host:port` is what a pattern (`name`, `*.name`, either with `:port`) admits."""
    name, _, wanted = pattern.rpartition(":") if pattern.count(":") == 1 else (pattern, "", "443")
    return fnmatchcase(host, name.lower()) and str(port) == wanted


def names_it_exactly(patterns: tuple[str, ...], host: str) -> bool:
    """Whether a pattern without wildcards names this host."""
    return any(pattern.partition(":")[0].lower() == host for pattern in patterns)


def parse_connect(head: bytes) -> tuple[str, int]:
    """Return the host and port of a CONNECT request.

    Raises:
        RefusedError: It is another request, or not one at all.
    """
    try:
        method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        host, _, port = target.rpartition(":")
        number = int(port)
    except ValueError:
        raise RefusedError("not a CONNECT request") from None
    if method != "CONNECT" or not host or not 0 < number < 65536:
        raise RefusedError(f"only CONNECT host:port is served, not {method}")
    host = host.strip("[]").removesuffix(".").lower()
    if HOST.fullmatch(host) is None:
        raise RefusedError(f"{host!r} is not the name of a host")
    return host, number


def server_name(hello: bytes) -> str | None:
    """Return the server name in a TLS ClientHello, None when it has none or is not one."""
    try:
        if hello[0] != 0x16 or hello[5] != 1:
            return None
        at = 5 + 4 + 2 + 32
        at += 1 + hello[at]
        at += 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 1 + hello[at]
        end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
        at += 2
        while at + 4 <= end:
            kind = int.from_bytes(hello[at : at + 2], "big")
            size = int.from_bytes(hello[at + 2 : at + 4], "big")
            if kind == 0:
                length = int.from_bytes(hello[at + 7 : at + 9], "big")
                if hello[at + 6] != 0 or length + 5 != size or at + 4 + size > len(hello):
                    return None  # not one name: a server might go by another one
                return hello[at + 9 : at + 9 + length].decode("ascii").lower()
            at += 4 + size
    except (IndexError, UnicodeDecodeError):
        return None
    return None


def is_public(address: str) -> bool:
    """Whether an address, and the one of version 4 that it may stand for, is a public one."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        inner = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        if found in NAT64:
            inner.append(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        if not all(part.is_global for part in inner if part is not None):
            return False
    return found.is_global


def connect(host: str, port: int, *, private_allowed: bool) -> socket.socket:
    """Resolve and connect, refusing addresses that are not public unless they were named.

    Raises:
        RefusedError: The name does not resolve, or leads to a private address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RefusedError(f"{host} does not resolve") from None
    for family, kind, protocol, _, address in found:
        if not private_allowed and not is_public(str(address[0])):
            raise RefusedError(f"{host} leads to the private address {address[0]}")
        end = socket.socket(family, kind, protocol)
        end.settimeout(CONNECT_S)
        try:
            end.connect(address)
        except OSError:
            end.close()
            continue
        end.settimeout(None)
        return end
    raise RefusedError(f"{host}:{port} cannot be reached")


class Tunnel:
    """One connection of the agent's, on the host's side."""

    def __init__(self, proxy: "Proxy", number: int) -> None:
        self._proxy = proxy
        self._number = number
        self.incoming: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.credit = WINDOW
        self.room = threading.Condition()
        self.closed = False
        self.upstream: socket.socket | None = None

    def abandon(self) -> None:
        """End it because the sandbox has ended, wherever its threads wait."""
        with self.room:
            self.closed = True
            self.room.notify_all()
        self.incoming.put(None)
        if self.upstream is not None:
            with suppress(OSError):
                self.upstream.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        """Send bytes to the agent when there is room for them."""
        with self.room:
            self.room.wait_for(lambda: self.credit > 0 or self.closed)
            self.credit -= len(data)
        if not self.closed:
            self._proxy.tell(self._number, "data", data)

    def read_until(self, done: Callable[[bytes], bool], timeout_s: float) -> bytes:
        """Collect what the agent sends until it is complete.

        Raises:
            RefusedError: It ended, took too long or grew too long first.
        """
        data = b""
        while not done(data):
            try:
                part = self.incoming.get(timeout=timeout_s)
            except queue.Empty:
                part = None
            if part is None or len(data) + len(part) > HEAD_LIMIT + WINDOW:
                raise RefusedError("the request never came to an end")
            self._proxy.tell(self._number, "credit", n=len(part))
            data += part
        return data

    def run(self) -> None:
        """Decide, connect and carry."""
        host, port = "?", 0
        try:
            head = self.read_until(lambda data: b"\r\n\r\n" in data, HELLO_S)
            host, port = parse_connect(head)
            upstream = self._proxy.admit(host, port)
        except RefusedError as error:
            self._proxy.record(Decision(host=host, port=port, allowed=False, reason=str(error)))
            self.send(f"HTTP/1.1 403 Forbidden\r\n\r\nagentbench: {error}\n".encode())
            self._proxy.end(self._number)
            return
        with upstream:
            self.upstream = upstream
            try:
                self.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                hello = self.hello(host, port, head.partition(b"\r\n\r\n")[2])
                self._proxy.record(Decision(host=host, port=port, allowed=True))
                upstream.sendall(hello)
                self.carry(upstream)
            except RefusedError as error:
                decision = Decision(host=host, port=port, allowed=False, reason=str(error))
                self._proxy.record(decision)
            except OSError:
                pass
            finally:
                self._proxy.end(self._number)

    def hello(self, host: str, port: int, data: bytes) -> bytes:
        """Read the first message; under TLS its server name must be the host asked for."""

        def complete(seen: bytes) -> bool:
            if not seen or seen[0] != 0x16:
                return bool(seen)
            return len(seen) >= 5 and len(seen) >= 5 + int.from_bytes(seen[3:5], "big")

        data += self.read_until(lambda more: complete(data + more), HELLO_S)
        if data[0] == 0x16 or port == 443:
            name = server_name(data)
            if name != host:
                raise RefusedError(f"the TLS server name is {name!r}, not {host}")
        return data

    def carry(self, upstream: socket.socket) -> None:
        """Carry bytes both ways until either side ends."""

        def back() -> None:
            with suppress(OSError):
                while data := upstream.recv(65536):
                    self.send(data)
            self.incoming.put(None)

        threading.Thread(target=back, daemon=True).start()
        while (part := self.incoming.get()) is not None:
            upstream.sendall(part)
            self._proxy.tell(self._number, "credit", n=len(part))
        with suppress(OSError):
            upstream.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Serves the tunnels of one sandbox.

    Args:
        channel: The sandbox's stream.
        patterns: What is allowed (see `matches`).
    """

    def __init__(self, channel: Channel, patterns: tuple[str, ...]) -> None:
        self._channel = channel
        self._patterns = patterns
        self._tunnels: dict[int, Tunnel] = {}
        self._lock = threading.Lock()
        self.decisions: list[Decision] = []
        self._closed = False
        channel.on_tunnel = self.take
        channel.on_end = self.close

    def take(self, header: Header, body: bytes) -> None:
        """Act on a frame about a tunnel; called by the channel's reader, so it never waits."""
        number, what = int(header["to"]), header["do"]
        with self._lock:
            if what == "open":
                if self._closed:
                    return
                tunnel = Tunnel(self, number)
                self._tunnels[number] = tunnel
                threading.Thread(target=tunnel.run, daemon=True).start()
                return
            tunnel = self._tunnels.get(number)
            if tunnel is None:
                return
            if what == "close":
                del self._tunnels[number]
        if what == "data":
            tunnel.incoming.put(body)
        with tunnel.room:
            if what == "credit":
                tunnel.credit += int(header["n"])
            elif what == "close":
                tunnel.closed = True
                tunnel.incoming.put(None)
            tunnel.room.notify_all()

    def close(self) -> None:
        """End every tunnel: the sandbox has ended."""
        with self._lock:
            self._closed = True
            tunnels = list(self._tunnels.values())
        for tunnel in tunnels:
            tunnel.abandon()

    def tell(self, number: int, what: str, body: bytes = b"", n: int = 0) -> None:
        """Send a frame about a tunnel."""
        with suppress(ConnectionError):
            self._channel.send({"op": "tunnel", "to": number, "do": what, "n": n}, body)

    def end(self, number: int) -> None:
        """Close a tunnel from this side."""
        with self._lock:
            if self._tunnels.pop(number, None) is None:
                return
        self.tell(number, "close")

    def admit(self, host: str, port: int) -> socket.socket:
        """Connect to an allowed host.

        Raises:
            RefusedError: It is not allowed or cannot be reached.
        """
        if not any(matches(pattern, host, port) for pattern in self._patterns):
            raise RefusedError(f"{host}:{port} is not on the list")
        return connect(host, port, private_allowed=names_it_exactly(self._patterns, host))

    def record(self, decision: Decision) -> None:
        """Note a decision, the last thousand of them."""
        self.decisions = [*self.decisions[-999:], decision]


def variables() -> dict[str, str]:
    """Return what makes programs inside use the proxy."""
    address = f"http://127.0.0.1:{PORT}"
    return dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY"), address)
