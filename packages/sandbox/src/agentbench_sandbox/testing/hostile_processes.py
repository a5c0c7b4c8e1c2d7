"""Commands that will not end, multiply, flood, or exhaust what they are given."""

import hashlib
import time
from typing import Literal

import pytest

from agentbench_sandbox.result import ExecResult
from agentbench_sandbox.sandbox import Sandbox
from agentbench_sandbox.testing.case import Case, assert_alive, needs, py, sh, survivors

MIB = 1 << 20


def sleep_is_ended_at_its_deadline(sandbox: Sandbox) -> None:
    """A sleeping command returns at its deadline with what it had said."""
    started = time.monotonic()
    result = sh(sandbox, "echo before; sleep 30", timeout_s=1)
    assert time.monotonic() - started < 1.6
    assert result.timed_out
    assert result.stdout == "before\n"


def background_child_dies_at_the_deadline(sandbox: Sandbox) -> None:
    """A child in the background dies with the command that timed out."""
    assert sh(sandbox, "sleep 86411 & sleep 86411", timeout_s=0.5).timed_out
    assert survivors(sandbox, "86411") == 0


def detached_children_die_at_the_deadline(sandbox: Sandbox) -> None:
    """So do children in sessions of their own and double-forked daemons."""
    script = "setsid sleep 86412 & (setsid sleep 86412 &) ; (sleep 86412 &) ; sleep 86412"
    assert sh(sandbox, script, timeout_s=0.5).timed_out
    assert survivors(sandbox, "86412") == 0


@needs("python")
def sigterm_ignorer_is_killed(sandbox: Sandbox) -> None:
    """A process that ignores every signal it can is killed after the grace period."""
    code = (
        "import signal, time\n"
        "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
        "print('armed', flush=True)\ntime.sleep(86413)\n"
    )
    started = time.monotonic()
    result = py(sandbox, code, timeout_s=1)
    assert time.monotonic() - started < 1 + sandbox.limits.grace_s + 0.6
    assert (result.timed_out, result.stdout, result.signal) == (True, "armed\n", 9)


def daemon_that_ignores_sigterm_dies(sandbox: Sandbox) -> None:
    """Detaching and ignoring SIGTERM together do not help."""
    script = "(setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 86414; done' &) ; sleep 60"
    assert sh(sandbox, script, timeout_s=0.5).timed_out
    assert survivors(sandbox, "86414") == 0


@needs("pids=kernel", "python")
def respawner_dies(sandbox: Sandbox) -> None:
    """A chain of processes that each start the next before they die is outrun."""
    code = (
        "import os, sys, time\n"
        "while True:\n"
        "    if os.fork(): os._exit(0)\n"
        "    os.setsid(); mark = '86415'; time.sleep(0.002)\n"
    )
    sh(sandbox, f'python3 -c "{code}" & sleep 30', timeout_s=1)
    assert survivors(sandbox, "86415") == 0
    assert_alive(sandbox)


def stopped_tree_dies(sandbox: Sandbox) -> None:
    """Stopped processes are ended too."""
    assert sh(sandbox, "sleep 86416 & kill -STOP $! ; sleep 30", timeout_s=0.5).timed_out
    assert survivors(sandbox, "86416") == 0


@needs("python")
def misleading_name_dies(sandbox: Sandbox) -> None:
    """A process whose name imitates the columns of /proc/PID/stat is found all the same."""
    code = (
        "import ctypes, os, time\n"
        "ctypes.CDLL(None).prctl(15, b'x) S 1 1 1 (', 0, 0, 0)\n"
        "if os.fork() == 0:\n    os.setsid()\n    time.sleep(86417)\ntime.sleep(86417)\n"
    )
    assert py(sandbox, code, timeout_s=0.7).timed_out
    assert survivors(sandbox, "86417") == 0


def held_pipe_does_not_hold_the_result(sandbox: Sandbox) -> None:
    """A background process that keeps stdout open does not keep the caller waiting."""
    started = time.monotonic()
    result = sh(sandbox, "echo said; sleep 4 & exit 0", timeout_s=20)
    assert time.monotonic() - started < 1.5
    assert (result.exit_code, result.stdout, result.background) == (0, "said\n", 1)


