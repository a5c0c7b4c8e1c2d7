"""The supervisor's program on other interpreters than the one that sends it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentbench_sandbox import guest
from agentbench_sandbox.guest import BOOT, cell_program, program, source
from agentbench_sandbox.guest.wire import Frames, pack

CONFIG: dict[str, Any] = {
    "env": {"PATH": os.defpath},
    "workdir": "/tmp",  # noqa: S108 - nothing is written
    "grace_s": 1,
    "lifetime_s": 60,
    "python": sys.executable,
    "cell_program": cell_program(),
    "watch": {},
    "oom_counters": [],
    "pids_counters": [],
}
COMMAND = {
    "op": "exec",
    "id": 1,
    "argv": ["sh", "-c", "echo hi; exit 4"],
    "timeout": 30,
    "output": 1000,
    "more": False,
}


def talk(sent: bytes, until: str) -> list[tuple[dict[str, Any], bytes]]:
    """Start PID 1's program as an ordinary process; return its frames up to one named `until`."""
    frames = Frames()
    found: list[tuple[dict[str, Any], bytes]] = []
    argv = [sys.executable, "-I", "-S", "-c", BOOT]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        supervisor.stdin.write(sent)
        supervisor.stdin.flush()
        while not found or found[-1][0]["op"] != until:
            data = os.read(supervisor.stdout.fileno(), 1 << 16)
            assert data, found
            found += frames.feed(data)
    return found


def other_interpreters(sent: bytes) -> bytes:
    """Return the program as an interpreter with another magic number sees it."""
    return sent[:4] + b"?" * 4 + sent[8:]


@pytest.mark.parametrize("change", [bytes, other_interpreters], ids=["same", "another"])
def test_program_runs_as_code_and_as_text(change: Any) -> None:  # noqa: ANN401
    *_, (header, body) = talk(change(program()) + pack(CONFIG) + pack(COMMAND), "end")
    assert (header["exit_code"], body) == (4, b"hi\n")


def test_old_python_is_refused() -> None:
    old = source().replace("OLDEST = (3, 9)", "OLDEST = (99, 9)").encode()
    parts = (b"none", b"", old)
    sent = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    *_, (header, _) = talk(sent + pack(CONFIG), "failed")
    assert "99" not in header["message"]
    assert "3.9 or newer" in header["message"]


def test_every_module_is_in_the_program_once() -> None:
    files = {path.stem for path in Path(guest.__file__).parent.glob("*.py")}
    assert set(guest.MODULES) == files - {"__init__", "session"}
    lines = [line for line in source().splitlines() if line.startswith(("def ", "class "))]
    names = [line.replace("(", " ").replace(":", " ").split()[1] for line in lines]
    assert len(names) == len(set(names)), "two modules define the same name"
