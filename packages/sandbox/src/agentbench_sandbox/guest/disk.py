"""What a sandbox without a file system of its own has on the disk: measured, and removed.

The agent may move things about, take rights away or nest without end while it is measured, so
every step goes from an open directory to a name in it and follows no link.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # typing costs more to import than a command to run
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DEEPEST = 400
"""Deeper nesting is not followed: each level costs a descriptor."""
ENTRY_KIB = 4
"""What anything costs at least, a directory or an empty file too: else they would be free."""


def disk_kib(paths: Sequence[str], pids: list[int], enough: int) -> int:
    """Return the KiB used below `paths` and by removed files that `pids` have open.

    Stops counting once it is more than `enough`; nesting deeper than `DEEPEST` is that at once.
    """
    total = 0
    devices: set[int] = set()
    for path in paths:
        try:
            root = os.open(path, DIRECTORY)
        except OSError:
            continue
        devices.add(os.fstat(root).st_dev)
        for size in sizes_below(root):
            total += enough + 1 if size is None else size
            if total > enough:
                return total
    return total + unlinked_kib(pids, devices)


def sizes_below(root: int) -> Iterator[int | None]:
    """Yield the KiB of all below an open directory, which it closes; None where it is too deep."""
    path = [(root, listing(root))]
    try:
        while path:
            fd, names = path[-1]
            if not names:
                os.close(fd)
                path.pop()
                continue
            name = names.pop()
            try:
                status = os.lstat(name, dir_fd=fd)
            except OSError:
                continue
            yield max(ENTRY_KIB, status.st_blocks // 2)
            if not stat.S_ISDIR(status.st_mode):
                continue
            if len(path) >= DEEPEST:
                yield None
                continue
            below = entered(fd, name)
            if below is not None:
                path.append((below, listing(below)))
    finally:
        for fd, _ in path:
            os.close(fd)


def listing(fd: int) -> list[str]:
    """Return the names in an open directory; none when it has just been removed."""
    try:
        return os.listdir(fd)
    except OSError:
        return []


def entered(fd: int, name: str) -> int | None:
    """Open a directory in an open directory, giving its owner the right to where need be."""
    try:
        return os.open(name, DIRECTORY, dir_fd=fd)
    except PermissionError:
        pass
    except OSError:
        return None
    try:
        there = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
    except OSError:
        return None
    try:
        os.chmod(f"/proc/self/fd/{there}", 0o700)
        return os.open(f"/proc/self/fd/{there}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    finally:
        os.close(there)


def unlinked_kib(pids: list[int], devices: set[int]) -> int:
    """Return the KiB of files on `devices` that processes have open and that have no name."""
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        place = f"/proc/{pid}/fd"
        try:
            numbers = os.listdir(place)
        except OSError:
            continue
        for number in numbers:
            try:
                status = os.stat(f"{place}/{number}")
            except OSError:
                continue
            unnamed = status.st_nlink == 0 and stat.S_ISREG(status.st_mode)
            if unnamed and status.st_dev in devices:
                found[status.st_dev, status.st_ino] = status.st_blocks // 2
    return sum(found.values())


def entries_kib(paths: Sequence[str]) -> int:
    """Return the KiB of memory that the entries of small file systems take: a KiB each.

    The size of a tmpfs limits contents only; a million empty files are a GiB of the kernel's.
    """
    total = 0
    for path in paths:
        try:
            status = os.statvfs(path)
        except OSError:
            continue
        total += status.f_files - status.f_ffree
    return total


def remove_tree(root: str) -> None:
    """Remove a directory and all in it, once nothing runs in it any more.

    Directories are moved up before they are emptied: neither depth, nor a path too long for the
    kernel, nor a missing right keeps anything.
    """
    mark = f"{root}/{os.urandom(8).hex()}-"
    moved = 0
    queue = [root]
    while queue:
        place = queue.pop()
        try:
            os.chmod(place, 0o700)
            names = os.listdir(place)
        except OSError:
            continue
        for name in names:
            path = f"{place}/{name}"
            try:
                mode = os.lstat(path).st_mode
                if not stat.S_ISDIR(mode):
                    os.unlink(path)
                    continue
                os.chmod(path, 0o700)
                moved += 1
                os.rename(path, f"{mark}{moved}")
                queue.append(f"{mark}{moved}")
            except OSError:
                continue
        if place != root:
            try:
                os.rmdir(place)
            except OSError:
                pass
    try:
        os.rmdir(root)
    except OSError:
        pass