@needs("python")
def background_process_lives_on(sandbox: Sandbox) -> None:
    """A server started in the background survives its command and the noise it makes."""
    code = "import time\nfor i in range(40): print('x' * 9000, flush=True); time.sleep(0.01)\n"
    path = f"{sandbox.workdir}/lived"
    sh(sandbox, f'(python3 -c "{code}"; echo yes > {path}) & exit 0')
    for _ in range(100):
        if sh(sandbox, f"cat {path} 2>/dev/null").stdout == "yes\n":
            return
        time.sleep(0.05)
    raise AssertionError("the background process did not finish")


def raising_callback_ends_the_command(sandbox: Sandbox) -> None:
    """When the caller gives up, the command's tree dies and the sandbox is usable."""

    def give_up(_stream: Literal["stdout", "stderr"], _data: bytes) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sandbox.exec(["sh", "-c", "echo x; sleep 86418"], timeout_s=30, on_output=give_up)
    for _ in range(50):
        if survivors(sandbox, "86418") == 0:
            break
        time.sleep(0.05)
    assert survivors(sandbox, "86418") == 0
    assert_alive(sandbox)


@needs("concurrent")
def other_commands_outlive_a_timeout(sandbox: Sandbox) -> None:
    """Ending one command's tree leaves the other commands alone."""
    import threading

    results: list[str] = []
    other = threading.Thread(
        target=lambda: results.append(sh(sandbox, "sleep 1.5; echo untouched").stdout)
    )
    other.start()
    assert sh(sandbox, "setsid sleep 60 & sleep 60", timeout_s=0.5).timed_out
    other.join()
    assert results == ["untouched\n"]


@needs("pids=kernel", "python")
def fork_bomb_hits_the_limit(sandbox: Sandbox) -> None:
    """Too many processes end in an error inside, a flag outside, and a usable sandbox."""
    code = (
        "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(2)\n"
        "        os._exit(0)\n"
    )
    result = py(sandbox, code, timeout_s=10)
    assert result.pids_limit_hit
    time.sleep(2.5)  # its children have gone by then
    deadline = time.monotonic() + 15
    while not sandbox.exec(["true"], timeout_s=10).ok and time.monotonic() < deadline:
        time.sleep(0.2)
    assert_alive(sandbox)


@needs("pids=kernel")
def fork_bomb_is_swept_at_the_deadline(sandbox: Sandbox) -> None:
    """A bomb that goes on and on is gone after its deadline."""
    script = "b() { b | b & }; b; sleep 30"
    started = time.monotonic()
    sh(sandbox, script, timeout_s=1.5)
    assert time.monotonic() - started < 10
    for _ in range(100):
        if sandbox.exec(["true"], timeout_s=10).exit_code == 0:
            break
        time.sleep(0.05)
    assert_alive(sandbox)


def zombies_are_reaped(sandbox: Sandbox) -> None:
    """Two hundred orphaned children leave nothing in the process table."""
    script = "i=0; while [ $i -lt 20 ]; do (true &) ; i=$((i+1)); done; exit 0"
    for _ in range(10):
        assert sh(sandbox, script).exit_code == 0
    count = "grep -l 'State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"
    if sandbox.capabilities.private_processes:
        assert int(sh(sandbox, count).stdout) <= 1
    assert_alive(sandbox)


@needs("memory", "python")
def memory_hog_is_killed(sandbox: Sandbox) -> None:
    """Touching more memory than the limit is an OOM kill, and says so."""
    code = (
        "import time\nx = []\nwhile True: x.append(bytearray(b'x') * (4 << 20)); time.sleep(0.001)"
    )
    result = py(sandbox, code, timeout_s=30)
    assert result.oom_killed
    assert (result.exit_code, result.signal) == (-9, 9)
    assert_alive(sandbox)


