"""PID 1 of a sandbox: carries frames between the host's stream and the leaders.

It runs nothing of the agent's itself. When the stream ends, for whatever reason, everything ends:
that is what keeps a killed host process from leaving anything behind.
"""

from __future__ import annotations

import os
import select
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
from agentbench_sandbox.guest.disk import remove_tree
from agentbench_sandbox.guest.leader import Setting, lead, wake_up
from agentbench_sandbox.guest.processes import (
    Children,
    descendants,
    direct_children,
    kill_tree,
    send_signal,
)
from agentbench_sandbox.guest.tunnels import Tunnels
from agentbench_sandbox.guest.watchdog import RESTS, TICK_S, Watchdog
from agentbench_sandbox.guest.wire import CHUNK, Frames, Link, WireError, pack, repack, write_all

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from agentbench_sandbox.guest.wire import Header

SPARE_LEADERS = 4
LONGEST_WAIT_S = 3600.0
OLDEST = (3, 9)


class Leader:
    """The supervisor's end of one leader process."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self.end = end
        self.frames = Frames()
        self.out = bytearray()
        self.requests: set[int] = set()


class Supervisor:
    """The event loop."""

    def __init__(self, config: Header) -> None:
        confinement = Confinement(config)
        self.setting = Setting(config, confinement)
        self.leaders: dict[int, Leader] = {}
        self.by_request: dict[int, Leader] = {}
        self.idle: list[Leader] = []
        self.children = Children()
        self.host = Frames()
        self.watchdog = Watchdog(config, confinement) if config["watch"] else None
        self.deadline = time.monotonic() + config["lifetime_s"]
        self.tunnels = Tunnels(config["proxy_port"]) if config.get("proxy_port") else None
        self.poller = select.poll()
        self.polled: dict[int, int] = {}
        self.wakeup, wake = os.pipe()
        os.set_blocking(self.wakeup, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, wake_up)

    def tell(self, header: Header, body: bytes = b"") -> None:
        """Send a frame to the host."""
        write_all(1, pack(header, body))

    # -- leaders --------------------------------------------------------------------------------

    def add_leader(self) -> Leader:
        """Fork a leader. Raises `OSError` when no process can be made."""
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
                if self.tunnels is not None:
                    self.tunnels.close_all()
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

    def to_leader(self, leader: Leader, frame: bytes) -> None:
        """Queue a frame for a leader; what does not fit now is sent when it reads again."""
        leader.out += frame
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
            frames = leader.frames.cut(data)
        except WireError:
            self.drop_leader(leader)
            return
        for header, head, body in frames:
            if header["op"] == "idle" or header.get("idle"):
                self.forget(leader, header["id"])
                if len(self.idle) < SPARE_LEADERS:
                    self.idle.append(leader)
                else:
                    leader.end.shutdown(socket.SHUT_WR)
            elif header["op"] == "end":
                self.forget(leader, header["id"])
            if header["op"] != "idle":
                write_all(1, repack(head, body))

    # -- requests -------------------------------------------------------------------------------

    def from_host(self) -> bool:
        """Act on what the host sends; return False at the end of the stream."""
        data = os.read(0, CHUNK)
        if not data:
            return False
        for header, head, body in self.host.cut(data):
            self.dispatch(header, head, body)
        return True

    def dispatch(self, header: Header, head: bytes, body: bytes) -> None:
        """Give a request to a leader, and later words about it to the same one."""
        op = header["op"]
        if op == "tunnel":
            if self.tunnels is not None:
                self.tunnels.hear(header, body)
            return
        leader = self.by_request.get(header["id"])
        if leader is not None:
            self.to_leader(leader, repack(head, body))
            return
        if op == "join":
            family = self.by_request.get(header["of"])
            if family is not None:
                self.assign(family, header["id"])
            return
        if op not in ("exec", "kernel", "read", "write", "mkdir", "tree"):
            return  # about a request that has just ended
        try:
            leader = self.idle.pop() if self.idle else self.add_leader()
        except OSError as error:
            self.tell({"id": header["id"], "op": "end", "refused": error.strerror})
            return
        self.assign(leader, header["id"])
        self.to_leader(leader, repack(head, body))

    # -- the loop -------------------------------------------------------------------------------

    def wanted(self) -> dict[int, int]:
        """Return {descriptor: what to wait for}."""
        masks = {0: select.POLLIN, self.wakeup: select.POLLIN}
        for fd, leader in self.leaders.items():
            masks[fd] = select.POLLIN | select.POLLOUT if leader.out else select.POLLIN
        if self.tunnels is not None:
            masks |= self.tunnels.wanted()
        return masks

    def wait(self) -> bool:
        """Wait for the next thing to do and do it; return False when the sandbox must end."""
        wanted = self.wanted()
        if wanted != self.polled:
            for fd in self.polled.keys() - wanted.keys():
                self.poller.unregister(fd)
            for fd, mask in wanted.items():
                self.poller.register(fd, mask)
            self.polled = wanted
        left = self.deadline - time.monotonic()
        if left <= 0:
            return False
        tick = TICK_S if self.watchdog is not None and self.busy() else LONGEST_WAIT_S
        for fd, event in self.poller.poll(min(left, tick) * 1000):
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
        elif self.tunnels is not None:
            self.tunnels.attend(fd, event)

    def sweep(self) -> None:
        """End what came to us because its leader was killed."""
        known = {leader.pid for leader in self.leaders.values()}
        orphans = [pid for pid in direct_children(os.getpid()) if pid not in known]
        for pid in orphans:
            for victim in [*descendants(pid), pid]:
                send_signal(victim, signal.SIGKILL)

    def watch(self, watchdog: Watchdog) -> None:
        """Tell the leaders whose commands use too much."""
        busy = {found.pid: found for found in self.leaders.values() if found not in self.idle}
        if busy:
            for pid, header in watchdog.look(list(busy)):
                self.to_leader(busy[pid], pack(header))

    def run(self) -> None:
        """Serve until the host's stream ends or the lifetime is over."""
        self.idle.append(self.add_leader())
        self.tell({"op": "ready", "python": sys.version.split()[0], "pid": os.getpid()})
        last = time.monotonic()
        rest = TICK_S
        while True:
            was_busy = self.busy()
            if not self.wait():
                return
            now = time.monotonic()
            if not was_busy:
                last = now  # nothing to watch yet, and a command is waiting to start
            elif self.watchdog is not None and now - last >= rest:
                self.watch(self.watchdog)
                last = time.monotonic()
                rest = max(TICK_S, RESTS * (last - now))

    def busy(self) -> bool:
        """Whether any leader works or keeps something running."""
        return len(self.idle) < len(self.leaders)


def main() -> None:
    """Read the configuration, serve, and leave nothing."""
    stay_private()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    config, _ = Link(0).receive()
    if sys.version_info < OLDEST:
        version = ".".join(str(part) for part in sys.version_info[:3])
        message = f"python3 inside is version {version}; 3.9 or newer is needed"
        write_all(1, pack({"op": "failed", "message": message}))
        os._exit(1)
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
        if config.get("remove"):
            for path in config["remove"]:
                remove_tree(path)
        for path in config.get("remove_groups", ()):
            try:
                os.rmdir(path)
            except OSError:
                pass
        os._exit(0)
