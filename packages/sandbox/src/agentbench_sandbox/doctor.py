"""Say which back ends work here, by trying them, and what to do about the rest."""

from dataclasses import asdict, dataclass
from typing import Any

from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.errors import SandboxError
from agentbench_sandbox.local import open_bubblewrap, open_landlock
from agentbench_sandbox.request import Request
from agentbench_sandbox.sandbox import Opener


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What trying one back end showed.

    Attributes:
        backend: Its name.
        works: Whether a command ran in it.
        advice: Why not and what to do; empty when it works.
        capabilities: What it claims here.
    """

    backend: str
    works: bool
    advice: str
    capabilities: dict[str, Any]


def examine(*, image: str | None = None) -> list[Finding]:
    """Open a sandbox of each kind and run a command in it."""
    return [
        try_one("docker", open_docker, Request(image=image)),
        try_one("bubblewrap", open_bubblewrap, Request()),
        try_one("landlock", open_landlock, Request()),
    ]


def try_one(name: str, opener: Opener, request: Request) -> Finding:
    """Try one back end."""
    try:
        with opener(request) as sandbox:
            sandbox.exec(["true"], timeout_s=20, check=True)
            claimed = asdict(sandbox.capabilities)
    except SandboxError as error:
        return Finding(backend=name, works=False, advice=str(error), capabilities={})
    return Finding(backend=name, works=True, advice="", capabilities=claimed)
