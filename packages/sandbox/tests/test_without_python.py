"""Images without Python: `docker exec` with what that cannot do declared and refused."""

import io
import os
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentbench_sandbox import (
    CapabilityError,
    ImageError,
    Limits,
    SandboxClosedError,
    open_sandbox,
)
from agentbench_sandbox.daemon import connect
from agentbench_sandbox.testing import CONFORMANCE, TESTING_LIMITS, Case, missing

pytestmark = pytest.mark.docker


def busybox(place: Path) -> Path:
    """Return a static busybox, from this machine or from Debian."""
    if (found := shutil.which("busybox")) is not None:
        return Path(found)
    if shutil.which("apt-get") is None:
        pytest.skip("there is no busybox, and no apt-get to get it with")
    got = subprocess.run(
        ["apt-get", "download", "-qq", "busybox-static"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    if got.returncode != 0:
        pytest.skip(f"there is no busybox, and apt-get cannot get it: {got.stderr}")
    archive = next(place.glob("busybox-static*.deb"))
    subprocess.run(["dpkg", "-x", archive, place / "root"], check=True)
    return place / "root/bin/busybox"


def packed(files: dict[str, bytes], links: dict[str, str]) -> bytes:
    """Return a root file system as a tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(body), 0o755
            archive.addfile(entry, io.BytesIO(body))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return out.getvalue()


def imported(name: str, root: bytes) -> Iterator[str]:
    """Make an image of one layer; remove it afterwards."""
    tag = f"agentbench-test-{name}:{os.getpid()}"
    api = connect()
    repository, _, version = tag.partition(":")
    api.import_image_from_data(root, repository=repository, tag=version)
    yield tag
    api.remove_image(tag, force=True)
    api.close()


@pytest.fixture(scope="module")
def busybox_image(docker_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One static program under a hundred names, and nothing else."""
    assert docker_image
    program = busybox(tmp_path_factory.mktemp("busybox"))
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    links = {f"bin/{name}": "busybox" for name in names.stdout.split() if name != "busybox"}
    yield from imported("busybox", packed({"bin/busybox": program.read_bytes()}, links))


@pytest.fixture(scope="module")
def image_without_anything(docker_image: str) -> Iterator[str]:
    """An image whose only program is not a shell."""
    assert docker_image
    yield from imported("nothing", packed({"bin/nothing": b"\x7fELF"}, {}))


@pytest.mark.parametrize("case", CONFORMANCE, ids=lambda case: case.__name__)
def test_busybox_conforms(case: Case, busybox_image: str) -> None:
    with open_sandbox("docker", image=busybox_image, limits=TESTING_LIMITS) as sandbox:
        if lacking := missing(case, sandbox):
            pytest.skip(f"{sandbox.backend} does not claim {', '.join(lacking)}")
        case(sandbox)


def test_what_is_lost_is_declared(image_without_python: str) -> None:
    with open_sandbox("docker", image=image_without_python) as sandbox:
        claimed = sandbox.capabilities
        assert claimed.isolated
        assert claimed.tree_kill
        assert claimed.ends_with_host
        lost = ("python", "kernel", "fork", "concurrent", "usage", "hide")
        assert not any(getattr(claimed, name) for name in lost)
        with pytest.raises(CapabilityError, match="no python3"):
            sandbox.python()
        with pytest.raises(CapabilityError, match="no python3"):
            sandbox.fork()
        assert sandbox.describe()["image"] == image_without_python


@pytest.mark.parametrize(
    ("limits", "hide"),
    [
        pytest.param(Limits(network=("pypi.org",)), (), id="allow-list"),
        pytest.param(Limits(), ("sklearn/datasets/data",), id="hide"),
    ],
)
def test_what_is_lost_is_refused(
    limits: Limits, hide: tuple[str, ...], image_without_python: str
) -> None:
    with pytest.raises(CapabilityError, match="no python3"):
        open_sandbox("docker", image=image_without_python, limits=limits, hide=hide)


def test_root_is_refused(image_without_python: str) -> None:
    with pytest.raises(CapabilityError, match="no python3"):
        open_sandbox("docker", image=image_without_python, root=True)


def test_without_a_shell_nothing_can_run(image_without_anything: str) -> None:
    with pytest.raises(ImageError, match="neither python3 nor sh"):
        open_sandbox("docker", image=image_without_anything)


def test_killer_and_stopper_do_not_reach_the_anchor(busybox_image: str) -> None:
    attack = "while :; do kill -STOP 1; kill -9 1; kill -9 7; kill -STOP -1; done"
    with open_sandbox("docker", image=busybox_image, limits=TESTING_LIMITS) as sandbox:
        started = time.monotonic()
        assert not sandbox.exec(["sh", "-c", attack], timeout_s=1).ok
        assert time.monotonic() - started < 1 + sandbox.limits.grace_s + 1.5
        assert sandbox.exec(["kill", "-9", "-1"], timeout_s=5).signal in (9, None)
        assert sandbox.exec(["echo", "alive"], timeout_s=10).stdout == "alive\n"


def test_limits_hold_without_python(image_without_python: str) -> None:
    with open_sandbox("docker", image=image_without_python, limits=TESTING_LIMITS) as sandbox:
        hog = sandbox.exec(["tail", "/dev/zero"], timeout_s=60)
        assert (hog.oom_killed, hog.signal) == (True, 9)
        many = "i=0; while [ $i -lt 300 ]; do sleep 50 & i=$((i+1)); done; wait"
        crowd = sandbox.exec(["sh", "-c", many], timeout_s=20)
        assert crowd.pids_limit_hit
        assert sandbox.exec(["sleep", "60"], timeout_s=0.2).background == 0
        after = sandbox.exec(["echo", "alive"], timeout_s=10)
        assert (after.stdout, after.pids_limit_hit, after.oom_killed) == ("alive\n", False, False)


def test_a_time_out_ends_what_earlier_commands_left(busybox_image: str) -> None:
    with open_sandbox("docker", image=busybox_image, limits=TESTING_LIMITS) as sandbox:
        left = sandbox.exec(["sh", "-c", "trap '' TERM; sleep 4000 & exit 0"], timeout_s=5)
        assert (left.exit_code, left.background) == (0, 1)
        late = sandbox.exec(["sleep", "4000"], timeout_s=0.3)
        assert (late.timed_out, late.background) == (True, 0)


def test_commands_wait_for_their_turn_and_closing_ends_them(busybox_image: str) -> None:
    sandbox = open_sandbox("docker", image=busybox_image, limits=TESTING_LIMITS)
    outcomes: list[str] = []

    def sleep() -> None:
        try:
            outcomes.append(str(sandbox.exec(["sleep", "60"], timeout_s=90).exit_code))
        except SandboxClosedError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=sleep) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    sandbox.close()
    for thread in threads:
        thread.join(10)
    assert outcomes == ["the sandbox is closed"] * 2


def test_lifetime_ends_it(busybox_image: str) -> None:
    with (
        open_sandbox("docker", image=busybox_image, limits=Limits(lifetime_s=1.5)) as sandbox,
        pytest.raises(SandboxClosedError),
    ):
        sandbox.exec(["sleep", "20"], timeout_s=30)


def test_archive_of_a_directory_is_read_with_suspicion(tmp_path: Path) -> None:
    from agentbench_sandbox.errors import SandboxFileError
    from agentbench_sandbox.shell_transfer import unpack
    from agentbench_sandbox.transfer import Receiver

    for name in ("../outside", "/absolute", "a/../../b"):
        staging = tmp_path / name.replace("/", "_")
        staging.mkdir()
        receiver = Receiver(staging, 1000)
        receiver.take({"op": "root"}, b"")
        with pytest.raises(SandboxFileError):
            unpack(io.BytesIO(packed({name: b"x"}, {})), receiver)
        assert [path.name for path in staging.rglob("*")] == ["root"]
    receiver = Receiver(tmp_path, 1000)
    receiver.take({"op": "root"}, b"")
    links = {"./link": "/etc/passwd", "new\nline": "x"}
    unpack(io.BytesIO(packed({"./good": b"x"}, links)), receiver)
    assert receiver.finish() == ["link", "new\nline"]
    assert [path.name for path in receiver.root.iterdir()] == ["good"]
