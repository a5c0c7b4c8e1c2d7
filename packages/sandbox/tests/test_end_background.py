"""`exec(end_background=True)`: what a command leaves running ends with it."""

import time

import pytest

from agentbench_sandbox import Sandbox

LEAVE = (
    "trap '' TERM HUP; (exec >/dev/null 2>&1 </dev/null; i=0; "
    'while :; do i=$((i + 1)); echo $i > "$1"; sleep 0.05; done) & '
    'while [ ! -s "$1" ]; do sleep 0.02; done; echo said'
)


def alive(sandbox: Sandbox, name: str) -> bool:
    """Whether something goes on writing the file."""
    path = f"{sandbox.workdir}/{name}"
    before = sandbox.read_file(path)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        now = sandbox.read_file(path)
        if now and now != before:
            return True
        time.sleep(0.05)
    return False


def test_what_a_command_leaves_running_ends_with_it_if_asked(sandbox: Sandbox) -> None:
    ended = sandbox.exec(["sh", "-c", LEAVE, "x", "ended"], timeout_s=60, end_background=True)
    assert (ended.exit_code, ended.stdout, ended.background) == (0, "said\n", 0)
    assert not ended.timed_out
    assert not alive(sandbox, "ended")
    assert sandbox.exec(["echo", "on"], timeout_s=60).stdout == "on\n"


def test_other_commands_background_lives_on(sandbox: Sandbox) -> None:
    if not sandbox.capabilities.concurrent:
        pytest.skip(f"{sandbox.backend}: cannot tell whose processes are whose")
    assert sandbox.exec(["sh", "-c", LEAVE, "x", "kept"], timeout_s=60).background >= 1
    assert sandbox.exec(["true"], timeout_s=60, end_background=True).exit_code == 0
    assert alive(sandbox, "kept")
