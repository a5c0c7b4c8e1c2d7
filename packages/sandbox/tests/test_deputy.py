"""What runs the agent's programs is the agent's equal: it can be stopped, killed, not steered."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from agentbench_sandbox import CapabilityError, Request, Sandbox, SandboxFileError, open_sandbox
from agentbench_sandbox.docker import open_docker
from agentbench_sandbox.testing import TESTING_LIMITS

A_MINUTE = {"timeout_s": 60}
EVERYONE = """\
import os, resource, signal
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) not in (1, os.getpid()):
        pid = int(name)
        try:
            {action}
        except OSError:
            pass
print("did it")
"""


def act_on_everyone(sandbox: Sandbox, action: str) -> None:
    """Do something to every process in the sandbox that the agent may do it to."""
    started = time.monotonic()
    code = EVERYONE.format(action=action)
    result = sandbox.exec(["python3", "-c", code], timeout_s=30)
    assert (result.exit_code, result.stdout, result.timed_out) == (0, "did it\n", False)
    assert time.monotonic() - started < 15


@pytest.fixture
def supervised(sandbox: Sandbox) -> Sandbox:
    if not sandbox.capabilities.concurrent:
        pytest.skip("its commands run by docker exec: there is no deputy")
    return sandbox


@pytest.fixture
def private(supervised: Sandbox) -> Sandbox:
    sandbox = supervised
    if not (sandbox.capabilities.private_processes and sandbox.capabilities.signals_isolated):
        pytest.skip(f"{sandbox.backend}: its processes are those of the machine")
    return sandbox


@pytest.mark.parametrize("number", ["STOP", "TERM", "KILL", "INT", "HUP"])
def test_signals_to_everyone_do_not_reach_the_next_command(private: Sandbox, number: str) -> None:
    act_on_everyone(private, f"os.kill(pid, signal.SIG{number})")
    assert private.exec(["echo", "next"], timeout_s=20).stdout == "next\n"
    act_on_everyone(private, f"os.kill(pid, signal.SIG{number})")
    private.write_file("after", "x" * 700_000)
    assert private.read_file("after") == b"x" * 700_000


@pytest.mark.parametrize(
    ("action", "look"),
    [
        (
            "resource.prlimit(pid, resource.RLIMIT_NOFILE, (9, 9))",
            "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE))",
        ),
        (
            "resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, 1))",
            "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))",
        ),
        ("os.setpriority(os.PRIO_PROCESS, pid, 19)", "import os; print(os.nice(0))"),
        (
            "os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))",
            "import os; print(os.sched_getscheduler(0))",
        ),
        (
            "os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})",
            "import os; print(os.sched_getaffinity(0))",
        ),
    ],
    ids=["open-files", "file-size", "priority", "scheduler", "processors"],
)
def test_tampering_does_not_reach_the_next_command(
    private: Sandbox, action: str, look: str
) -> None:
    before = private.exec(["python3", "-c", look], timeout_s=20).stdout
    act_on_everyone(private, action)
    assert private.exec(["python3", "-c", look], timeout_s=20).stdout == before
    act_on_everyone(private, action)
    private.write_file("after", b"whole")
    assert private.read_file("after") == b"whole"


def test_killed_starter_does_not_lose_the_command(private: Sandbox) -> None:
    script = "kill -KILL -1; sleep 0.3; echo said; exit 3"
    result = private.exec(["sh", "-c", script], timeout_s=20)
    assert (result.exit_code, result.stdout, result.signal) == (3, "said\n", None)


def test_transfers_under_fire_fail_cleanly(private: Sandbox) -> None:
    """Something inside kills all it can, again and again, while files go in."""
    script = "i=0; while [ $i -lt 150 ]; do kill -KILL -1; sleep 0.02; i=$((i+1)); done; echo over"
    fire = threading.Thread(target=private.exec, args=(["sh", "-c", script],), kwargs=A_MINUTE)
    fire.start()
    data = bytes(3 << 20)
    while fire.is_alive():
        started = time.monotonic()
        with suppress(SandboxFileError):
            private.write_file("target", data)
        assert time.monotonic() - started < 20
    fire.join()
    private.write_file("target", data)
    assert private.read_file("target") == data


def test_usage_is_of_one_command_only(supervised: Sandbox) -> None:
    sandbox = supervised
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    assert sandbox.exec(["python3", "-c", burn], timeout_s=60).cpu_s >= 0.5
    memory = "x = bytearray(b'x') * (90 << 20)"
    assert sandbox.exec(["python3", "-c", memory], timeout_s=60).peak_memory_mib > 90
    after = sandbox.exec(["true"], timeout_s=20)
    assert after.cpu_s < 0.25
    assert after.peak_memory_mib < 45
    sandbox.exec(["sleep", "9"], timeout_s=0.1)
    assert sandbox.exec(["true"], timeout_s=20).cpu_s < 0.25


def test_bomb_in_the_background_does_not_take_the_sandbox(supervised: Sandbox) -> None:
    sandbox = supervised
    if sandbox.capabilities.pids != "kernel":
        pytest.skip(f"{sandbox.backend} does not claim pids=kernel")
    bomb = (
        "import os, time\ntime.sleep(0.5)\nwhile True:\n    try: os.fork()\n    except OSError: 0"
    )
    left = sandbox.exec(["sh", "-c", f"python3 -c '{bomb}' & exit 0"], timeout_s=20)
    assert (left.exit_code, left.background) == (0, 1)
    time.sleep(2)
    count = "ls -d /proc/[0-9]* | wc -l"
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        result = sandbox.exec(["sh", "-c", count], timeout_s=20)
        if result.ok and (not sandbox.capabilities.private_processes or int(result.stdout) < 40):
            return
        time.sleep(0.2)
    raise AssertionError("the bomb goes on")


@pytest.mark.parametrize("opener", [open_docker], ids=["docker"])
@pytest.mark.docker
def test_other_users(opener: Callable[[Request], Any], docker_image: str) -> None:
    with opener(Request(image=docker_image, limits=TESTING_LIMITS)) as box:
        assert box.exec(["whoami"], timeout_s=20, user="daemon").stdout == "daemon\n"
        assert box.exec(["sh", "-c", "echo $HOME"], timeout_s=20, user="mail").stdout != "\n"
        assert box.exec(["whoami"], timeout_s=20).stdout == "nobody\n"
        unknown = box.exec(["whoami"], timeout_s=20, user="no-such-user")
        assert (unknown.exit_code, unknown.stdout) == (126, "")
        assert "no-such-user" in unknown.stderr
        late = box.exec(["sh", "-c", "setsid sleep 77 & sleep 77"], timeout_s=0.3, user="daemon")
        assert late.timed_out
        assert box.exec(["pgrep", "sleep"], timeout_s=20).stdout == ""
        with pytest.raises(CapabilityError, match="root=True"):
            box.exec(["whoami"], timeout_s=20, user="root")
    with opener(Request(image=docker_image, limits=TESTING_LIMITS, root=True)) as box:
        script = "whoami; touch /etc/made-by-root; grep -h Cap[EB] /proc/self/status"
        assert box.exec(["sh", "-c", script], timeout_s=20, user="root").stdout.split() == [
            *("root", "CapEff:", "00000000000000fb", "CapBnd:", "00000000000000fb"),
        ]
        agent = box.exec(["sh", "-c", "touch /etc/made; " + script], timeout_s=20)
        assert agent.stdout.split()[:3] == ["nobody", "CapEff:", "0" * 16]
        assert box.exec(["test", "-e", "/etc/made"], timeout_s=20).exit_code == 1


def test_full_disk_can_be_read_and_emptied(supervised: Sandbox) -> None:
    sandbox = supervised
    if sandbox.capabilities.disk != "watchdog":
        pytest.skip(f"{sandbox.backend}: the kernel limits its disk")
    fill = "head -c 180000000 /dev/zero > big; sleep 20"
    filled = sandbox.exec(["sh", "-c", fill], timeout_s=60)
    assert (filled.disk_limit_hit, filled.signal) == (True, 9)
    slow = sandbox.exec(["sh", "-c", "sleep 0.5; wc -c < big"], timeout_s=60)
    assert slow.ok, slow
    assert sandbox.exec(["sh", "-c", "sleep 0.3; rm big; sleep 0.3"], timeout_s=60).ok
    assert sandbox.exec(["sh", "-c", fill], timeout_s=60).disk_limit_hit
    sandbox.exec(["rm", "big"], timeout_s=60, check=True)


def test_local_sandboxes_have_one_user() -> None:
    with open_sandbox("local") as box, pytest.raises(CapabilityError, match="one user"):
        box.exec(["true"], timeout_s=5, user="root")
    with pytest.raises(CapabilityError, match="root"):
        open_sandbox("local", root=True)
