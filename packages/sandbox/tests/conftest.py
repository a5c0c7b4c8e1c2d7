"""The back ends to test on, and what to do where one is not available."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentbench_sandbox import Request, Sandbox, SandboxError, local
from agentbench_sandbox.daemon import DEFAULT_IMAGE, connect, find_image
from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.testing import TESTING_LIMITS

BACKENDS: dict[str, Callable[[Request], Sandbox]] = {
    "docker": open_docker,
    "docker-exec": open_docker,
    "bubblewrap": local.open_bubblewrap,
    "landlock": local.open_landlock,
    "unsafe-local": local.open_unsafe,
}
WITHOUT_PYTHON = f"""\
FROM {DEFAULT_IMAGE}
RUN rm -f /usr/bin/python* /usr/local/bin/python*
"""


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
    """The image Docker tests run in: the one that `agentbench-sandbox build` makes."""
    need_docker()
    return DEFAULT_IMAGE


@pytest.fixture(scope="session")
def image_without_python(docker_image: str) -> Iterator[str]:
    """A Debian image with a shell and the usual programs but no Python, made on the spot."""
    assert docker_image in WITHOUT_PYTHON
    tag = f"agentbench-test-without-python:{os.getpid()}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(WITHOUT_PYTHON)
        archive.addfile(entry, io.BytesIO(WITHOUT_PYTHON.encode()))
    packed.seek(0)
    api = connect()
    events: Any = api.build(fileobj=packed, custom_context=True, tag=tag, rm=True, decode=True)
    said = list(events)
    assert not [event for event in said if "error" in event], said
    yield tag
    api.remove_image(tag, force=True)
    api.close()


def backend_params() -> list[object]:
    """One parameter per back end, Docker's marked."""
    return [
        pytest.param(name, marks=pytest.mark.docker) if name.startswith("docker") else name
        for name in BACKENDS
    ]


@pytest.fixture(scope="module", params=backend_params())
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """An open sandbox of each back end, shared by the cases of a module."""
    name: str = request.param
    image: str | None = None
    if name.startswith("docker"):
        need_docker()
    if name == "docker-exec":
        image = request.getfixturevalue("image_without_python")
    if name == "bubblewrap" and shutil.which("bwrap") is None and os.environ.get("CI") != "true":
        pytest.skip("bubblewrap is not installed")
    asked = Request(image=image, limits=TESTING_LIMITS, unsafe=name == "unsafe-local")
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
