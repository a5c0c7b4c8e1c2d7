"""PID 1 of a sandbox: carries frames between the host's stream and the leaders.

It runs nothing of the agent's itself. When the stream ends, for whatever reason, everything ends:
that is what keeps a killed host process from leaving anything behind.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
import time

from agentbench_sandbox.guest.confine import (
    PR_SET_CHILD_SUBREAPER,
    Confinement,
    prctl,
    stay_private,
)
from agentbench_sandbox.guest.leader import Setting, lead, wake_up
from agentbench_sandbox.guest.processes import (
    Children,
    descendants,
    direct_children,
    kill_tree,
    memory_kib,
    proportional_kib,
    send_signal,
)
from agentbench_sandbox.guest.wire import CHUNK, Frames, Link, WireError, pack, write_all

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbench_sandbox.guest.wire import Header

SPARE_LEADERS = 4
TICK_S = 0.1


class Leader:
    """The supervisor's end of one leader process."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self.end = end
        self.frames = Frames()
        self.out = bytearray()
        self.requests: set[int] = set()


class Tunnel:
    """One connection of the agent's to the loopback proxy, carried to the host."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.out = bytearray()
        self.credit = 1 << 20
        self.closing = False


class Supervisor:
    """The event loop."""

    def __init__(self, config: Header) -> None:
        self.config = config
        self.confinement = Confinement(config)
        self.setting = Setting(config, self.confinement)
        self.leaders: dict[int, Leader] = {}
        self.by_request: dict[int, Leader] = {}
        self.idle: list[Leader] = []
        self.children = Children()
        self.host = Frames()
        self.limits = config["watch"]
        self.deadline = time.monotonic() + config["lifetime_s"]
        self.listener: socket.socket | None = None
        self.tunnels: dict[int, Tunnel] = {}
        self.wakeup, wake = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, wake_up)
        if config.get("proxy_port"):
            self.listener = socket.create_server(("127.0.0.1", config["proxy_port"]), backlog=64)
            self.listener.setblocking(False)  # noqa: FBT003 - its only parameter

    def tell(self, header: Header, body: bytes = b"") -> None:
        """Send a frame to the host."""
        write_all(1, pack(header, body))

    # -- leaders --------------------------------------------------------------------------------

    def add_leader(self) -> Leader:
        """Fork a leader; it is idle at once. Raises `OSError` when no process can be made."""
        mine, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            mine.close()
            theirs.close()
            raise
        if pid == 0:
            try:
                mine.close()
                os.close(self.wakeup)
                for other in self.leaders.values():
                    other.end.close()
                if self.listener is not None:
                    self.listener.close()
                for tunnel in self.tunnels.values():
                    tunnel.end.close()
                null = os.open("/dev/null", os.O_RDWR)
                os.dup2(null, 0)
                os.dup2(null, 1)
                lead(theirs.fileno(), self.setting)
            finally:
                os._exit(0)
        theirs.close()
        mine.setblocking(False)  # noqa: FBT003 - its only parameter
        leader = Leader(pid, mine)
        self.leaders[mine.fileno()] = leader
        self.idle.append(leader)
        return leader

    def drop_leader(self, leader: Leader) -> None:
        """Forget a leader whose socket is closed; end what it may have left."""
        del self.leaders[leader.end.fileno()]
        if leader in self.idle:
            self.idle.remove(leader)
        leader.end.close()
        for number in leader.requests:
            del self.by_request[number]
            self.tell({"id": number, "op": "end", "lost": True})

    def assign(self, leader: Leader, number: int) -> None:
        """Note that a leader works on a request."""
        leader.requests.add(number)
        self.by_request[number] = leader

    def forget(self, leader: Leader, number: int) -> None:
        """Note that a request has ended."""
        if number in leader.requests:
            leader.requests.remove(number)
            del self.by_request[number]

    def to_leader(self, leader: Leader, header: Header, body: bytes) -> None:
        """Queue a frame for a leader; what does not fit now is sent when it reads again."""
        leader.out += pack(header, body)
        self.flush(leader)

    def flush(self, leader: Leader) -> None:
        """Write what the leader's socket takes."""
        while leader.out:
            try:
                sent = leader.end.send(leader.out)
            except BlockingIOError:
                return
            except OSError:
                leader.out.clear()
                return
            del leader.out[:sent]

    def from_leader(self, leader: Leader) -> None:
        """Carry what a leader says to the host."""
        try:
            data = leader.end.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop_leader(leader)
            return
        try:
            frames = leader.frames.feed(data)
        except WireError:
            self.drop_leader(leader)
            return
        for header, body in frames:
            if header["op"] == "idle" or header.get("idle"):
                self.forget(leader, header["id"])
                if len(self.idle) < SPARE_LEADERS:
                    self.idle.append(leader)
                else:
                    leader.end.shutdown(socket.SHUT_WR)
            elif header["op"] == "end":
                self.forget(leader, header["id"])
            if header["op"] != "idle":
                self.tell(header, body)

    # -- requests -------------------------------------------------------------------------------

    def from_host(self) -> bool:
        """Act on what the host sends; return False at the end of the stream."""
        data = os.read(0, CHUNK)
        if not data:
            return False
        for header, body in self.host.feed(data):
            self.dispatch(header, body)
        return True

    def dispatch(self, header: Header, body: bytes) -> None:
        """Give a request to a leader, and later words about it to the same one."""
        op = header["op"]
        if op == "tunnel":
            self.to_tunnel(header, body)
            return
        leader = self.by_request.get(header["id"])
        if leader is not None:
            self.to_leader(leader, header, body)
            return
        if op == "ping":
            self.tell({"id": header["id"], "op": "end", "usage": self.usage()})
            return
        if op == "join":
            family = self.by_request.get(header["of"])
            if family is not None:
                self.assign(family, header["id"])
            return
        if op not in ("exec", "kernel", "read", "write", "mkdir", "tree"):
            return  # about a request that has just ended
        try:
            leader = self.idle.pop() if self.idle else self.add_leader() and self.idle.pop()
        except OSError as error:
            self.tell({"id": header["id"], "op": "end", "refused": error.strerror})
            return
        self.assign(leader, header["id"])
        self.to_leader(leader, header, body)

    def usage(self) -> Header:
        """Return what the sandbox uses now."""
        pids = [pid for pid in descendants(os.getpid()) if pid not in self.leader_pids()]
        return {
            "processes": len(pids),
            "memory_kib": memory_kib(pids),
            "leaders": len(self.leaders),
        }

    def leader_pids(self) -> set[int]:
        """Return the process ids of the leaders."""
        return {leader.pid for leader in self.leaders.values()}

    # -- tunnels (network allow-list) -----------------------------------------------------------

    def accept(self, listener: socket.socket) -> None:
        """Take a connection to the loopback proxy and announce it to the host."""
        try:
            end, _ = listener.accept()
        except OSError:
            return
        if len(self.tunnels) >= 256:
            end.close()
            return
        end.setblocking(False)  # noqa: FBT003 - its only parameter
        self.tunnels[end.fileno()] = Tunnel(end)
        self.tell({"op": "tunnel", "to": end.fileno(), "do": "open"})

    def from_tunnel(self, number: int) -> None:
        """Carry bytes of the agent's to the host."""
        tunnel = self.tunnels[number]
        try:
            data = tunnel.end.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close_tunnel(number)
            self.tell({"op": "tunnel", "to": number, "do": "close"})
            return
        tunnel.credit -= len(data)
        self.tell({"op": "tunnel", "to": number, "do": "data"}, data)

    def to_tunnel(self, header: Header, body: bytes) -> None:
        """Carry bytes of the host's proxy to the agent."""
        tunnel = self.tunnels.get(header["to"])
        if tunnel is None:
            return
        if header["do"] == "credit":
            tunnel.credit += header["n"]
        elif header["do"] == "close":
            tunnel.closing = True
        else:
            tunnel.out += body
        self.flush_tunnel(header["to"])

    def flush_tunnel(self, number: int) -> None:
        """Write what the agent's connection takes."""
        tunnel = self.tunnels[number]
        while tunnel.out:
            try:
                sent = tunnel.end.send(tunnel.out)
            except BlockingIOError:
                return
            except OSError:
                self.close_tunnel(number)
                self.tell({"op": "tunnel", "to": number, "do": "close"})
                return
            del tunnel.out[:sent]
            self.tell({"op": "tunnel", "to": number, "do": "credit", "n": sent})
        if tunnel.closing:
            self.close_tunnel(number)

    def close_tunnel(self, number: int) -> None:
        """Close the agent's side of a connection."""
        self.tunnels.pop(number).end.close()

    # -- limits without a control group ---------------------------------------------------------

    def watch(self) -> None:
        """End the command that uses most when all of them together use too much."""
        if not self.busy():
            return
        trees = {
            leader: descendants(leader.pid)
            for leader in self.leaders.values()
            if leader not in self.idle
        }
        pids = [pid for tree in trees.values() for pid in tree]
        limit = self.limits.get("memory_kib")
        over = limit and memory_kib(pids) > limit and self.exact_kib(pids) > limit
        most = self.limits.get("pids", float("inf"))
        crowd = len(pids) > most
        disk = self.limits.get("disk_kib")
        full = disk and disk_kib(self.limits["disk_paths"], disk) > disk
        if len(pids) > most - 8:  # the kernel refuses forks at the limit without counting them
            worst = max(trees, key=lambda leader: len(trees[leader]))
            self.to_leader(worst, {"id": 0, "op": "crowded"}, b"")
        if over or crowd or full:
            worst = max(trees, key=lambda leader: (memory_kib if over else len)(trees[leader]))
            word = "memory" if over else "pids" if crowd else "disk"
            self.to_leader(worst, {"id": 0, "op": "limit", "which": word}, b"")

    def exact_kib(self, pids: list[int]) -> int:
        """Return the memory of `pids`, forked copies counted once, as the agent."""
        if self.config.get("uid") is None:
            return proportional_kib(pids)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self.confinement.enter()
                os.write(writer, b"%d" % proportional_kib(pids))
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as file:
            text = file.read()
        return int(text or 0)

    # -- the loop -------------------------------------------------------------------------------

    def wait(self) -> bool:
        """Wait for the next thing to do and do it; return False when the sandbox must end."""
        poller = select.poll()
        poller.register(0, select.POLLIN)
        poller.register(self.wakeup, select.POLLIN)
        for fd, leader in self.leaders.items():
            poller.register(fd, select.POLLIN | (select.POLLOUT if leader.out else 0))
        if self.listener is not None:
            poller.register(self.listener, select.POLLIN)
            for fd, tunnel in self.tunnels.items():
                mask = (select.POLLIN if tunnel.credit > 0 else 0) | (
                    select.POLLOUT if tunnel.out else 0
                )
                poller.register(fd, mask)
        left = self.deadline - time.monotonic()
        if left <= 0:
            return False
        busy = self.limits and self.busy()
        for fd, event in poller.poll(min(left, TICK_S if busy else 3600) * 1000):
            if fd == 0:
                if not self.from_host():
                    return False
            else:
                self.attend(fd, event)
        return True

    def attend(self, fd: int, event: int) -> None:
        """Deal with a descriptor that is ready."""
        if fd == self.wakeup:
            os.read(fd, 4096)
            self.children.reap()
            self.children.status.clear()
            self.sweep()
        elif fd in self.leaders:
            leader = self.leaders[fd]
            if event & select.POLLOUT:
                self.flush(leader)
            if event & ~select.POLLOUT:
                self.from_leader(leader)
        elif fd in self.tunnels:
            if event & select.POLLOUT:
                self.flush_tunnel(fd)
            if fd in self.tunnels and event & ~select.POLLOUT:
                self.from_tunnel(fd)
        elif self.listener is not None and fd == self.listener.fileno():
            self.accept(self.listener)

    def sweep(self) -> None:
        """End what came to us because its leader was killed."""
        known = self.leader_pids()
        orphans = [pid for pid in direct_children(os.getpid()) if pid not in known]
        for pid in orphans:
            for victim in [*descendants(pid), pid]:
                send_signal(victim, signal.SIGKILL)

    def run(self) -> None:
        """Serve until the host's stream ends or the lifetime is over."""
        self.add_leader()
        self.tell({"op": "ready", "python": sys.version.split()[0], "pid": os.getpid()})
        last = time.monotonic()
        while True:
            was_busy = self.busy()
            if not self.wait():
                return
            now = time.monotonic()
            if not was_busy:
                last = now  # nothing to watch yet, and a command is waiting to start
            elif self.limits and now - last >= TICK_S:
                self.watch()
                last = time.monotonic()

    def busy(self) -> bool:
        """Whether any leader works or keeps something running."""
        return len(self.idle) < len(self.leaders)