@needs("memory", "python")
def memory_hogs_together_are_killed(sandbox: Sandbox) -> None:
    """Four processes that only together exceed the limit are noticed."""
    size = sandbox.limits.memory_mib // 3
    code = f"import time; x = bytearray(b'x') * ({size} << 20); time.sleep(5)"
    script = f'for i in 1 2 3 4; do python3 -c "{code}" & done; wait'
    assert sh(sandbox, script, timeout_s=30).oom_killed
    assert_alive(sandbox)


@needs("memory", "python")
def memory_files_count(sandbox: Sandbox) -> None:
    """Memory that is held by descriptors and mapped nowhere is memory."""
    code = (
        "import os, time\nheld = []\nfor n in range(80):\n    held.append(os.memfd_create('x'))\n"
        "    os.write(held[-1], bytes(8 << 20)); time.sleep(0.01)\ntime.sleep(10)\nprint('kept')"
    )
    result = py(sandbox, code, timeout_s=60)
    assert (result.oom_killed, result.stdout) == (True, "")
    assert_alive(sandbox)


def own_sigterm_is_not_a_timeout(sandbox: Sandbox) -> None:
    """A command that ends itself by a signal is reported as that."""
    result = sh(sandbox, "kill -TERM $$")
    assert (result.signal, result.exit_code, result.timed_out) == (15, -15, False)


def one_gigabyte_of_output(sandbox: Sandbox) -> None:
    """A flood is counted exactly, kept at head and tail, and does not take long."""
    started = time.monotonic()
    result = sh(sandbox, "head -c 1000000000 /dev/zero", timeout_s=60)
    assert time.monotonic() - started < 15
    assert (result.stdout_total, result.truncated, result.exit_code) == (10**9, True, 0)
    assert len(result.stdout_bytes) <= sandbox.limits.output_mib * MIB + 100
    assert_alive(sandbox)


def both_streams_flooded(sandbox: Sandbox) -> None:
    """100 MB on each stream at once neither deadlocks nor mixes."""
    script = "head -c 100000000 /dev/zero & head -c 100000000 /dev/zero | tr '\\0' e >&2; wait"
    result = sh(sandbox, script, timeout_s=60)
    assert (result.stdout_total, result.stderr_total) == (10**8, 10**8)
    assert b"e" not in result.stdout_bytes.replace(b"bytes left out", b"")


def endless_line_comes_in_bounded_pieces(sandbox: Sandbox) -> None:
    """A stream without newlines reaches the callback in pieces of bounded size."""
    sizes: list[int] = []
    result = sandbox.exec(
        ["head", "-c", "30000000", "/dev/zero"],
        timeout_s=60,
        on_output=lambda _stream, data: sizes.append(len(data)),
    )
    assert sum(sizes) == 30_000_000 == result.stdout_total
    assert max(sizes) <= MIB


def slow_reader_slows_the_command(sandbox: Sandbox) -> None:
    """Back-pressure: a command cannot run far ahead of a slow callback."""
    seen: list[float] = []

    def slow(_stream: Literal["stdout", "stderr"], data: bytes) -> None:
        seen.append(len(data))
        time.sleep(0.02)

    result = sandbox.exec(["yes"], timeout_s=1, on_output=slow)
    assert result.timed_out
    assert result.stdout_total <= sum(seen)
    assert result.stdout_total < 200 * MIB


def first_piece_comes_at_once(sandbox: Sandbox) -> None:
    """Streaming does not wait for the end."""
    at: list[float] = []
    started = time.monotonic()
    sandbox.exec(
        ["sh", "-c", "echo x; sleep 1"],
        timeout_s=10,
        on_output=lambda _stream, _data: at.append(time.monotonic() - started),
    )
    assert at[0] < 0.5


def bytes_are_bytes(sandbox: Sandbox) -> None:
    """Invalid UTF-8, NUL and a split character come back exactly."""
    result = sh(sandbox, "printf 'a\\377\\0\\342\\202'; sleep 0.1; printf '\\254'")
    assert result.stdout_bytes == b"a\xff\0\xe2\x82\xac"
    assert result.stdout == "a�\0€"


def large_stdin_arrives(sandbox: Sandbox) -> None:
    """50 MiB of binary input arrive whole."""
    data = hashlib.shake_256(b"seed").digest(MIB) * 50
    result = sandbox.exec(["sha256sum"], timeout_s=60, stdin=data)
    assert result.stdout.split()[0] == hashlib.sha256(data).hexdigest()


