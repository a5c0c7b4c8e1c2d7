"""SIGKILL of the host process: two seconds later nothing of its sandboxes is left anywhere."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentbench_sandbox.reaper import Found, find

GONE_S = 2.0
OPENED = 5
"""One used, one taken from the pool, two ready in it, and one waiting for a place there."""
HOST = """
import sys, threading, time
from agentbench_sandbox import Limits, Request, SandboxPool, local
from agentbench_sandbox.docker import open_docker
name, image, networks = sys.argv[1], sys.argv[2] or None, sys.argv[3:]
opener = open_docker if name.startswith("docker") else getattr(local, "open_" + name)
small = dict(memory_mib=512, disk_mib=64, tmp_mib=64)
limits = Limits(network=tuple(networks), **small) if networks else Limits(**small)
pool = SandboxPool(lambda: opener(Request(image=image, limits=Limits(**small))), size=2)
sandbox = opener(Request(image=image, limits=limits))
taken = pool.take()
tree = "trap '' TERM; setsid sleep 86500 & (setsid sleep 86500 &); echo running; sleep 86500"
started = threading.Semaphore(0)
def run(one):
    one.exec(["sh", "-c", tree], timeout_s=600, on_output=lambda *_: started.release())
for one in (sandbox, taken):
    threading.Thread(target=run, args=(one,), daemon=True).start()
started.acquire(); started.acquire()
if networks:
    client = "import socket, time; s = socket.create_connection(('127.0.0.1', 3128)); "
    client += f"s.sendall(b'CONNECT {networks[0]} HTTP/1.1\\\\r\\\\n\\\\r\\\\n'); "
    client += "print(s.recv(99), flush=True); time.sleep(600)"
    talk = lambda: sandbox.exec(
        ["python3", "-c", client], timeout_s=600, on_output=lambda *_: started.release()
    )
    threading.Thread(target=talk, daemon=True).start()
    started.acquire()
if sandbox.capabilities.kernel:
    kernel = sandbox.python()
    kernel.run("x = 1")
    copies = kernel.fork(2)
print("ready", flush=True)
time.sleep(600)
"""


def stat(pid: int) -> tuple[int, str, str] | None:
    """Return (parent, state, start time) of a process, or None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0], fields[19]


def descendants(root: int) -> set[int]:
    """Return every process below `root`."""
    parents = {
        int(entry.name): found[0]
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (found := stat(int(entry.name))) is not None
    }
    below: set[int] = set()
    while more := {pid for pid, up in parents.items() if up in below | {root}} - below:
        below |= more
    return below


def is_of(found: Found, pid: int) -> bool:
    """Whether a container was opened by a process of this machine."""
    return found.owner.split("/")[1] == str(pid)


def containers_of(pid: int) -> list[str]:
    """Return the containers that a process opened."""
    return [found.container for found in find() if is_of(found, pid)]


def docker(*words: str) -> list[str]:
    """Return the lines a Docker command prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def everything_of(host: int, *, in_docker: bool) -> set[int]:
    """Return the process ids of all that a host process runs, once its pool is full."""
    if not in_docker:
        time.sleep(1)
        return descendants(host)
    deadline = time.monotonic() + 30
    up: list[str] = []
    while len(up) < OPENED and time.monotonic() < deadline:
        up = [found.container for found in find() if is_of(found, host) and "Up" in found.status]
    assert len(up) == OPENED
    return {
        int(line.split()[0])
        for container in up
        for line in docker("top", container, "-eo", "pid")[1:]
    }


def groups_of(pid: int) -> list[Path]:
    """Return the control groups that a process made."""
    name = f"agentbench-{pid}-"
    return [
        Path(root, found)
        for root, below, _ in os.walk("/sys/fs/cgroup")  # ignores what vanishes meanwhile
        for found in below
        if found.startswith(name)
    ]


@pytest.mark.parametrize(
    ("name", "networks"),
    [
        pytest.param("docker", ["example.invalid:443"], marks=pytest.mark.docker, id="docker"),
        pytest.param("docker-exec", [], marks=pytest.mark.docker, id="docker-exec"),
        pytest.param("bubblewrap", ["example.invalid:443"], id="bubblewrap"),
        pytest.param("landlock", [], id="landlock"),
        pytest.param("unsafe", [], id="unsafe-local"),
    ],
)
def test_nothing_is_left(
    name: str, networks: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    in_docker = name.startswith("docker")
    if in_docker:
        request.getfixturevalue("docker_image")
    image = request.getfixturevalue("image_without_python") if name == "docker-exec" else ""
    networks_before = docker("network", "ls", "-q") if in_docker else []
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {**os.environ, "TMPDIR": str(temporary)}
    argv = [sys.executable, "-c", HOST, name, image, *networks]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) as host:
        try:
            assert host.stdout is not None
            assert host.stdout.readline() == "ready\n"
            running = everything_of(host.pid, in_docker=in_docker)
            born = {pid: found[2] for pid in running if (found := stat(pid)) is not None}
            assert len(born) >= 2 * OPENED
        finally:
            host.send_signal(signal.SIGKILL)
            host.wait()
            deadline = time.monotonic() + GONE_S
    left = alive(born)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = alive(born)
    assert not left
    while time.monotonic() < deadline and (groups_of(host.pid) or any(temporary.iterdir())):
        time.sleep(0.02)
    assert groups_of(host.pid) == []
    assert list(temporary.iterdir()) == []
    if in_docker:
        time.sleep(max(0.0, deadline - time.monotonic()))
        assert containers_of(host.pid) == []
        assert docker("network", "ls", "-q") == networks_before


def alive(born: dict[int, str]) -> list[str]:
    """Return what still runs of these processes; a number used again is another process."""
    found = {pid: stat(pid) for pid in born}
    return [
        f"{pid} {command_line(pid)}"
        for pid, now in found.items()
        if now is not None and now[2] == born[pid] and now[1] not in "ZX"
    ]


def command_line(pid: int) -> str:
    """Return the start of a process's command line; it may end between two looks at it."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()[:80].decode("utf-8", "replace")
    except OSError:
        return "(gone meanwhile)"
