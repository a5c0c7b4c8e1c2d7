"""Connections of the agent's to the loopback proxy, carried over the stream to the host's.

A sandbox with a list of allowed hosts has no network of its own: this is all it can reach.
"""

from __future__ import annotations

import select

from agentbench_sandbox.guest.wire import pack, write_all

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    import socket

    from agentbench_sandbox.guest.wire import Header

MOST = 256
CREDIT = 1 << 20
PIECE = 65536


class Tunnel:
    """One connection, under a number that no other one ever has.

    A descriptor's number is another connection's as soon as it is closed, while what the host says
    about the first one is still under way.
    """

    def __init__(self, end: socket.socket, number: int) -> None:
        self.end = end
        self.number = number
        self.out = bytearray()
        self.credit = CREDIT
        self.closing = False


class Tunnels:
    """All of them, and the port they come in at."""

    def __init__(self, port: int) -> None:
        import socket  # only here: it costs milliseconds, and most sandboxes have no network

        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.listener.setblocking(False)  # noqa: FBT003 - its only parameter
        self.open: dict[int, Tunnel] = {}
        self.descriptors: dict[int, int] = {}
        self.count = 0

    def wanted(self) -> dict[int, int]:
        """Return {descriptor: what to wait for}."""
        masks = {self.listener.fileno(): select.POLLIN}
        for fd, tunnel in self.open.items():
            reading = select.POLLIN if tunnel.credit > 0 else 0
            masks[fd] = reading | (select.POLLOUT if tunnel.out else 0)
        return masks

    def attend(self, fd: int, event: int) -> None:
        """Deal with a descriptor that is ready."""
        if fd == self.listener.fileno():
            self.accept()
            return
        if event & select.POLLOUT and fd in self.open:
            self.flush(fd)
        if event & ~select.POLLOUT and fd in self.open:
            self.carry(fd)

    def close_all(self) -> None:
        """Close this process's copies of every descriptor."""
        self.listener.close()
        for tunnel in self.open.values():
            tunnel.end.close()

    def accept(self) -> None:
        """Take a connection and announce it to the host."""
        try:
            end, _ = self.listener.accept()
        except OSError:
            return
        if len(self.open) >= MOST:
            end.close()
            return
        end.setblocking(False)  # noqa: FBT003 - its only parameter
        self.count += 1
        self.open[end.fileno()] = Tunnel(end, self.count)
        self.descriptors[self.count] = end.fileno()
        tell(self.count, {"do": "open"})

    def forget(self, fd: int) -> int:
        """Close a connection; return the number it had."""
        tunnel = self.open.pop(fd)
        del self.descriptors[tunnel.number]
        tunnel.end.close()
        return tunnel.number

    def carry(self, fd: int) -> None:
        """Carry bytes of the agent's to the host."""
        tunnel = self.open[fd]
        try:
            data = tunnel.end.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            tunnel.credit -= len(data)
            tell(tunnel.number, {"do": "data"}, data)
        else:
            self.close(fd)

    def hear(self, header: Header, body: bytes) -> None:
        """Take what the host's proxy says about a connection."""
        fd = self.descriptors.get(header["to"])
        if fd is None:
            return
        tunnel = self.open[fd]
        if header["do"] == "credit":
            tunnel.credit += header["n"]
        elif header["do"] == "close":
            tunnel.closing = True
        else:
            tunnel.out += body
        self.flush(fd)

    def flush(self, fd: int) -> None:
        """Write what the agent's connection takes."""
        tunnel = self.open[fd]
        while tunnel.out:
            try:
                sent = tunnel.end.send(tunnel.out)
            except BlockingIOError:
                return
            except OSError:
                self.close(fd)
                return
            del tunnel.out[:sent]
            tell(tunnel.number, {"do": "credit", "n": sent})
        if tunnel.closing:
            self.forget(fd)

    def close(self, fd: int) -> None:
        """Close a connection that the agent's side has ended."""
        tell(self.forget(fd), {"do": "close"})


def tell(number: int, header: Header, body: bytes = b"") -> None:
    """Send a frame about a connection to the host."""
    write_all(1, pack({"op": "tunnel", "to": number, **header}, body))
