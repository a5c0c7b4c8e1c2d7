"""Secrets planted on the host in every way a process can hold one, and looked for inside."""

import ctypes
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentbench_sandbox import Limits, Request, local
from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.sandbox import Opener

OPENERS = [
    pytest.param(open_docker, id="docker", marks=pytest.mark.docker),
    pytest.param(local.open_bubblewrap, id="bubblewrap"),
    pytest.param(local.open_landlock, id="landlock"),
]
LIBC = ctypes.CDLL(None, use_errno=True)
IPC_PRIVATE, IPC_CREAT, IPC_RMID = 0, 0o1000, 0
ADD_KEY, USER_KEYRING = 248, -4
SEARCH = r"""
import ctypes, glob, json, os, socket, stat, sys
asked = json.load(sys.stdin)
token = bytes.fromhex(asked["token"])  # the token itself is nowhere in what is sent
found = []
def look(where, data):
    if token in data:
        found.append(where)
def read(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        look(path, os.read(fd, 1 << 20))
    except OSError:
        pass
    finally:
        os.close(fd)
# every process: variables, arguments, mounts, open files
for name in ("environ", "cmdline", "mountinfo", "maps", "comm"):
    for path in glob.glob("/proc/[0-9]*/" + name) + ["/proc/self/" + name]:
        read(path)
for path in glob.glob("/proc/[0-9]*/fd/*"):
    try:
        look(path, os.readlink(path).encode())
        if stat.S_ISREG(os.stat(path).st_mode):
            read(path)
    except OSError:
        pass
for fd in range(3, 256):
    try:
        look("descriptor %d" % fd, os.pread(fd, 1 << 16, 0))
    except OSError:
        pass
for pattern in ("/proc/keys", "/proc/key-users", "/proc/cmdline", "/proc/locks", "/proc/mounts",
                "/proc/sysvipc/*", "/proc/net/*", "/proc/sys/kernel/*", "/proc/*/net/unix"):
    for path in glob.glob(pattern):
        read(path)
# every file that is not the system's or the interpreter's own
skip = [os.path.realpath(path) for path in asked["skip"]]
for root, directories, names in os.walk("/"):
    directories[:] = [d for d in directories if os.path.join(root, d) not in skip]
    for name in names:
        path = os.path.join(root, name)
        look(path, path.encode("utf-8", "surrogateescape"))
        try:
            if stat.S_ISREG(os.lstat(path).st_mode):
                read(path)
        except OSError:
            pass
for path in asked["paths"]:
    read(path)
# sockets
for address in asked["unix"] + ["\0" + name for name in asked["abstract"]]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            end = socket.socket(socket.AF_UNIX, kind)
            end.settimeout(2)
            end.connect(address)
            look("unix " + repr(address), end.recv(4096))
        except OSError:
            pass
for host in asked["hosts"]:
    try:
        with socket.create_connection((host, asked["port"]), 2) as end:
            look("tcp " + host, end.recv(4096))
    except OSError:
        pass
# shared memory, message queues and keys
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
status = ctypes.create_string_buffer(1024)
for number in [*range(64), *asked["segments"]]:
    for identity in {number, libc.shmctl(number, 13, status)}:
        if identity >= 0:
            place = libc.shmat(identity, None, 0o10000)
            if place not in (None, ctypes.c_void_p(-1).value):
                look("shared memory %d" % identity, ctypes.string_at(place, 64))
queue = libc.syscall(240, asked["queue"].encode(), os.O_RDONLY | os.O_NONBLOCK, 0, None)
if queue >= 0:
    body = ctypes.create_string_buffer(8192)
    size = libc.syscall(243, queue, body, 8192, None, None)
    look("message queue", body.raw[:max(0, size)])
for key in asked["keys"]:
    body = ctypes.create_string_buffer(4096)
    size = libc.syscall(250, 11, key, body, 4096, 0)
    look("key", body.raw[:max(0, size)])
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Where the secret is on the host; what somebody inside would need to know to get it."""

    token: bytes
    paths: list[str]
    unix: list[str]
    abstract: list[str]
    port: int
    segments: list[int]
    queue: str
    keys: list[int]

    def asked(self) -> bytes:
        """Return it as JSON, the token in hexadecimal so that the question is not an answer."""
        return json.dumps(
            {
                "token": self.token.hex(),
                "skip": ["/usr", "/proc", "/sys", "/dev/mqueue", sys.prefix, sys.base_prefix],
                "paths": self.paths,
                "unix": self.unix,
                "abstract": self.abstract,
                "hosts": ["127.0.0.1", "::1", "172.17.0.1", "10.0.2.2", "169.254.169.254"],
                "port": self.port,
                "segments": self.segments,
                "queue": self.queue,
                "keys": self.keys,
            }
        ).encode()


