"""The network allow-list: what is on it can be reached, nothing else can."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from agentbench_sandbox import Limits, Request, SandboxClosedError, local
from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.guest import tunnels
from agentbench_sandbox.proxy import (
    RefusedError,
    is_public,
    matches,
    parse_connect,
    server_name,
)
from agentbench_sandbox.sandbox import Opener


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """A server on this machine that answers anything; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            with end, suppress(OSError):  # a client may be gone already
                end.recv(4096)
                end.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


CLIENT = """
import socket, sys
for target, first in zip(sys.argv[1::2], sys.argv[2::2]):
    s = socket.create_connection(("127.0.0.1", 3128), 10)
    s.settimeout(10)
    s.sendall(f"CONNECT {target} HTTP/1.1\\r\\n\\r\\n".replace("~", "\\0").encode())
    answer = s.recv(4096).split(b"\\r\\n")[0].decode()
    if "200" in answer:
        s.sendall(bytes.fromhex(first))
        answer += " " + s.recv(4096).decode("latin-1")[-5:]
    print(answer)
"""


def client_hello(name: str) -> bytes:
    """Return the first message of a real TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "opener",
    [
        pytest.param(open_docker, id="docker", marks=pytest.mark.docker),
        pytest.param(local.open_bubblewrap, id="bubblewrap"),
    ],
)
def test_only_the_list_can_be_reached(
    opener: Opener, server: int, request: pytest.FixtureRequest
) -> None:
    if opener is open_docker:
        request.getfixturevalue("docker_image")
    plain = b"GET / HTTP/1.0\r\n\r\n".hex()
    here = f"localhost:{server}"
    everywhere = f"*.pythonhosted.org:{server}"
    cases = [
        (here, plain, "200 Connection established hello"),
        (here, client_hello("localhost").hex(), "200 Connection established hello"),
        (here, client_hello("elsewhere.example").hex(), "200 Connection established "),
        (f"127.0.0.1:{server}", plain, "403 Forbidden"),
        ("localhost:22", plain, "403 Forbidden"),
        ("example.com:443", plain, "403 Forbidden"),
        ("[::1]:80", plain, "403 Forbidden"),
        (f"localhost~.pythonhosted.org:{server}", plain, "403 Forbidden"),
        (f"{'a' * 70}.pythonhosted.org:443", plain, "403 Forbidden"),
        (f"LOCALHOST.:{server}", plain, "200 Connection established hello"),
    ]
    limits = Limits(network=(here, "*.pythonhosted.org", everywhere))
    with opener(Request(limits=limits)) as sandbox:
        words = [word for target, first, _ in cases for word in (target, first)]
        result = sandbox.exec(["python3", "-c", CLIENT, *words], timeout_s=60)
        answers = [line.removeprefix("HTTP/1.1 ") for line in result.stdout.splitlines()]
        assert answers == [answer for _, _, answer in cases], result.stderr
        direct = f"import socket; socket.create_connection(('127.0.0.1', {server}), 2)"
        assert not sandbox.exec(["python3", "-c", direct], timeout_s=10).ok
        proxy = sandbox.exec(["sh", "-c", "echo $HTTPS_PROXY"], timeout_s=5).stdout
        assert proxy == "http://127.0.0.1:3128\n"


@pytest.mark.parametrize(
    ("pattern", "host", "port", "allowed"),
    [
        ("pypi.org", "pypi.org", 443, True),
        ("pypi.org", "pypi.org", 80, False),
        ("pypi.org:80", "pypi.org", 80, True),
        ("*.pypi.org", "files.pypi.org", 443, True),
        ("*.pypi.org", "pypi.org", 443, False),
        ("*.pypi.org", "pypi.org.evil.com", 443, False),
        ("pypi.org", "notpypi.org", 443, False),
    ],
)
def test_patterns(pattern: str, host: str, port: int, *, allowed: bool) -> None:
    assert matches(pattern, host, port) is allowed


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://x/ HTTP/1.1\r\n\r\n",
        b"CONNECT x HTTP/1.1\r\n\r\n",
        b"\xff\xfe",
        b"CONNECT x:0 H\r\n\r\n",
        b"CONNECT evil.com\0.pypi.org:443 HTTP/1.1\r\n\r\n",
        b"CONNECT evil.com/.pypi.org:443 HTTP/1.1\r\n\r\n",
        b"CONNECT evil.com%.pypi.org:443 HTTP/1.1\r\n\r\n",
        b"CONNECT -.pypi.org:443 HTTP/1.1\r\n\r\n",
    ],
)
def test_other_requests_are_refused(head: bytes) -> None:
    with pytest.raises(RefusedError):
        parse_connect(head)


@pytest.mark.parametrize("cut", [0, 5, 20, 44, 60, 100])
def test_broken_client_hello_has_no_name(cut: int) -> None:
    hello = client_hello("example.com")
    assert server_name(hello) == "example.com"
    assert server_name(hello[:cut]) is None


def test_hello_with_two_names_has_none() -> None:
    """A server may go by the second one."""
    hello = client_hello("example.com")
    one = b"\0\0" + b"\0\x10" + b"\0\x0e" + b"\0" + b"\0\x0b" + b"example.com"
    assert hello.count(one) == 1
    names = b"\0\0\x03one" + b"\0\0\x05other"
    two = b"\0\0" + b"\0\x10" + b"\0\x0e" + names
    assert len(two) == len(one)
    assert server_name(hello.replace(one, two)) is None
    assert server_name(hello.replace(one, one[:6] + b"\x01" + one[7:])) is None


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses(address: str, *, public: bool) -> None:
    assert is_public(address) is public


def test_late_words_do_not_reach_the_next_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one has the same descriptor, and the host does not know yet that the first ended."""
    said: list[tuple[int, str]] = []

    def tell(number: int, header: dict[str, str], _body: bytes = b"") -> None:
        said.append((number, header["do"]))

    monkeypatch.setattr(tunnels, "tell", tell)
    inside = tunnels.Tunnels(0)
    address = inside.listener.getsockname()
    with inside.listener, socket.create_connection(address) as first:
        inside.accept()
        (fd,) = inside.open
        number, _ = said[-1]
        first.close()
        inside.carry(fd)
        with socket.create_connection(address) as second:
            inside.accept()
            assert list(inside.open) == [fd]
            for word in ("data", "credit", "close"):
                inside.hear({"to": number, "do": word, "n": 1}, b"of the first")
            assert list(inside.open) == [fd]
            second.settimeout(0.05)
            with pytest.raises(TimeoutError):
                second.recv(1)
            inside.close(fd)
    assert [word for _, word in said] == ["open", "close", "open", "close"]
    assert len({number for number, _ in said}) == 2


def test_connections_end_with_the_sandbox() -> None:
    """On the host's side too: neither threads nor sockets are left of what was open."""
    silent = socket.create_server(("127.0.0.1", 0))
    target = f"localhost:{silent.getsockname()[1]}"
    hold = (
        "import socket, time; s = socket.create_connection(('127.0.0.1', 3128), 10); "
        f"s.sendall(b'CONNECT {target} HTTP/1.1\\r\\n\\r\\n'); s.recv(99); "
        "s.sendall(b'x'); print('held', flush=True); time.sleep(60)"
    )
    threads = threading.active_count()
    sandbox = local.open_bubblewrap(Request(limits=Limits(network=(target,))))
    held = threading.Event()

    def talk() -> None:
        with pytest.raises(SandboxClosedError):
            sandbox.exec(["python3", "-c", hold], timeout_s=60, on_output=lambda *_: held.set())

    talker = threading.Thread(target=talk)
    talker.start()
    assert held.wait(30)
    upstream, _ = silent.accept()
    upstream.settimeout(10)
    assert upstream.recv(1) == b"x"
    sandbox.close()
    talker.join(20)
    assert upstream.recv(1) == b""
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() == threads
    upstream.close()
    silent.close()
