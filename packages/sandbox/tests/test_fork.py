"""Forks: an equal working directory, independence from then on, nothing shared in silence."""

import os
import time
from pathlib import Path

import pytest

from agentbench_sandbox import (
    CapabilityError,
    Limits,
    Mount,
    Request,
    SandboxFileError,
    local,
)
from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.fork import PACKERS, UNPACKERS
from agentbench_sandbox.sandbox import Opener

LIMITS = Limits(memory_mib=512, disk_mib=64, tmp_mib=64)
OPENERS = [
    pytest.param(open_docker, id="docker", marks=pytest.mark.docker),
    pytest.param(local.open_bubblewrap, id="bubblewrap"),
    pytest.param(local.open_landlock, id="landlock"),
]
MAKE = """
mkdir -p d/empty .hidden && echo a > d/f && ln -s d/f link && ln d/f hard && echo h > .hidden/x
echo odd > '-rf' && echo two > '..odd' && echo run > d/run && chmod 751 d/run
truncate -s 40M sparse && touch -d @1000000000 d/f
"""
LIST = """
find . -mindepth 1 -printf '%P %y %m %s %l\\n' | sort
stat -c %Y d/f; cat d/f ./-rf ./..odd .hidden/x
"""


@pytest.fixture(autouse=True)
def _docker_there(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("docker_image")


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("way", [0, 1], ids=["tar", "python"])
def test_copies_are_equal_and_then_independent(
    opener: Opener, way: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentbench_sandbox.fork.PACKERS", (PACKERS[way],))
    monkeypatch.setattr("agentbench_sandbox.fork.UNPACKERS", (UNPACKERS[way],))
    with opener(Request(limits=LIMITS)) as original:
        original.exec(["sh", "-c", MAKE], timeout_s=10, check=True)
        before = original.exec(["sh", "-c", LIST], timeout_s=10, check=True).stdout
        assert before.count("\n") >= 14
        with original.fork() as one, original.fork() as two:
            assert [box.exec(["sh", "-c", LIST], timeout_s=10).stdout for box in (one, two)] == [
                before
            ] * 2
            one.exec(["sh", "-c", "echo b >> link; rm -r .hidden"], timeout_s=5, check=True)
            assert one.read_file("hard") == b"a\nb\n"
            with one.fork() as grandchild:
                assert grandchild.read_file("d/f") == b"a\nb\n"
            assert two.read_file("hard") == b"a\n"
            assert {original.backend} == {one.backend, two.backend}
        assert original.exec(["sh", "-c", LIST], timeout_s=10).stdout == before


@pytest.mark.parametrize("opener", OPENERS)
def test_empty_directory_and_what_is_not_copied(opener: Opener) -> None:
    with opener(Request(limits=LIMITS)) as original:
        original.exec(["sh", "-c", 'echo x > "$TMPDIR/x"'], timeout_s=5, check=True)
        with original.fork() as copy:
            listing = 'ls -A . "$TMPDIR" | grep -x x; true'
            assert copy.exec(["sh", "-c", listing], timeout_s=5).stdout == ""


@pytest.mark.parametrize("opener", OPENERS)
def test_read_only_mount_is_kept(opener: Opener, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "f").write_text("x")
    for path in (tmp_path, *tmp_path.parents):
        if path.name.startswith("pytest"):
            path.chmod(0o755)
    with (
        opener(Request(limits=LIMITS, mounts=(Mount(data, "/data"),))) as original,
        original.fork() as copy,
    ):
        assert copy.read_file("/data/f") == b"x"


def test_writable_mount_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, 12345)
    mount = Mount(tmp_path, "/shared", read_only=False)
    asked = Request(limits=LIMITS, mounts=(mount,))
    with (
        local.open_bubblewrap(asked) as original,
        pytest.raises(CapabilityError, match="would share the writable mount /shared"),
    ):
        original.fork()


@pytest.mark.docker
def test_what_root_changed_is_not_lost_in_silence(docker_image: str) -> None:
    with (
        open_docker(Request(image=docker_image, limits=LIMITS, root=True)) as original,
        pytest.raises(CapabilityError, match="what root has changed"),
    ):
        original.fork()


def test_holes_do_not_fill_the_host() -> None:
    with local.open_bubblewrap(Request(limits=LIMITS)) as original:
        script = "truncate -s 60M hole; python3 -c \"open('huge', 'wb').truncate(20 << 30)\"; ls -s"
        original.exec(["sh", "-c", script], timeout_s=10)
        original.exec(["sh", "-c", "rm -f huge"], timeout_s=10)
        with original.fork() as copy:
            assert len(copy.read_file("hole")) == 60 << 20


def test_unreadable_files_are_an_error_and_leave_no_sandbox() -> None:
    with local.open_bubblewrap(Request(limits=LIMITS)) as original:
        original.exec(["sh", "-c", "echo x > f; chmod 000 f"], timeout_s=5, check=True)
        with pytest.raises(SandboxFileError, match="could not be read"):
            original.fork()


def test_eight_forks_share_one_original() -> None:
    with local.open_bubblewrap(Request(limits=LIMITS)) as original:
        original.write_file("state", b"0")
        copies = [original.fork() for _ in range(8)]
        started = time.monotonic()
        for number, copy in enumerate(copies):
            copy.write_file("state", str(number).encode())
        assert [copy.read_file("state") for copy in copies] == [b"%d" % n for n in range(8)]
        assert original.read_file("state") == b"0"
        assert time.monotonic() - started < 10
        for copy in copies:
            copy.close()
