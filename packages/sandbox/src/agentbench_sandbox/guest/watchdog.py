"""Limits where no control group enforces them: measure the trees, pick the one that must end."""

from __future__ import annotations

import os
import select
import signal
import sys

from agentbench_sandbox.guest.disk import disk_kib, entries_kib, unlinked_kib
from agentbench_sandbox.guest.processes import (
    descendants,
    memory_kib,
    proportional_kib,
    send_signal,
)

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbench_sandbox.guest.confine import Confinement
    from agentbench_sandbox.guest.wire import Header

TICK_S = 0.1
PATIENCE_TICKS = 10
"""How long a measurement that the agent may hamper is waited for."""
SELDOM = 5
RESTS = 5
"""Looks rest for this many times as long as the last one took: the supervisor has other work."""
PIDS_NEAR = 8
"""The kernel refuses forks at the limit without counting them: this close to it is at it."""


class Watchdog:
    """Watches the process trees below some leaders.

    Args:
        config: The supervisor's configuration; `watch` in it names the limits.
        confinement: Makes a child the agent, to read what only the agent may.
    """

    def __init__(self, config: Header, confinement: Confinement) -> None:
        self.limits = config["watch"]
        self.disk_before = 0
        self.looks = 0
        self.hampered = 0
        self.as_agent = confinement.enter if config.get("uid") is not None else None
        memory = os.memfd_create("device")
        self.memory_device = os.fstat(memory).st_dev
        os.close(memory)

    def look(self, leaders: list[int]) -> list[tuple[int, Header]]:
        """Return (leader's process id, frame for it) of those that must be told something."""
        self.looks += 1
        trees = {leader: descendants(leader) for leader in leaders}
        pids = [pid for tree in trees.values() for pid in tree]
        over = self.fills_memory(pids)
        # every leader that works has one deputy, which is not the agent's
        most = self.limits.get("pids", float("inf")) + len(leaders)
        crowd = len(pids) > most
        full = self.fills_disk(pids)
        told: list[tuple[int, Header]] = []
        if len(pids) > most - PIDS_NEAR:
            told.append((largest(trees, len), {"id": 0, "op": "crowded"}))
        if over or crowd or full:
            word = "memory" if over else "pids" if crowd else "disk"
            worst = largest(trees, self.held_kib if over else len)
            told.append((worst, {"id": 0, "op": "limit", "which": word}))
        return told

    def fills_memory(self, pids: list[int]) -> bool:
        """Whether the processes use more memory than they may.

        Memory files that they hold and have not mapped count too. Where only the agent may look for
        those, that is done at every `SELDOM`-th look: it costs a fork.
        """
        limit = self.limits.get("memory_kib")
        if not limit or not pids:
            return False
        seldom = self.as_agent is not None and self.looks % SELDOM == 0
        return (seldom or self.held_kib(pids) > limit) and self.exact_kib(pids) > limit

    def held_kib(self, pids: list[int]) -> int:
        """Return an upper bound of their memory that is cheap to find, as far as it may be seen."""
        return memory_kib(pids) + unlinked_kib(pids, {self.memory_device})

    def fills_disk(self, pids: list[int]) -> bool:
        """Whether the disk holds more than it may, and more than at the last look.

        What only reads or removes files there must not die of what another command has left.
        """
        limit = self.limits.get("disk_kib")
        if not limit:
            return False
        if "entries_paths" in self.limits:
            used = entries_kib(self.limits["entries_paths"])
        else:
            used = disk_kib(self.limits["disk_paths"], pids, 2 * limit)
        before, self.disk_before = self.disk_before, used
        return used > 2 * limit or (used > limit and used > before)

    def exact_kib(self, pids: list[int]) -> int:
        """Return the memory of `pids`, forked copies counted once, as the agent.

        The agent may stop or kill whoever counts. Then the upper bound holds, and when that happens
        again and again, infinity.
        """
        if self.as_agent is None:
            return self.count_kib(pids)
        reader, writer = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            return self.held_kib(pids)
        if pid == 0:
            try:
                os.close(reader)
                self.as_agent()
                os.write(writer, b"%d" % self.count_kib(pids))
            finally:
                os._exit(0)
        os.close(writer)
        poller = select.poll()
        poller.register(reader, select.POLLIN)
        text = b""
        for _ in range(PATIENCE_TICKS):
            if poller.poll(TICK_S * 1000):
                text = os.read(reader, 32)
                break
            send_signal(pid, signal.SIGCONT)
        os.close(reader)
        send_signal(pid, signal.SIGKILL)  # it is reaped with all that comes to the supervisor
        self.hampered = 0 if text else self.hampered + 1
        if self.hampered >= PATIENCE_TICKS:
            return sys.maxsize
        return int(text) if text else self.held_kib(pids)

    def count_kib(self, pids: list[int]) -> int:
        """Count as who may."""
        return proportional_kib(pids, unlinked_kib(pids, {self.memory_device}))


def largest(trees: dict[int, list[int]], size: Callable[[list[int]], int]) -> int:
    """Return the leader whose tree is largest."""
    return max(trees, key=lambda leader: size(trees[leader]))
