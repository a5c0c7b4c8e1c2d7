"""Docker daemons that do not answer, and containers that end by themselves."""

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentbench_sandbox import (
    Limits,
    SandboxClosedError,
    SandboxUnavailableError,
    open_sandbox,
)
from agentbench_sandbox.daemon import connect
from agentbench_sandbox.reaper import find


def own_container() -> str:
    """Return the one container this process has open."""
    (found,) = [entry for entry in find() if entry.owner.split("/")[1] == str(os.getpid())]
    return found.container


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_silent_daemon_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "docker.sock"))
        silent.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
        importlib.import_module("docker")  # takes seconds on a busy machine
        started = time.monotonic()
        with pytest.raises(SandboxUnavailableError, match="no daemon answers"):
            open_sandbox("docker")
        assert time.monotonic() - started < 4.5


@pytest.mark.docker
def test_nothing_a_container_says_is_logged_on_the_host(docker_image: str) -> None:
    with open_sandbox("docker", image=docker_image) as sandbox:
        sandbox.exec(["head", "-c", "50000000", "/dev/zero"], timeout_s=20)
        api = connect()
        made = api.inspect_container(own_container())
        api.close()
        assert made["HostConfig"]["LogConfig"]["Type"] == "none"
        assert made["LogPath"] == ""


@pytest.mark.docker
def test_supervisor_without_memory_is_an_error_that_says_so(docker_image: str) -> None:
    limits = Limits(memory_mib=512, disk_mib=128, tmp_mib=64)
    with open_sandbox("docker", image=docker_image, limits=limits) as sandbox:
        api = connect()
        api.update_container(own_container(), mem_limit="24m", memswap_limit="24m")
        api.close()

        def fill() -> None:
            for _ in range(50):  # the kernel may pick other processes first
                sandbox.exec(["sh", "-c", "head -c 100000000 /dev/zero > fill"], timeout_s=20)

        with pytest.raises(SandboxClosedError, match="out of memory"):
            fill()


@pytest.mark.docker
def test_interrupted_host_process_leaves_no_container(docker_image: str) -> None:
    code = (
        "import sys; from agentbench_sandbox import open_sandbox\n"
        "with open_sandbox('docker', image=sys.argv[1]) as sandbox:\n"
        "    print('open', flush=True)\n"
        "    sandbox.exec(['sleep', '600'], timeout_s=700)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, docker_image],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "open\n"
        time.sleep(0.3)
        host.send_signal(signal.SIGINT)
        host.send_signal(signal.SIGINT)
        try:
            host.wait(10)
        finally:
            host.kill()
    deadline = time.monotonic() + 2
    while left := [entry for entry in find() if entry.owner.split("/")[1] == str(host.pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
