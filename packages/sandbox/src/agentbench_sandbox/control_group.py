"""Control groups for local sandboxes: the kernel's own limits on memory and processes.

Used where this process may make one: as root under version 1, or below a delegated group under
version 2. Elsewhere the number of processes is a resource limit and memory is watched.
"""

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentbench_sandbox.request import Limits

ROOT = Path("/sys/fs/cgroup")
MIB = 1 << 20
LEADERS = 8
"""Processes of the supervisor that live in the group beside the agent's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlGroup:
    """A fresh control group in each hierarchy it needs.

    Attributes:
        places: Its directories; a process joins by writing to `cgroup.procs` in each.
        oom_counter: The file that counts processes killed for memory.
        pids_counter: The file that counts refused forks.
    """

    places: tuple[Path, ...]
    oom_counter: Path
    pids_counter: Path

    def config(self) -> dict[str, Any]:
        """Return what the supervisor must know: how to join, what to read, what to remove."""
        return {
            "join": [str(place / "cgroup.procs") for place in self.places],
            "oom_counter": str(self.oom_counter),
            "pids_counter": str(self.pids_counter),
            "remove_groups": [str(place) for place in self.places],
        }

    def remove(self) -> None:
        """Remove it, once it is empty."""
        for place in self.places:
            with suppress(OSError):
                place.rmdir()


def memberships(text: str) -> dict[str, str]:
    """Return {controller: path} of what /proc/self/cgroup says; version 2 has the empty key."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def make(
    limits: Limits, *, root: Path = ROOT, joined: Mapping[str, str] | None = None
) -> ControlGroup | None:
    """Make a control group with these limits, or return None where that is not possible.

    Args:
        limits: What the group may use.
        root: Where the control groups are mounted.
        joined: {controller: path} of this process; asked of the kernel by default.
    """
    name = f"agentbench-{os.getpid()}-{secrets.token_hex(4)}"
    made: list[Path] = []
    try:
        mine = joined or memberships(Path("/proc/self/cgroup").read_text())
        if "memory" in mine and "pids" in mine:
            return _version_1(root, mine, name, limits, made)
        return _version_2(root, mine[""], name, limits, made)
    except (OSError, KeyError, ValueError):
        for place in made:
            with suppress(OSError):
                place.rmdir()
        return None


def _version_1(
    root: Path, joined: Mapping[str, str], name: str, limits: Limits, made: list[Path]
) -> ControlGroup:
    memory = root / "memory" / joined["memory"].lstrip("/") / name
    pids = root / "pids" / joined["pids"].lstrip("/") / name
    for place in (memory, pids):
        place.mkdir()
        made.append(place)
    limit = str(limits.memory_mib * MIB)
    (memory / "memory.limit_in_bytes").write_text(limit)
    with suppress(OSError):  # only where the kernel accounts for swap
        (memory / "memory.memsw.limit_in_bytes").write_text(limit)
    (pids / "pids.max").write_text(str(limits.pids + LEADERS))
    return ControlGroup(
        places=(memory, pids),
        oom_counter=memory / "memory.oom_control",
        pids_counter=pids / "pids.events",
    )


def _delegating(root: Path, path: str) -> Path:
    """Return the nearest group at or above `path` whose children can be limited.

    A group that holds processes cannot pass controllers on, so it is seldom the process's own.
    """
    own = root / path.lstrip("/")
    for place in (own, *own.parents):
        if not place.is_relative_to(root):
            break
        passed_on = (place / "cgroup.subtree_control").read_text().split()
        if {"memory", "pids"} <= set(passed_on):
            return place
    raise ValueError(f"no group above {own} passes memory and pids on")


def _version_2(root: Path, path: str, name: str, limits: Limits, made: list[Path]) -> ControlGroup:
    place = _delegating(root, path) / name
    place.mkdir()
    made.append(place)
    (place / "memory.max").write_text(str(limits.memory_mib * MIB))
    with suppress(OSError):
        (place / "memory.swap.max").write_text("0")
    (place / "pids.max").write_text(str(limits.pids + LEADERS))
    return ControlGroup(
        places=(place,),
        oom_counter=place / "memory.events",
        pids_counter=place / "pids.events",
    )
