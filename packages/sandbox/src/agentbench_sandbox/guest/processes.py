"""Process trees: who descends from whom, and how to end all of them, however they detached."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from collections.abc import Sequence


def parents() -> dict[int, int]:
    """Return {pid: parent's pid} of every process that can be seen."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fd = os.open(f"/proc/{name}/stat", os.O_RDONLY)
            except OSError:
                continue
            try:
                found[int(name)] = int(os.read(fd, 1024).rpartition(b")")[2].split(None, 2)[1])
            except (OSError, IndexError, ValueError):
                continue
            finally:
                os.close(fd)
    return found


def descendants(root: int) -> list[int]:
    """Return the process ids below `root`, children before grandchildren."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):
        return False


def send_signal(pid: int, number: int) -> None:
    """Signal a process that may already be gone."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


class Children:
    """Reap everything that is or becomes a child of this process, and add up what it used."""

    def __init__(self) -> None:
        self.status: dict[int, int] = {}
        self.cpu_s = 0.0
        self.peak_kib = 0
        self.killed = False

    def reap(self) -> bool:
        """Collect the dead without waiting; return whether any child is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.status[pid] = status
            self.cpu_s += usage.ru_utime + usage.ru_stime
            self.peak_kib = max(self.peak_kib, usage.ru_maxrss)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                self.killed = True


def freeze(root: int) -> set[int]:
    """Stop the tree below `root` until no new process appears in it; return its process ids."""
    stopped: set[int] = set()
    clean = 0
    while clean < 2:  # one look can miss a process that changes its parent meanwhile
        fresh = [pid for pid in descendants(root) if pid not in stopped]
        clean = 0 if fresh else clean + 1
        for pid in fresh:
            send_signal(pid, signal.SIGSTOP)
            stopped.add(pid)
    return stopped


def kill_tree(root: int, children: Children, patience_s: float = 20.0) -> bool:
    """Kill everything below `root`, and `root` too unless it is this process.

    All processes are stopped before the first is killed, so that a fork bomb cannot outrun the
    sweep. Returns False when something is still there after `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    own = root == os.getpid()
    while time.monotonic() < deadline:
        if not own and root not in children.status:
            send_signal(root, signal.SIGSTOP)
        victims = freeze(root)
        for pid in victims if own else (*victims, root):
            if pid not in children.status:
                send_signal(pid, signal.SIGKILL)
        left = children.reap()
        if not left or (not own and not victims and not alive(root)):
            return True
        time.sleep(0.001)
    return False


def memory_kib(pids: list[int]) -> int:
    """Return the memory of these processes in KiB, shared pages counted once.

    The cheap sum of resident sizes is an upper bound; `proportional_kib` is the exact one.
    """
    total = 0
    page = os.sysconf("SC_PAGE_SIZE") // 1024
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                total += int(file.read().split()[1]) * page
        except (OSError, IndexError, ValueError):
            continue
    return total


def proportional_kib(pids: list[int]) -> int:
    """Return the proportional set size of these processes in KiB (forked copies count once)."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        total += int(line.split()[1])
                        break
        except (OSError, IndexError, ValueError):
            total += memory_kib([pid])
    return total


def read_counter(paths: Sequence[str], key: str) -> int:
    """Return the integer after `key` in the first of `paths` that exists; 0 when none does."""
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        fields = os.read(fd, 4096).split()
        os.close(fd)
        wanted = key.encode()
        return int(fields[fields.index(wanted) + 1]) if wanted in fields else 0
    return 0


OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
PIDS_COUNTERS = ("/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/pids/pids.events")
"""Where a container sees its own control group's counters: version 2, version 1."""