def disk_kib(paths: Sequence[str], enough: int) -> int:
    """Return the KiB used below `paths`; stops counting once it is more than `enough`."""
    total = 0
    for root in paths:
        for place, _, names in os.walk(root):
            for name in names:
                try:
                    total += os.lstat(os.path.join(place, name)).st_blocks // 2
                except OSError:
                    continue
            if total > enough:
                return total
    return total


def main() -> None:
    """Read the configuration, serve, and leave nothing."""
    stay_private()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    config, _ = Link(0).receive()
    try:
        for path in config.get("shared", ()):
            os.chmod(path, 0o1777)  # noqa: S103 - Docker gives a tmpfs the mode of the directory below it
        if config.get("cpus"):
            os.sched_setaffinity(0, config["cpus"])
        supervisor = Supervisor(config)
    except OSError as error:
        write_all(
            1, pack({"op": "failed", "message": f"{error.filename or ''} {error.strerror}".strip()})
        )
        os._exit(1)
    try:
        supervisor.run()
    except (OSError, EOFError):
        pass
    finally:
        kill_tree(os.getpid(), Children())
        for path in config.get("remove", ()):
            shutil.rmtree(path, ignore_errors=True)
        for path in config.get("remove_groups", ()):
            try:
                os.rmdir(path)
            except OSError:
                pass
        os._exit(0)
