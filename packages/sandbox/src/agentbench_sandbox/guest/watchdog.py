"""Limits where no control group enforces them: measure the trees, pick the one that must end."""

from __future__ import annotations

import os

from agentbench_sandbox.guest.processes import descendants, memory_kib, proportional_kib

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbench_sandbox.guest.confine import Confinement
    from agentbench_sandbox.guest.wire import Header

TICK_S = 0.1
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
        self.as_agent = confinement.enter if config.get("uid") is not None else None

    def look(self, leaders: list[int]) -> list[tuple[int, Header]]:
        """Return (leader's process id, frame for it) of those that must be told something."""
        trees = {leader: descendants(leader) for leader in leaders}
        pids = [pid for tree in trees.values() for pid in tree]
        limit = self.limits.get("memory_kib")
        over = limit and memory_kib(pids) > limit and self.exact_kib(pids) > limit
        # every leader that works has one deputy, which is not the agent's
        most = self.limits.get("pids", float("inf")) + len(leaders)
        crowd = len(pids) > most
        full = self.fills_disk()
        told: list[tuple[int, Header]] = []
        if len(pids) > most - PIDS_NEAR:
            told.append((largest(trees, len), {"id": 0, "op": "crowded"}))
        if over or crowd or full:
            word = "memory" if over else "pids" if crowd else "disk"
            worst = largest(trees, memory_kib if over else len)
            told.append((worst, {"id": 0, "op": "limit", "which": word}))
        return told

    def fills_disk(self) -> bool:
        """Whether the disk holds more than it may, and more than at the last look.

        What only reads or removes files there must not die of what another command has left.
        """
        limit = self.limits.get("disk_kib")
        if not limit:
            return False
        used = disk_kib(self.limits["disk_paths"], 2 * limit)
        before, self.disk_before = self.disk_before, used
        return used > 2 * limit or (used > limit and used > before)

    def exact_kib(self, pids: list[int]) -> int:
        """Return the memory of `pids`, forked copies counted once, as the agent."""
        if self.as_agent is None:
            return proportional_kib(pids)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self.as_agent()
                os.write(writer, b"%d" % proportional_kib(pids))
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as file:
            text = file.read()
        return int(text or 0)


def largest(trees: dict[int, list[int]], size: Callable[[list[int]], int]) -> int:
    """Return the leader whose tree is largest."""
    return max(trees, key=lambda leader: size(trees[leader]))


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
