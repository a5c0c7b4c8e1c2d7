"""Find containers whose owner is gone, or whose time is over, and remove them.

Normally there are none: a sandbox ends with the stream of the process that opened it. This is for
what a daemon crash or a paused machine leaves.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agentbench_sandbox.daemon import connect
from agentbench_sandbox.identity import EXPIRES_LABEL, LABEL, OWNER_LABEL, owner_is_gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A container of this package.

    Attributes:
        container: Its id.
        image: Its image.
        status: What Docker says about it.
        owner: `host/pid/start/boot` of the process that opened it.
        orphan: Why it may be removed; empty while its owner lives.
    """

    container: str
    image: str
    status: str
    owner: str
    orphan: str


def find(*, now: float | None = None) -> list[Found]:
    """Return every sandbox container of this daemon.

    Raises:
        SandboxUnavailableError: No Docker daemon answers.
    """
    api = connect()
    try:
        listed: list[dict[str, Any]] = api.containers(all=True, filters={"label": LABEL})
    finally:
        api.close()
    return [describe(entry, time.time() if now is None else now) for entry in listed]


def describe(entry: dict[str, Any], now: float) -> Found:
    """Return one container of Docker's list, with why it may go."""
    labels: dict[str, str] = entry["Labels"]
    owner = labels.get(OWNER_LABEL, "")
    expires = labels.get(EXPIRES_LABEL, "")
    orphan = ""
    if owner_is_gone(owner):
        orphan = "its owner has ended"
    elif expires.isdigit() and int(expires) < now:
        orphan = "its lifetime is over"
    return Found(
        container=entry["Id"],
        image=entry["Image"],
        status=entry["Status"],
        owner=owner,
        orphan=orphan,
    )


def reap() -> list[Found]:
    """Remove every orphan; return what was removed."""
    from docker.errors import APIError

    orphans = [found for found in find() if found.orphan]
    if orphans:
        api = connect()
        for found in orphans:
            with suppress(APIError):
                api.remove_container(found.container, force=True, v=True)
        api.close()
    return orphans
