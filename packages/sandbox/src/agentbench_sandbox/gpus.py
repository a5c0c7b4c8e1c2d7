"""GPUs of this machine, leased so that no two sandboxes have the same one."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agentbench_sandbox.errors import CapabilityError, SandboxUnavailableError

LEASES = Path("/tmp/agentbench-gpus")  # noqa: S108 - one place for all users of the machine
"""One lock file for each GPU; the kernel drops a lock with the process that holds it."""
QUERY = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU: its number on this machine and the name that never changes."""

    index: str
    uuid: str


ListDevices = Callable[[], Sequence[Device]]


def list_devices() -> Sequence[Device]:
    """Return the NVIDIA GPUs of this machine, as `nvidia-smi` lists them; none without it."""
    try:
        listed = subprocess.run(  # noqa: S603 - a constant
            QUERY, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    pairs = (line.partition(",") for line in listed.stdout.splitlines() if "," in line)
    return tuple(Device(index=index.strip(), uuid=uuid.strip()) for index, _, uuid in pairs)


class Lease:
    """GPUs that are one sandbox's until `release`, or until this process ends."""

    def __init__(self) -> None:
        self._locks: dict[str, int] = {}

    @property
    def uuids(self) -> tuple[str, ...]:
        """What is leased."""
        return tuple(self._locks)

    def take(self, uuid: str, directory: Path) -> bool:
        """Lock one GPU; return False when somebody else has it."""
        fd = lock_file(directory / uuid)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._locks[uuid] = fd
        return True

    def release(self) -> None:
        """Give everything back. Releasing twice is fine."""
        while self._locks:
            _, fd = self._locks.popitem()
            fcntl.flock(fd, fcntl.LOCK_UN)  # a forked process may still hold a copy
            os.close(fd)


def lock_file(path: Path) -> int:
    """Open a lock file that every user of the machine may lock; make it if need be."""
    with suppress(FileExistsError):
        path.parent.mkdir(mode=0o1777)
        path.parent.chmod(0o1777)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):
            return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)


def lease(
    asked: int | tuple[str, ...], *, devices: ListDevices = list_devices, directory: Path = LEASES
) -> Lease:
    """Lease `asked` GPUs: so many of those that are free, or exactly those named.

    Args:
        asked: How many, or their indices or UUIDs.
        devices: Lists the GPUs of this machine.
        directory: Where the locks are; the same for all who must not collide.

    Raises:
        CapabilityError: This machine does not have them.
        SandboxUnavailableError: It does, but other sandboxes hold them.
    """
    if not asked:
        return Lease()
    present = devices()
    if isinstance(asked, tuple):
        names = {name: device.uuid for device in present for name in (device.index, device.uuid)}
        if unknown := [name for name in asked if name not in names]:
            raise CapabilityError(
                f"this machine has no GPU {', '.join(unknown)}; it has "
                + (", ".join(f"{device.index} ({device.uuid})" for device in present) or "none")
            )
        candidates = list(dict.fromkeys(names[name] for name in asked))
        needed = len(candidates)
    else:
        candidates = [device.uuid for device in present]
        needed = asked
        if needed > len(candidates):
            raise CapabilityError(
                f"{needed} GPUs were asked for and this machine has {len(candidates)} "
                "(counted by nvidia-smi)"
            )
    held = Lease()
    for uuid in candidates:
        if len(held.uuids) < needed:
            held.take(uuid, directory)
    if (free := len(held.uuids)) < needed:
        held.release()
        raise SandboxUnavailableError(
            f"{needed} of the GPUs {', '.join(candidates)} were asked for and other sandboxes "
            f"leave {free} of them free; close one of those or ask for fewer"
        )
    return held
