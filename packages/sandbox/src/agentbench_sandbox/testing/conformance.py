"""What every back end must do for a well-behaved caller."""

import hashlib
import time

from agentbench_sandbox.sandbox import Sandbox
from agentbench_sandbox.testing.case import Case, needs


def streams_and_exit_code_are_separate(sandbox: Sandbox) -> None:
    """Standard output, standard error and the exit code come back apart."""
    result = sandbox.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=10)
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)
    assert not result.timed_out
    assert not result.truncated


def working_directory_is_writable(sandbox: Sandbox) -> None:
    """A command starts in `workdir` and may write there and in its TMPDIR."""
    script = 'pwd; echo x > here && echo y > "$TMPDIR/there" && cat here'
    result = sandbox.exec(["sh", "-c", script], timeout_s=10)
    assert result.stdout == f"{sandbox.workdir}\nx\n", result.stderr


@needs("python")
def python_runs(sandbox: Sandbox) -> None:
    """`python` and `python3` are there."""
    for name in ("python", "python3"):
        result = sandbox.exec([name, "-c", "print(6 * 7)"], timeout_s=30)
        assert result.stdout == "42\n", result.stderr


def missing_program_is_127(sandbox: Sandbox) -> None:
    """A program that does not exist is a result with exit code 127 and a reason."""
    result = sandbox.exec(["no-such-program"], timeout_s=10)
    assert result.exit_code == 127
    assert "no-such-program" in result.stderr
    assert result.stdout == ""


def timeout_ends_the_whole_tree(sandbox: Sandbox) -> None:
    """Detached children die with the command, what it said is kept, and it returns in time."""
    mark = "sleep 7731"
    script = f"echo before; setsid {mark} & ({mark} &) ; {mark}"
    started = time.monotonic()
    result = sandbox.exec(["sh", "-c", script], timeout_s=0.5)
    assert time.monotonic() - started < 0.5 + 0.3 + 1.0
    assert result.timed_out
    assert result.stdout == "before\n"
    listing = 'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done 2>/dev/null'
    assert f"{mark} " not in sandbox.exec(["sh", "-c", listing], timeout_s=10).stdout


def output_is_capped(sandbox: Sandbox) -> None:
    """More output than the limit keeps head and tail, and is counted exactly."""
    size = int(sandbox.limits.output_mib * (1 << 20)) + 12_345
    script = f"printf start; head -c {size} /dev/zero; printf end"
    result = sandbox.exec(["sh", "-c", script], timeout_s=30)
    assert result.stdout_total == size + len("startend")
    assert result.truncated
    assert result.stdout_bytes.startswith(b"start\0")
    assert result.stdout_bytes.endswith(b"\0end")
    assert b"bytes left out" in result.stdout_bytes


def stdin_is_delivered(sandbox: Sandbox) -> None:
    """Standard input arrives whole; without any, a program sees its end at once."""
    data = bytes(range(256)) * 20_000
    result = sandbox.exec(["sha256sum"], timeout_s=30, stdin=data)
    assert result.stdout.split()[0] == hashlib.sha256(data).hexdigest()
    assert sandbox.exec(["cat"], timeout_s=5).stdout == ""


def files_go_in_and_out(sandbox: Sandbox) -> None:
    """A file written is the file read."""
    data = bytes(range(256)) * 5000
    sandbox.write_file("deep/er/file.bin", data)
    assert sandbox.read_file("deep/er/file.bin") == data
    assert sandbox.read_file(f"{sandbox.workdir}/deep/er/file.bin") == data


CONFORMANCE: tuple[Case, ...] = (
    streams_and_exit_code_are_separate,
    working_directory_is_writable,
    python_runs,
    missing_program_is_127,
    timeout_ends_the_whole_tree,
    output_is_capped,
    stdin_is_delivered,
    files_go_in_and_out,
)
