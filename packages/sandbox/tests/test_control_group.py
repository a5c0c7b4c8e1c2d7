"""Control groups of both versions, on trees laid out as the kernel lays them out."""

import os
from pathlib import Path

import pytest

from agentbench_sandbox import Limits
from agentbench_sandbox.control_group import LEADERS, make, memberships
from agentbench_sandbox.guest.processes import Counter

LIMITS = Limits(memory_mib=512, pids=40, disk_mib=64, tmp_mib=64)
SESSION = "/user.slice/user-0.slice/session-1.scope"
VERSION_1 = """\
11:pids:/docker/abc
7:memory:/docker/abc
4:cpu,cpuacct:/docker/abc
1:name=systemd:/docker/abc
"""
MEMORY_EVENTS = "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n"
OOM_CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"


def version_2(root: Path, delegating: str) -> Path:
    """Make a tree of groups of which one passes its controllers on, as systemd leaves it."""
    place = root
    for part in ("", *SESSION.strip("/").split("/")):
        place /= part
        place.mkdir(exist_ok=True)
        (place / "cgroup.procs").write_text("")
        controllers = "cpu memory pids\n" if place == root / delegating else "cpu\n"
        (place / "cgroup.subtree_control").write_text(controllers)
    return root / delegating


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"0::{SESSION}\n", {"": SESSION}, id="version-2"),
        pytest.param(
            VERSION_1,
            dict.fromkeys(("pids", "memory", "cpu", "cpuacct", "name=systemd"), "/docker/abc"),
            id="version-1",
        ),
        pytest.param(
            "2:memory,pids:/a\n0::/b:c\n", {"memory": "/a", "pids": "/a", "": "/b:c"}, id="hybrid"
        ),
    ],
)
def test_memberships(text: str, expected: dict[str, str]) -> None:
    assert memberships(text) == expected


@pytest.mark.parametrize("delegating", ["", "user.slice", "user.slice/user-0.slice"])
def test_version_2_group_is_made_where_controllers_are_passed_on(
    delegating: str, tmp_path: Path
) -> None:
    parent = version_2(tmp_path, delegating)
    group = make(LIMITS, root=tmp_path, joined={"": SESSION})
    assert group is not None
    (place,) = group.places
    assert place.parent == parent
    assert place.name.startswith(f"agentbench-{os.getpid()}-")
    written = {path.name: path.read_text() for path in place.iterdir()}
    assert written == {
        "memory.max": str(512 << 20),
        "memory.swap.max": "0",
        "pids.max": str(40 + LEADERS),
    }
    config = group.config()
    assert config["join"] == [str(place / "cgroup.procs")]
    assert config["oom_counter"] == str(place / "memory.events")
    assert config["pids_counter"] == str(place / "pids.events")
    assert config["remove_groups"] == [str(place)]


@pytest.mark.parametrize("delegating", ["nowhere"])
def test_version_2_without_delegation_is_none(delegating: str, tmp_path: Path) -> None:
    version_2(tmp_path, delegating)
    before = sorted(tmp_path.rglob("*"))
    assert make(LIMITS, root=tmp_path, joined={"": SESSION}) is None
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may make directories anywhere")
def test_version_2_group_of_somebody_else_is_none(tmp_path: Path) -> None:
    version_2(tmp_path, "user.slice").chmod(0o555)
    assert make(LIMITS, root=tmp_path, joined={"": SESSION}) is None


def test_version_1_group_is_below_its_own(tmp_path: Path) -> None:
    for controller in ("memory", "pids"):
        (tmp_path / controller / "docker/abc").mkdir(parents=True)
    group = make(LIMITS, root=tmp_path, joined=memberships(VERSION_1))
    assert group is not None
    memory, pids = group.places
    assert memory.parent == tmp_path / "memory/docker/abc"
    assert (memory / "memory.limit_in_bytes").read_text() == str(512 << 20)
    assert (pids / "pids.max").read_text() == str(40 + LEADERS)
    assert group.oom_counter == memory / "memory.oom_control"


def test_half_made_groups_are_removed(tmp_path: Path) -> None:
    (tmp_path / "memory/docker/abc").mkdir(parents=True)  # and no pids
    assert make(LIMITS, root=tmp_path, joined=memberships(VERSION_1)) is None
    assert list((tmp_path / "memory/docker/abc").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        pytest.param(MEMORY_EVENTS, "oom_kill", 2, id="version-2-memory"),
        pytest.param(OOM_CONTROL, "oom_kill", 2, id="version-1-memory"),
        pytest.param("max 5\n", "max", 5, id="pids"),
        pytest.param("", "max", 0, id="empty"),
    ],
)
def test_counters_of_both_versions(text: str, key: str, expected: int, tmp_path: Path) -> None:
    file = tmp_path / "counter"
    file.write_text(text)
    assert Counter([str(file)], key.encode()).read() == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a group without delegation")
def test_a_real_group_on_this_machine() -> None:
    group = make(LIMITS)
    if group is None:
        pytest.skip("no control group can be made here")
    try:
        assert all(place.is_dir() for place in group.places)
        assert Counter([str(group.oom_counter)], b"oom_kill").read() == 0
    finally:
        group.remove()
    assert not any(place.exists() for place in group.places)