def serve(listener: socket.socket, token: bytes) -> None:
    """Send the secret to whoever connects."""

    def run() -> None:
        with suppress(OSError):
            while True:
                end, _ = listener.accept()
                with end:
                    end.sendall(token)

    threading.Thread(target=run, daemon=True).start()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Plant one secret in the environment, files, sockets, memory, queues, keys and arguments."""
    token = f"planted-{secrets.token_hex(16)}".encode()
    name = f"agentbench-test-{os.getpid()}"
    place = tmp_path_factory.mktemp("secrets")
    for path in (place, *place.parents):
        if path.name.startswith("pytest"):
            path.chmod(0o755)
    files = [place / "secret", Path("/tmp", name), Path("/var/tmp", name), Path("/dev/shm", name)]  # noqa: S108
    with ExitStack() as stack:
        for path in files:
            path.write_bytes(token)
            path.chmod(0o666)
            stack.callback(path.unlink)
        os.environ["AGENTBENCH_TEST_API_KEY"] = token.decode()
        stack.callback(os.environ.pop, "AGENTBENCH_TEST_API_KEY")
        for fd in (os.memfd_create(name, 0), os.open(files[0], os.O_RDONLY)):
            if os.fstat(fd).st_size == 0:
                os.write(fd, token)
            os.set_inheritable(fd, True)  # noqa: FBT003 - its only parameter
            stack.callback(os.close, fd)
        holder = subprocess.Popen(["sleep", "600"], executable="sleep", env={"S": token.decode()})
        talker = subprocess.Popen(["sh", "-c", "sleep 600; :", token.decode()])
        for process in (holder, talker):
            stack.callback(process.wait)
            stack.callback(process.kill)
        addresses = (str(place / "socket"), f"\0{name}")
        for address in addresses:
            end = stack.enter_context(socket.socket(socket.AF_UNIX))
            end.bind(address)
            end.listen()
            serve(end, token)
        Path(addresses[0]).chmod(0o777)
        server = stack.enter_context(socket.create_server(("", 0)))
        serve(server, token)
        yield Planted(
            token=token,
            paths=[str(path) for path in files],
            unix=[addresses[0], "/var/run/docker.sock", "/run/containerd/containerd.sock"],
            abstract=[name],
            port=server.getsockname()[1],
            segments=[shared_memory(token, stack)],
            queue=message_queue(name, token, stack),
            keys=[key(name, token, stack)],
        )


def shared_memory(token: bytes, stack: ExitStack) -> int:
    """Put the secret into a System V segment that anybody may read; return its id."""
    LIBC.shmat.restype = ctypes.c_void_p
    identity = int(LIBC.shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0o666))
    assert identity >= 0
    stack.callback(LIBC.shmctl, identity, IPC_RMID, None)
    ctypes.memmove(LIBC.shmat(identity, None, 0), token, len(token))
    return identity


def message_queue(name: str, token: bytes, stack: ExitStack) -> str:
    """Send the secret to a POSIX queue that anybody may read; return its name."""
    before = os.umask(0)
    queue = LIBC.syscall(240, name.encode(), os.O_RDWR | os.O_CREAT, 0o666, None)
    os.umask(before)
    assert queue >= 0
    stack.callback(LIBC.syscall, 241, name.encode())
    stack.callback(os.close, queue)
    assert LIBC.syscall(242, queue, token, len(token), 0, None) == 0
    return name


def key(name: str, token: bytes, stack: ExitStack) -> int:
    """Put the secret into the user's keyring, where anybody may read it; return its serial."""
    serial = int(LIBC.syscall(ADD_KEY, b"user", name.encode(), token, len(token), USER_KEYRING))
    if serial < 0:
        return 0  # this machine's own kernel or container has no keyrings
    LIBC.syscall(250, 5, serial, 0x3F3F3F3F)
    stack.callback(LIBC.syscall, 250, 21, serial)
    return serial


def test_the_search_finds_what_is_planted(planted: Planted) -> None:
    """Run without a sandbox: each hiding place must be found, or the search would prove nothing."""
    done = subprocess.run(
        [sys.executable, "-c", SEARCH.replace('os.walk("/")', 'os.walk("/dev/shm")')],
        input=planted.asked(),
        capture_output=True,
        check=True,
        close_fds=False,
    )
    found = json.loads(done.stdout)
    kinds = ("environ", "cmdline", "descriptor", "/dev/shm", "secret", "unix '/", "unix '\\x00")  # noqa: S108
    for kind in (*kinds, "tcp 127.0.0.1", "shared memory", "message queue"):
        assert any(kind in where for where in found), (kind, found)
    if planted.keys[0]:
        assert "key" in found
    message_queue_again(planted)


def message_queue_again(planted: Planted) -> None:
    """Send the secret once more: reading a queue takes the message."""
    queue = LIBC.syscall(240, planted.queue.encode(), os.O_RDWR, 0, None)
    assert LIBC.syscall(242, queue, planted.token, len(planted.token), 0, None) == 0
    os.close(queue)


@pytest.mark.parametrize("opener", OPENERS)
def test_no_secret_is_visible_inside(
    opener: Opener, planted: Planted, request: pytest.FixtureRequest
) -> None:
    if opener is open_docker:
        request.getfixturevalue("docker_image")
    limits = Limits(memory_mib=512, disk_mib=64, tmp_mib=64)
    with opener(Request(limits=limits)) as sandbox:
        code = ["python3", "-c", SEARCH]
        result = sandbox.exec(code, timeout_s=120, stdin=planted.asked())
        assert result.stdout == "[]\n", result
        with sandbox.python() as kernel:
            names = kernel.run("import os; [n for n in os.environ if 'AGENTBENCH' in n]")
            assert names.value == "[]"
