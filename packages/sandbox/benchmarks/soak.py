"""Open and close many sandboxes, run many commands in one, and see whether anything grows.

    python soak.py [--backend docker|bubblewrap|landlock] [--sandboxes 1000] [--commands 10000]

Descriptors, threads and resident memory of this process, and processes, descriptors and memory of
all that runs inside, are taken once a fifth of the work is done and at its end. Exits with 1 when
one of them has grown.
"""

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agentbench_sandbox import Limits, Request, Sandbox, local
from agentbench_sandbox.daemon import connect
from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.guest.processes import descendants
from agentbench_sandbox.reaper import find

OPENERS: dict[str, Callable[[Request], Sandbox]] = {
    "docker": open_docker,
    "bubblewrap": local.open_bubblewrap,
    "landlock": local.open_landlock,
}
LIMITS = Limits(memory_mib=512, disk_mib=64, tmp_mib=64)
ALLOWED_KIB = 4096
"""Memory may differ by this much between two moments without anything leaking."""
Footprint = dict[str, int]


def resident_kib(pid: int) -> int:
    """Return the resident memory of a process in KiB; 0 when it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open; 0 when it is gone."""
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return 0


def host() -> Footprint:
    """Return what this process holds."""
    gc.collect()
    me = os.getpid()
    return {
        "host descriptors": descriptors(me),
        "host threads": len(list(Path("/proc/self/task").iterdir())),
        "host KiB": resident_kib(me),
        "host children": len(descendants(me)),
    }


def inside(backend: str) -> Footprint:
    """Return what the supervisor of the one open sandbox and all below it hold."""
    roots = descendants(os.getpid())
    if backend == "docker":
        api = connect()
        own = [found for found in find() if found.owner.split("/")[1] == str(os.getpid())]
        first = [int(api.inspect_container(found.container)["State"]["Pid"]) for found in own]
        api.close()
        roots = [pid for root in first for pid in (root, *descendants(root))]
    return {
        "inside processes": len(roots),
        "inside descriptors": sum(descriptors(pid) for pid in roots),
        "inside KiB": sum(resident_kib(pid) for pid in roots),
    }


def grown(before: Footprint, after: Footprint) -> list[str]:
    """Return the names of what is more than it was."""
    return [
        name
        for name, value in after.items()
        if value > before[name] + (ALLOWED_KIB if name.endswith("KiB") else 0)
    ]


def repeat(work: Callable[[], None], n: int, measure: Callable[[], Footprint]) -> dict[str, object]:
    """Do `work` n times; return what was held after a fifth of it, at the end, and what grew."""
    started = time.monotonic()
    before: Footprint = {}
    for turn in range(n):
        work()
        if turn == n // 5:
            before = measure()
    after = measure()
    return {
        "n": n,
        "seconds": round(time.monotonic() - started, 1),
        "after a fifth": before,
        "at the end": after,
        "grown": grown(before, after),
    }


def main() -> None:
    """Run both and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=OPENERS, default="bubblewrap")
    parser.add_argument("--sandboxes", type=int, default=1000)
    parser.add_argument("--commands", type=int, default=10_000)
    asked = parser.parse_args()
    opener = OPENERS[asked.backend]

    def open_and_close() -> None:
        with opener(Request(limits=LIMITS)) as fresh:
            fresh.exec(["true"], timeout_s=60)

    with opener(Request(limits=LIMITS)) as sandbox:

        def command() -> None:
            done = sandbox.exec(["echo", "x"], timeout_s=60)
            assert (done.stdout, done.background) == ("x\n", 0), done

        commands = repeat(command, asked.commands, lambda: host() | inside(asked.backend))
    sandboxes = repeat(open_and_close, asked.sandboxes, host)
    report = {"backend": asked.backend, "commands": commands, "sandboxes": sandboxes}
    print(json.dumps(report, indent=1))
    sys.exit(1 if commands["grown"] or sandboxes["grown"] else 0)


if __name__ == "__main__":
    main()
