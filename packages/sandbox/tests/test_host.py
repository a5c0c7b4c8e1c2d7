"""What the host sees: mounts, hidden paths, refusals, clean-up after a crash."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentbench_sandbox import (
    CapabilityError,
    ExecFailedError,
    ExecTimeoutError,
    ImageError,
    InvalidLimitsError,
    Limits,
    Mount,
    Request,
    Sandbox,
    SandboxClosedError,
    SandboxError,
    SandboxFileError,
    SandboxPool,
    SandboxUnavailableError,
    local,
    open_sandbox,
)
from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.sandbox import Opener
from agentbench_sandbox.transfer import receive_tree

ISOLATED = [
    pytest.param(open_docker, id="docker", marks=pytest.mark.docker),
    pytest.param(local.open_bubblewrap, id="bubblewrap"),
    pytest.param(local.open_landlock, id="landlock"),
]


@pytest.fixture(autouse=True)
def _docker_there(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("docker_image")


@pytest.mark.parametrize("opener", ISOLATED)
def test_read_only_mount_cannot_be_changed(opener: Opener, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.csv").write_text("id,x\n1,2\n")
    data.chmod(0o777)
    (data / "train.csv").chmod(0o666)
    with opener(Request(mounts=(Mount(data, "/data"),))) as sandbox:
        inside = sandbox.path("/data")
        script = (
            f"cat {inside}/train.csv; echo bad > {inside}/train.csv; rm -f {inside}/train.csv; "
        )
        script += f"mv {inside} /tmp/x; touch {inside}/new; mount -o remount,rw {inside}"
        result = sandbox.exec(["sh", "-c", script], timeout_s=10)
        assert result.stdout == "id,x\n1,2\n"
        assert result.exit_code != 0
    assert (data / "train.csv").read_text() == "id,x\n1,2\n"
    assert [path.name for path in data.iterdir()] == ["train.csv"]


@pytest.mark.parametrize("opener", ISOLATED)
def test_writable_mount_belongs_to_its_owner(opener: Opener, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    if os.geteuid() == 0:
        os.chown(shared, 12345, 12345)
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents:
            if parent.stat().st_uid == os.geteuid() and parent.name.startswith("pytest"):
                parent.chmod(0o755)
    if opener is local.open_landlock and os.geteuid() == 0:
        pytest.skip("as root under Landlock the agent keeps uid 0 without capabilities")
    with opener(Request(mounts=(Mount(shared, "/shared", read_only=False),))) as sandbox:
        target = sandbox.path("/shared")
        sandbox.exec(["sh", "-c", f"echo made > {target}/made"], timeout_s=10, check=True)
    assert (shared / "made").read_text() == "made\n"
    assert (shared / "made").stat().st_uid == shared.stat().st_uid


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to own a directory")
def test_writable_mount_of_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="root"):
        local.open_bubblewrap(Request(mounts=(Mount(tmp_path, "/shared", read_only=False),)))


@pytest.mark.parametrize("opener", ISOLATED[1:])
def test_host_python_is_there_and_hidden_data_is_not(opener: Opener) -> None:
    code = (
        "import sys, pathlib, typer\n"
        "root = pathlib.Path(typer.__file__).parent\n"
        "print(sys.prefix, (root / 'main.py').exists())\n"
        "for name in ('testing.py', 'core.py'):\n"
        "    try: print(name, len((root / name).read_bytes()))\n"
        "    except OSError as error: print(name, type(error).__name__)\n"
    )
    with opener(Request(hide=("typer/testing.py", "docker/models"))) as sandbox:
        result = sandbox.exec(["python", "-c", code], timeout_s=30)
        lines = result.stdout.splitlines()
        assert lines[0] == f"{sys.prefix} True", result.stderr
        assert lines[1] in (
            "testing.py PermissionError",
            "testing.py FileNotFoundError",
            "testing.py 0",
        )
        assert int(lines[2].split()[1]) > 1000
        listing = "import docker, os; print(os.listdir(docker.__path__[0] + '/models'))"
        shown = sandbox.exec(
            ["python", "-c", listing + "\nimport docker.models.images"], timeout_s=30
        )
        assert shown.exit_code != 0


@pytest.mark.docker
def test_hidden_path_in_an_image(docker_image: str) -> None:
    script = "python3 -c 'import apt' ; ls -A /usr/lib/python3.11/json"
    with open_sandbox("docker", image=docker_image, hide=("no/such/thing",)) as sandbox:
        assert sandbox.exec(["sh", "-c", script], timeout_s=10).stdout != ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"memory_mib": 512}, "raise memory_mib to at least 1408"),
        ({"pids": 0}, "Limits.pids"),
        ({"output_mib": float("nan")}, "Limits.output_mib"),
        ({"lifetime_s": float("inf")}, "Limits.lifetime_s"),
        ({"grace_s": -1}, "Limits.grace_s"),
        ({"gpus": -1}, "Limits.gpus"),
    ],
)
def test_limits_that_make_no_sense(fields: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidLimitsError, match=words):
        Limits(**fields)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(Request(image="x"), id="image"),
        pytest.param(Request(limits=Limits(gpus=1)), id="gpu"),
        pytest.param(Request(limits=Limits(network=True)), id="network"),
        pytest.param(Request(limits=Limits(cpus=0.5)), id="half-a-cpu"),
        pytest.param(Request(runtime="runsc"), id="runtime"),
    ],
)
@pytest.mark.parametrize("opener", [local.open_bubblewrap, local.open_landlock])
def test_what_cannot_be_honoured_is_refused(opener: Opener, request_: Request) -> None:
    with pytest.raises(CapabilityError):
        opener(request_)


def test_unsafe_must_be_asked_for_and_hides_nothing() -> None:
    with open_sandbox("local", unsafe=True) as sandbox:
        assert sandbox.backend == "unsafe-local"
        assert not sandbox.capabilities.isolated
    with pytest.raises(CapabilityError, match="hidden"):
        open_sandbox("local", unsafe=True, hide=("sklearn/datasets/data",))


def test_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/directory")
    monkeypatch.setattr("agentbench_sandbox.landlock.abi", lambda: 0)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    with pytest.raises(SandboxUnavailableError, match="install bubblewrap"):
        open_sandbox("auto")


def test_auto_without_docker_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    started = time.monotonic()
    with open_sandbox("auto") as sandbox:
        assert sandbox.backend in ("bubblewrap", "landlock")
    assert time.monotonic() - started < 5


def test_macos_is_told_to_use_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/socket")
    for unsafe in (False, True):
        with pytest.raises(SandboxUnavailableError) as refused:
            open_sandbox("local", unsafe=unsafe)
        assert str(refused.value) == (
            "local sandboxes need Linux and this is Darwin; install Docker"
        )
    with pytest.raises(SandboxUnavailableError, match="no sandbox can run here"):
        open_sandbox("auto")


@pytest.mark.docker
def test_unregistered_runtime_is_refused(docker_image: str) -> None:
    with pytest.raises(CapabilityError) as refused:
        open_sandbox("docker", image=docker_image, runtime="no-such-runtime")
    assert str(refused.value).startswith(
        "the Docker daemon has no runtime 'no-such-runtime', only io.containerd.runc"
    )
    assert "\n" not in str(refused.value)


@pytest.mark.docker
def test_gvisor_where_it_is_registered(docker_image: str) -> None:
    from agentbench_sandbox.daemon import connect

    api = connect()
    registered = "runsc" in api.info()["Runtimes"]
    api.close()
    if not registered:
        with pytest.raises(CapabilityError, match="no runtime 'runsc'"):
            open_sandbox("docker", image=docker_image, runtime="runsc")
        return
    with open_sandbox("docker", image=docker_image, runtime="runsc") as sandbox:
        assert "runsc" in sandbox.describe()["isolation"]
        assert sandbox.exec(["echo", "inside"], timeout_s=20).stdout == "inside\n"


@pytest.mark.docker
def test_missing_image_is_not_pulled() -> None:
    with pytest.raises(ImageError, match="docker pull no-such-image"):
        open_sandbox("docker", image="no-such-image:none")


def test_unknown_backend_names_the_known() -> None:
    with pytest.raises(SandboxUnavailableError, match="auto, docker, local"):
        open_sandbox("vmware")


def containers_of(pid: int) -> list[str]:
    """Return the containers that a process of this machine opened."""
    from agentbench_sandbox.reaper import find

    return [found.container for found in find() if found.owner.split("/")[1] == str(pid)]


@pytest.mark.docker
def test_dead_container_is_an_error(docker_image: str) -> None:
    with open_sandbox("docker", image=docker_image) as sandbox:
        own = containers_of(os.getpid())
        subprocess.run(["docker", "kill", *own], check=True, capture_output=True)
        with pytest.raises(SandboxClosedError, match="died"):
            sandbox.exec(["sleep", "5"], timeout_s=20)


def test_closed_sandbox_says_so() -> None:
    sandbox = open_sandbox("local")
    sandbox.close()
    sandbox.close()
    with pytest.raises(SandboxClosedError):
        sandbox.exec(["true"], timeout_s=5)


def test_check_raises_with_the_result() -> None:
    with open_sandbox("local") as sandbox:
        with pytest.raises(ExecFailedError, match="no such thing") as failed:
            sandbox.exec(["sh", "-c", "echo no such thing >&2; exit 4"], timeout_s=5, check=True)
        assert vars(failed.value)["result"].exit_code == 4
        with pytest.raises(ExecTimeoutError):
            sandbox.exec(["sleep", "5"], timeout_s=0.2, check=True)
        with pytest.raises(ValueError, match="timeout_s"):
            sandbox.exec(["true"], timeout_s=float("inf"))


@pytest.mark.parametrize("opener", ISOLATED)
def test_cpus_are_limited(opener: Opener) -> None:
    code = (
        "import os, time\n"
        "try: os.sched_setaffinity(0, range(64))\nexcept OSError: pass\n"
        "if len(os.sched_getaffinity(0)) == 1: print('one', os.environ['OMP_NUM_THREADS'])\n"
        "else: print('quota', os.environ['OMP_NUM_THREADS'])\n"
    )
    with opener(Request(limits=Limits(cpus=1))) as sandbox:
        expected = "quota 1" if opener is open_docker and (os.cpu_count() or 1) > 1 else "one 1"
        assert sandbox.exec(["python3", "-c", code], timeout_s=20).stdout.strip() == expected


def test_lifetime_ends_the_sandbox() -> None:
    with (
        open_sandbox("local", limits=Limits(lifetime_s=1)) as sandbox,
        pytest.raises(SandboxClosedError),
    ):
        sandbox.exec(["sleep", "20"], timeout_s=30)


@pytest.mark.parametrize("name", ["../outside", "/absolute", "a/../../b", "", "nul\0"], ids=repr)
def test_hostile_names_never_reach_the_disk(name: str, tmp_path: Path) -> None:
    def receive() -> None:
        with receive_tree(tmp_path / "out", 1000) as receiver:
            receiver.take({"op": "root"}, b"")
            receiver.take({"op": "file", "name": name, "mode": 0o4777}, b"")

    with pytest.raises((SandboxFileError, ValueError)):
        receive()
    assert list(tmp_path.iterdir()) == []


def test_two_sandboxes_share_nothing(sandbox: Sandbox) -> None:
    with open_sandbox("local") as other:
        sandbox.write_file("mine", b"x")
        assert not other.exec(["cat", sandbox.workdir + "/mine"], timeout_s=5).ok or (
            not sandbox.capabilities.remap
        )


def test_pool_hands_out_fresh_sandboxes() -> None:
    with SandboxPool(lambda: open_sandbox("local"), size=2) as pool:
        for _ in range(4):
            with pool.take() as sandbox:
                assert sandbox.exec(["ls"], timeout_s=5).stdout == ""
                sandbox.write_file("used", b"x")
    with pytest.raises(SandboxError):
        pool.take()


def test_describe_is_json() -> None:
    import json

    with open_sandbox("local", limits=Limits(network=("example.com",))) as sandbox:
        record = json.loads(json.dumps(sandbox.describe()))
    assert record["backend"] == "bubblewrap"
    assert record["limits"]["network"] == ["example.com"]


def test_nothing_grows() -> None:
    def counts() -> tuple[int, ...]:
        return tuple(len(list(Path("/proc/self", name).iterdir())) for name in ("fd", "task"))

    with open_sandbox("local") as sandbox:
        sandbox.exec(["true"], timeout_s=5)
        before = counts()
        for _ in range(500):
            sandbox.exec(["true"], timeout_s=5)
        assert counts() == before
    for _ in range(3):
        open_sandbox("local").close()
    before = counts()
    for _ in range(20):
        open_sandbox("local").close()
    assert counts() == before


def test_parents_of_nested_mounts_can_be_entered(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "f").write_text("x")
    targets = ("/deep/er/data", "/tmp/a/data", "/workspace/in/data", "/dev/shm/b/data")  # noqa: S108
    with local.open_bubblewrap(
        Request(mounts=tuple(Mount(data, target) for target in targets))
    ) as sandbox:
        for target in targets:
            seen = sandbox.exec(["cat", f"{target}/f"], timeout_s=5)
            assert seen.stdout == "x", (target, seen.stderr)
        parents = [str(Path(target).parent) for target in targets]
        modes = sandbox.exec(["stat", "-c", "%a", *parents, "/deep"], timeout_s=5)
        assert set(modes.stdout.split()) == {"755"}


@pytest.mark.parametrize("opener", ISOLATED[1:])
@pytest.mark.parametrize("compiled", [True, False])
def test_installed_packages_are_compiled_once_at_most(
    opener: Opener, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "is_compiled", lambda: compiled)
    code = "import sys, typer; print(sys.dont_write_bytecode, typer.__cached__)"
    with opener(Request()) as sandbox:
        said = [sandbox.exec(["python", "-v", "-c", code], timeout_s=60) for _ in range(2)]
        writes, place = said[1].stdout.split()
        assert writes == str(compiled)
        if not compiled:
            assert ".pycache/" in place
            assert "typer/__init__.py" in said[1].stderr
            assert "# created '" in said[0].stderr
            assert "# created '" not in said[1].stderr
        assert sandbox.exec(["ls", "-A"], timeout_s=5).stdout == ""