def ignored_stdin_is_no_deadlock(sandbox: Sandbox) -> None:
    """A program that never reads its input does not hang the caller."""
    started = time.monotonic()
    data = bytes(20 * MIB)
    assert sandbox.exec(["true"], timeout_s=20, stdin=data).exit_code == 0
    assert sandbox.exec(["sh", "-c", "exec 0<&-; sleep 0.2"], timeout_s=20, stdin=data).ok
    assert time.monotonic() - started < 10


def prompt_loop_ends(sandbox: Sandbox) -> None:
    """A program that asks until it gets an answer sees end of file, or times out."""
    result = sh(sandbox, "while :; do printf '? '; read x || exit 9; done", timeout_s=5)
    assert result.exit_code == 9


def argument_sizes(sandbox: Sandbox) -> None:
    """A megabyte of arguments works; one that the kernel refuses is a result."""
    many = ["sh", "-c", "echo $#", "sh", *["x" * 65536] * 16]
    assert sandbox.exec(many, timeout_s=10).stdout == "16\n"
    result = sandbox.exec(["echo", "x" * 200_000], timeout_s=10)
    assert result.exit_code == 126
    assert "too long" in result.stderr
    for bad in ([], ["a\0b"], [""]):
        with pytest.raises(ValueError, match=r"argv|NUL"):
            sandbox.exec(bad, timeout_s=10)


def what_cannot_start_says_why(sandbox: Sandbox) -> None:
    """Not executable, a directory, a bad working directory: 126, on standard error."""
    sandbox.write_file("plain.txt", "text")
    for argv, cwd in (
        ([f"{sandbox.workdir}/plain.txt"], None),
        ([sandbox.workdir], None),
        (["true"], "/no/such/directory"),
    ):
        result = sandbox.exec(argv, timeout_s=10, cwd=cwd)
        assert (result.exit_code, result.stdout) == (126, ""), argv
        assert "agentbench-sandbox:" in result.stderr


@needs("concurrent")
def three_sleeps_take_as_long_as_one(sandbox: Sandbox) -> None:
    """Commands run at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    def sleep_one_second(_number: int) -> ExecResult:
        return sh(sandbox, "sleep 1")

    started = time.monotonic()
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(sleep_one_second, range(3)))
    assert all(result.ok for result in results)
    assert time.monotonic() - started < 2


def sixty_threads_run_commands(sandbox: Sandbox) -> None:
    """Many callers at once each get their own answer."""
    from concurrent.futures import ThreadPoolExecutor

    def say(number: int) -> str:
        return sh(sandbox, f"echo {number}").stdout

    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(say, range(60)))
    assert answers == [f"{n}\n" for n in range(60)]


HOSTILE_PROCESSES: tuple[Case, ...] = (
    sleep_is_ended_at_its_deadline,
    background_child_dies_at_the_deadline,
    detached_children_die_at_the_deadline,
    sigterm_ignorer_is_killed,
    daemon_that_ignores_sigterm_dies,
    respawner_dies,
    stopped_tree_dies,
    misleading_name_dies,
    held_pipe_does_not_hold_the_result,
    background_process_lives_on,
    raising_callback_ends_the_command,
    other_commands_outlive_a_timeout,
    fork_bomb_hits_the_limit,
    fork_bomb_is_swept_at_the_deadline,
    zombies_are_reaped,
    memory_hog_is_killed,
    memory_hogs_together_are_killed,
    memory_files_count,
    own_sigterm_is_not_a_timeout,
    one_gigabyte_of_output,
    both_streams_flooded,
    endless_line_comes_in_bounded_pieces,
    slow_reader_slows_the_command,
    first_piece_comes_at_once,
    bytes_are_bytes,
    large_stdin_arrives,
    ignored_stdin_is_no_deadlock,
    prompt_loop_ends,
    argument_sizes,
    what_cannot_start_says_why,
    three_sleeps_take_as_long_as_one,
    sixty_threads_run_commands,
)
