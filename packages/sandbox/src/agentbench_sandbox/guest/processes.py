"""Process trees: who descends from whom, and how to end all of them, however they detached."""

from __future__ import annotations

import errno
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


def direct_children(root: int) -> list[int]:
    """Return the process ids of the children of `root`, which is single-threaded."""
    try:
        with open(f"/proc/{root}/task/{root}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return [pid for pid, parent in parents().items() if parent == root]


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


def fork_patiently(patience_s: float = 1.0) -> int | None:
    """Fork; wait a little when the process limit is hit. Returns None when it stays hit."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return os.fork()
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.01)


class Children:
    """Reap everything that is or becomes a child of this process, and add up what it used.

    The usage of the process `exempt` is left out: a deputy's is that of all commands before.
    """

    def __init__(self) -> None:
        self.status: dict[int, int] = {}
        self.exempt = -1
        self.cpu_s = 0.0
        self.peak_kib = 0

    def reap(self) -> bool:
        """Collect the dead without waiting; return whether any child is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid != self.exempt:
                self.note(pid, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)

    def note(self, pid: int, status: int, cpu_s: float, peak_kib: int) -> None:
        """Add one that has ended."""
        self.status[pid] = status
        self.cpu_s += cpu_s
        self.peak_kib = max(self.peak_kib, peak_kib)


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
        if not own and root not in descendants(os.getpid()):
            return True  # gone, and without a process namespace its number may be a stranger's
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


def proportional_kib(pids: list[int], unmapped_kib: int = 0) -> int:
    """Return the proportional set size of these processes in KiB (forked copies count once).

    `unmapped_kib` is the size of shared memory that they hold and need not have mapped.
    """
    total = shared = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        total += int(line.split()[1])
                    elif line.startswith(b"Pss_Shmem:"):
                        shared += int(line.split()[1])
        except (OSError, IndexError, ValueError):
            total += memory_kib([pid])
    return total + max(0, unmapped_kib - shared)


class Counter:
    """A counter of the kernel: the integer after `key` in the first of `paths` that exists."""

    def __init__(self, paths: Sequence[str], key: bytes) -> None:
        self._key = key
        self._path = next((path for path in paths if os.path.exists(path)), None)
        self._fd = -1 if self._path is None else os.open(self._path, os.O_RDONLY)

    def read(self) -> int:
        """Return its value; 0 when there is none."""
        if self._fd < 0:
            return 0
        words = os.pread(self._fd, 4096, 0).split()
        return int(words[words.index(self._key) + 1]) if self._key in words else 0

    def beside(self, name: str) -> float:
        """Return the number in the file `name` of the same directory; infinity when none is."""
        try:
            with open(os.path.join(os.path.dirname(self._path or "/"), name)) as file:
                return float(file.read().replace("max", "inf"))
        except (OSError, ValueError):
            return float("inf")


OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
PIDS_COUNTERS = ("/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/pids/pids.events")
"""Where a container sees its own control group's counters: version 2, version 1."""
