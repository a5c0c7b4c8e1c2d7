"""The network allow-list: what is on it can be reached, nothing else can."""

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from agentbench_sandbox import Limits, Request, local
from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.proxy import RefusedError, matches, parse_connect, server_name
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
            with end:
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
    s.sendall(f"CONNECT {target} HTTP/1.1\\r\\n\\r\\n".encode())
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
    cases = [
        (here, plain, "200 Connection established hello"),
        (here, client_hello("localhost").hex(), "200 Connection established hello"),
        (here, client_hello("elsewhere.example").hex(), "200 Connection established "),
        (f"127.0.0.1:{server}", plain, "403 Forbidden"),
        ("localhost:22", plain, "403 Forbidden"),
        ("example.com:443", plain, "403 Forbidden"),
        ("[::1]:80", plain, "403 Forbidden"),
        (f"LOCALHOST.:{server}", plain, "200 Connection established hello"),
    ]
    limits = Limits(network=(here, "*.pythonhosted.org"))
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
