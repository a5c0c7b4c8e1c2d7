"""Persistent Python sessions on every back end."""

import subprocess
import time

import pytest

from agentbench_sandbox import KernelError, Sandbox, SandboxClosedError


@pytest.fixture(autouse=True)
def _claims_kernels(sandbox: Sandbox) -> None:
    if not sandbox.capabilities.kernel:
        pytest.skip(f"{sandbox.backend} does not claim Python sessions")


def test_state_is_kept_and_values_come_back(sandbox: Sandbox) -> None:
    with sandbox.python() as kernel:
        first = kernel.run("import math\nx = 41\nprint('said')\nx + 1")
        assert (first.stdout, first.value, first.error) == ("said\n", "42", None)
        assert kernel.run("math.floor(x / 2)").value == "20"
        assert kernel.run("_ + 1").value == "21"
        assert kernel.run("y = 1").value is None


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("def f(n): return f(n + 1)\nf(0)", "RecursionError"),
        ("input()", "EOFError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("if", "SyntaxError"),
        ("raise MemoryError", "MemoryError"),
        ("class E(Exception):\n    def __str__(self): raise KeyError\nraise E", "E"),
    ],
)
def test_errors_are_results_and_state_survives(sandbox: Sandbox, code: str, name: str) -> None:
    with sandbox.python() as kernel:
        kernel.run("kept = 'kept'")
        result = kernel.run(code)
        assert result.error is not None
        assert result.error.name == name
        assert not result.state_lost
        assert kernel.run("kept").value == "'kept'"


def test_traceback_shows_the_cell(sandbox: Sandbox) -> None:
    with sandbox.python() as kernel:
        error = kernel.run("def g():\n    raise ValueError('deep')\ng()").error
    assert error is not None
    assert "raise ValueError('deep')" in error.traceback
    assert "<string>" not in error.traceback


def test_interrupt_keeps_the_state(sandbox: Sandbox) -> None:
    with sandbox.python() as kernel:
        kernel.run("x = 7")
        started = time.monotonic()
        result = kernel.run("print('a')\nwhile True: pass", timeout_s=0.5)
        assert time.monotonic() - started < 1.2
        assert (result.timed_out, result.state_lost, result.stdout) == (True, False, "a\n")
        assert kernel.run("x").value == "7"


@pytest.mark.parametrize(
    ("code", "timed_out"),
    [
        ("import signal; signal.signal(2, signal.SIG_IGN)\nwhile True: pass", True),
        ("import time\nwhile True:\n    try: time.sleep(60)\n    except BaseException: pass", True),
        ("import os; print('out', flush=True); os._exit(7)", False),
        ("import os; print('out', flush=True); os.kill(os.getpid(), 9)", False),
        ("import ctypes; ctypes.string_at(0)", False),
        ("import os; os.closerange(3, 1 << 20)", False),
    ],
    ids=["ignores-interrupt", "catches-all", "exits", "kills-itself", "segfault", "closes-all"],
)
def test_lost_state_is_reported_and_the_next_cell_runs(
    sandbox: Sandbox, code: str, timed_out: bool
) -> None:
    with sandbox.python() as kernel:
        kernel.run("x = 7")
        started = time.monotonic()
        result = kernel.run(code, timeout_s=1 if timed_out else 20)
        assert time.monotonic() - started < 4
        assert (result.state_lost, result.timed_out) == (True, timed_out)
        assert result.error is not None
        assert kernel.run("'x' in globals()").value == "False"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.close(1); os.close(2)",
        "import os; os.closerange(3, 4096)",
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; sys.stdout.close()",
        "import os; d = os.open('/dev/null', 1); os.dup2(d, 1)",
        "import signal; signal.signal(2, signal.SIG_IGN)",
        "import sys; sys.stdout.flush = None",
    ],
)
def test_session_survives_sabotage(sandbox: Sandbox, code: str) -> None:
    with sandbox.python() as kernel:
        kernel.run("x = 7")
        kernel.run(code)
        after = kernel.run("print('here')\nx")
        assert (after.stdout, after.value, after.state_lost) == ("here\n", "7", False)
        assert kernel.run("while True: pass", timeout_s=0.3).state_lost is False


def test_forks_are_independent(sandbox: Sandbox) -> None:
    with sandbox.python() as kernel:
        kernel.run("x = list(range(1000))")
        copies = kernel.fork(4)
        for number, copy in enumerate(copies):
            copy.run(f"x.append({number})")
        assert [copy.run("x[-1]").value for copy in copies] == ["0", "1", "2", "3"]
        assert kernel.run("x[-1]").value == "999"
        copies[0].run("import os; os._exit(1)")
        copies[1].close()
        assert copies[2].run("len(x)").value == "1001"
        assert kernel.run("len(x)").value == "1000"
        for copy in copies:
            copy.close()
        assert kernel.run("len(x)").value == "1000"


def test_output_flood_is_cut(sandbox: Sandbox) -> None:
    with sandbox.python() as kernel:
        result = kernel.run("print('z' * 5_000_000)")
        assert result.truncated
        assert len(result.stdout) < 2_000_000


def test_restart_and_close(sandbox: Sandbox) -> None:
    kernel = sandbox.python()
    kernel.run("x = 1")
    kernel.restart()
    assert kernel.run("'x' in globals()").value == "False"
    kernel.close()
    with pytest.raises(SandboxClosedError):
        kernel.run("1")


SPEAKS_FOR_ITSELF = """
import gc, os, time
session = next(found for found in gc.get_objects() if type(found).__name__ == "Session")
def lie(descriptors):
    session.control.send({"forked": VICTIM})
    time.sleep(0.2)
    for descriptor in descriptors:
        os.close(descriptor)
session.fork = lie
"""


@pytest.mark.parametrize("victim", ["host", 1, -1, 0, "'1'", None])
def test_a_session_cannot_have_others_killed(sandbox: Sandbox, victim: object) -> None:
    """A copy's process id is the agent's word, and the leader, who may be root, kills by it."""
    with subprocess.Popen(["sleep", "60"]) as bystander:
        named = bystander.pid if victim == "host" else victim
        with sandbox.python() as kernel:
            kernel.run(SPEAKS_FOR_ITSELF.replace("VICTIM", str(named)))
            with pytest.raises(KernelError):
                kernel.fork()
        assert sandbox.exec(["echo", "alive"], timeout_s=20).stdout == "alive\n"
        assert bystander.poll() is None
        bystander.kill()


def test_what_a_session_says_is_bounded(sandbox: Sandbox) -> None:
    with sandbox.python() as kernel:
        error = kernel.run("raise ValueError('\\U0001f600' * 100_000)").error
        assert error is not None
        assert len(error.message.encode()) == len(error.traceback.encode()) == 64 << 10
        kernel.run(SPEAKS_FOR_ITSELF + "for _ in range(9000): session.control.send({'pid': 1})")
        liar = (
            "session.control.send({'done': True, 'value': 7, 'error': ['x'], 'x': 'y' * (3 << 20)})"
        )
        lied = kernel.run(liar)
        assert (lied.value, lied.error) == (None, None)
        assert kernel.run("1").error is None
        assert sandbox.exec(["echo", "alive"], timeout_s=20).stdout == "alive\n"
