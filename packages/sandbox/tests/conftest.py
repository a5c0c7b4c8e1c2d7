"""The back ends to test on, and what to do where one is not available."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from agentbench_sandbox import Request, Sandbox, SandboxError, local
from agentbench_sandbox.docker import DEFAULT_IMAGE, connect, find_image, open_docker
from agentbench_sandbox.testing import TESTING_LIMITS

BACKENDS: dict[str, Callable[[Request], Sandbox]] = {
    "docker": open_docker,
    "bubblewrap": local.open_bubblewrap,
    "landlock": local.open_landlock,
    "unsafe-local": local.open_unsafe,
}


def need_docker() -> None:
    """Skip on a person's machine without Docker; fail in CI."""
    try:
        api = connect()
        find_image(api, DEFAULT_IMAGE)
        api.close()
    except SandboxError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must reach Docker: {error}")
        pytest.skip(f"Docker: {error}")


@pytest.fixture(scope="session")
def docker_image() -> str:
    """The image Docker tests run in: `agentbench-sandbox build --base ... --no-packages`."""
    need_docker()
    return DEFAULT_IMAGE


def backend_params() -> list[object]:
    """One parameter per back end, Docker's marked."""
    return [
        pytest.param(name, marks=pytest.mark.docker) if name == "docker" else name
        for name in BACKENDS
    ]


@pytest.fixture(scope="module", params=backend_params())
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """An open sandbox of each back end, shared by the cases of a module."""
    name: str = request.param
    if name == "docker":
        need_docker()
    if name == "bubblewrap" and shutil.which("bwrap") is None and os.environ.get("CI") != "true":
        pytest.skip("bubblewrap is not installed")
    asked = Request(limits=TESTING_LIMITS, unsafe=name == "unsafe-local")
    with BACKENDS[name](asked) as opened:
        yield opened


def docker_ids() -> set[str]:
    """Return the containers of this package that exist now."""
    listed = subprocess.run(
        ["docker", "ps", "-aq", "--filter", "label=dev.agentbench.sandbox"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.split())
