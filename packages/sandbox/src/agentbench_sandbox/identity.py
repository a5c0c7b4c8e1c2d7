"""Who the agent is inside, and who owns a sandbox outside."""

import os
import platform
import time
from pathlib import Path

from agentbench_sandbox.errors import CapabilityError
from agentbench_sandbox.request import Request

LABEL = "dev.agentbench.sandbox"
OWNER_LABEL = "dev.agentbench.owner"
EXPIRES_LABEL = "dev.agentbench.expires"
AGENT = 65534
"""The user the agent is where nothing asks for another."""


def agent_user(request: Request, default: int) -> int:
    """Return the user id the agent runs as when the supervisor is root.

    It is the owner of the first writable mount, so that what the agent leaves there belongs to
    whoever owns the directory on the host; without one it is `default`.

    Raises:
        CapabilityError: A writable mount belongs to root, or two belong to different users.
    """
    owners = {
        Path(mount.source).stat().st_uid: mount for mount in request.mounts if not mount.read_only
    }
    if 0 in owners:
        raise CapabilityError(
            f"a writable mount owned by root would make the agent root: {owners[0].source}; "
            "give the directory to another user (chown)"
        )
    if len(owners) > 1:
        raise CapabilityError(
            "writable mounts must belong to one user, these belong to "
            + ", ".join(f"{uid}: {mount.source}" for uid, mount in owners.items())
        )
    return next(iter(owners), default)


def boot_id() -> str:
    """Return what identifies this boot of this machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def start_time(pid: int) -> str | None:
    """Return when a process of this machine started, in clock ticks; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]


def owner() -> str:
    """Return `host/pid/start/boot`: what tells whether the process that opened it still runs."""
    pid = os.getpid()
    return f"{platform.node()}/{pid}/{start_time(pid)}/{boot_id()}"


def owner_is_gone(text: str) -> bool:
    """Whether an owner of this machine has ended. Owners of other machines are left alone."""
    host, _, rest = text.rpartition("/")[0].partition("/")
    pid, _, started = rest.partition("/")
    if host != platform.node() or not pid.isdigit():
        return False
    if text.rpartition("/")[2] != boot_id():
        return True
    return start_time(int(pid)) != started


def labels(lifetime_s: float) -> dict[str, str]:
    """Return the labels of a container opened now by this process."""
    expires = str(int(time.time() + lifetime_s))
    return {LABEL: "1", OWNER_LABEL: owner(), EXPIRES_LABEL: expires}
