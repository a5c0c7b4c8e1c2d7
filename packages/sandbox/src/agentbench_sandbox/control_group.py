"""Control groups for local sandboxes: the kernel's own limits on memory and processes.

Used where this process may make one: as root under version 1, or below a delegated group under
version 2. Elsewhere the number of processes is a resource limit and memory is watched.
"""

import os
import secrets
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


def memberships() -> dict[str, str]:
    """Return {controllers: path} of this process; version 2 has the empty key."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        found[controllers] = path
    return found


def make(limits: Limits) -> ControlGroup | None:
    """Make a control group with these limits, or return None where that is not possible."""
    name = f"agentbench-{os.getpid()}-{secrets.token_hex(4)}"
    made: list[Path] = []
    try:
        joined = memberships()
        if "memory" in joined and "pids" in joined:
            return _version_1(joined, name, limits, made)
        return _version_2(joined[""], name, limits, made)
    except (OSError, KeyError, ValueError):
        for place in made:
            with suppress(OSError):
                place.rmdir()
        return None


def _version_1(joined: dict[str, str], name: str, limits: Limits, made: list[Path]) -> ControlGroup:
    memory = ROOT / "memory" / joined["memory"].lstrip("/") / name
    pids = ROOT / "pids" / joined["pids"].lstrip("/") / name
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


def _version_2(path: str, name: str, limits: Limits, made: list[Path]) -> ControlGroup:
    parent = ROOT / path.lstrip("/")
    if not {"memory", "pids"} <= set((parent / "cgroup.subtree_control").read_text().split()):
        raise ValueError(f"{parent} does not pass memory and pids on")
    place = parent / name
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
