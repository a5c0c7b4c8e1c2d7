"""GPU leases, on devices that exist only as an argument."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agentbench_sandbox import CapabilityError, Limits, Request, SandboxUnavailableError
from agentbench_sandbox.container import host_config
from agentbench_sandbox.gpus import Device, lease, list_devices

DEVICES = tuple(Device(index=str(n), uuid=f"GPU-{n:04x}") for n in range(4))


def four() -> tuple[Device, ...]:
    return DEVICES


def test_no_two_leases_share_a_device(tmp_path: Path) -> None:
    held = [lease(n, devices=four, directory=tmp_path) for n in (1, 2, 1)]
    uuids = [uuid for one in held for uuid in one.uuids]
    assert sorted(uuids) == [device.uuid for device in DEVICES]
    with pytest.raises(SandboxUnavailableError, match="leave 0 of them free"):
        lease(1, devices=four, directory=tmp_path)
    freed = held[1].uuids
    held[1].release()
    held[1].release()
    assert lease(2, devices=four, directory=tmp_path).uuids == freed


def test_a_failed_lease_keeps_nothing(tmp_path: Path) -> None:
    one = lease(("3",), devices=four, directory=tmp_path)
    with pytest.raises(SandboxUnavailableError):
        lease(4, devices=four, directory=tmp_path)
    assert len(lease(3, devices=four, directory=tmp_path).uuids) == 3
    one.release()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(0, (), id="none"),
        pytest.param((), (), id="none-named"),
        pytest.param(("2", "GPU-0000"), ("GPU-0002", "GPU-0000"), id="index-and-uuid"),
        pytest.param(("1", "GPU-0001"), ("GPU-0001",), id="one-named-twice"),
    ],
)
def test_named_devices(
    asked: int | tuple[str, ...], expected: tuple[str, ...], tmp_path: Path
) -> None:
    assert lease(asked, devices=four, directory=tmp_path).uuids == expected


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(5, "5 GPUs were asked for and this machine has 4", id="too-many"),
        pytest.param(("7",), r"no GPU 7; it has 0 \(GPU-0000\)", id="unknown-index"),
        pytest.param(("../../etc/passwd",), "no GPU", id="path"),
    ],
)
def test_devices_that_are_not_there(
    asked: int | tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(CapabilityError, match=words):
        lease(asked, devices=four, directory=tmp_path / "leases")
    assert not (tmp_path / "leases").exists()


def test_another_process_is_kept_out_until_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from agentbench_sandbox.gpus import Device, lease\n"
        "held = lease(1, devices=lambda: [Device(index='0', uuid='GPU-0000')], "
        "directory=Path(sys.argv[1]))\n"
        "print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SandboxUnavailableError):
            lease(("0",), devices=four, directory=tmp_path)
        other.kill()
    assert lease(("0",), devices=four, directory=tmp_path).uuids == ("GPU-0000",)


def test_many_threads_get_each_device_once(tmp_path: Path) -> None:
    held: list[str] = []
    refused: list[Exception] = []

    def take() -> None:
        try:
            held.extend(lease(1, devices=four, directory=tmp_path).uuids)
        except SandboxUnavailableError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held) == [device.uuid for device in DEVICES]
    assert len(refused) == 12


def test_without_nvidia_smi_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/directory")
    assert list(list_devices()) == []


def test_devices_are_read_from_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-1b2c'\necho '1, GPU-3d4e'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(list_devices()) == [
        Device(index="0", uuid="GPU-1b2c"),
        Device(index="1", uuid="GPU-3d4e"),
    ]


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs an NVIDIA GPU")
def test_devices_of_this_machine() -> None:
    found = list_devices()
    assert found
    assert all(device.uuid.startswith(("GPU-", "MIG-")) for device in found)


@pytest.mark.docker
def test_leased_devices_are_what_docker_is_asked_for(docker_image: str, tmp_path: Path) -> None:
    from agentbench_sandbox.daemon import connect

    assert docker_image
    api = connect()
    held = lease(2, devices=four, directory=tmp_path)
    request = Request(limits=Limits(gpus=2))
    config = host_config(api, request, capabilities=(), gpus=held.uuids)
    (asked,) = config["DeviceRequests"]
    assert asked["DeviceIDs"] == ["GPU-0000", "GPU-0001"]
    assert asked["Capabilities"] == [["gpu"]]
    assert asked["Count"] == 0
    assert not host_config(api, Request(), capabilities=())["DeviceRequests"]
    api.close()


@pytest.mark.docker
def test_gpus_docker_cannot_pass_in_are_refused_and_given_back(docker_image: str) -> None:
    from agentbench_sandbox.docker import open_docker

    assert docker_image
    fake = (Device(index="0", uuid="GPU-of-a-test"),)
    for _ in range(2):
        with pytest.raises(CapabilityError, match="GPU"):
            open_docker(Request(limits=Limits(gpus=1)), devices=lambda: fake)
    with pytest.raises(CapabilityError, match="has 0"):
        open_docker(Request(limits=Limits(gpus=1)), devices=lambda: ())
