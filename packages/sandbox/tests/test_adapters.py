"""inspect_ai's own conformance suite on our sandboxes, and the AIDE-style interpreter."""

import inspect as python_inspect
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from agentbench_sandbox import open_sandbox
from agentbench_sandbox.adapters.aide import Interpreter

pytest.importorskip("inspect_ai")
from inspect_ai.util import SandboxUserUnsupportedError
from inspect_ai.util._sandbox import self_check

from agentbench_sandbox.adapters.inspect import (
    AgentbenchSandboxEnvironment,
    Options,
)

CHECKS: dict[str, Any] = {
    name: check
    for name, check in vars(self_check).items()
    if name.startswith("test_") and python_inspect.iscoroutinefunction(check)
}


@pytest.fixture(scope="module", params=[pytest.param("docker", marks=pytest.mark.docker), "local"])
def environment(request: pytest.FixtureRequest) -> Iterator[AgentbenchSandboxEnvironment]:
    if request.param == "docker":
        request.getfixturevalue("docker_image")
    made: Any = anyio.run(  # pyright: ignore[reportUnknownArgumentType]
        AgentbenchSandboxEnvironment.sample_init,
        "task",
        Options(backend=request.param, root=request.param == "docker"),
        {},
    )
    yield made["default"]
    anyio.run(AgentbenchSandboxEnvironment.sample_cleanup, "task", None, made, False)  # noqa: FBT003


@pytest.mark.parametrize("name", CHECKS)
def test_inspect_self_check(name: str, environment: AgentbenchSandboxEnvironment) -> None:
    if name == "test_exec_as_user" and not environment.sandbox.capabilities.users:
        with pytest.raises(SandboxUserUnsupportedError, match="one user"):
            anyio.run(CHECKS[name], environment)
        pytest.xfail("local sandboxes have one user: 43 of inspect's 44 checks")
    anyio.run(CHECKS[name], environment)


def test_cancelled_command_is_ended(environment: AgentbenchSandboxEnvironment) -> None:
    async def scenario() -> None:
        with anyio.move_on_after(0.5) as scope:
            await environment.exec(["sh", "-c", "setsid sleep 86600 & sleep 86600"])
        assert scope.cancelled_caught
        await anyio.sleep(1.5)
        listing = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
        assert "sleep 86600" not in (await environment.exec(["sh", "-c", listing])).stdout

    anyio.run(scenario)


def test_aide_interpreter() -> None:
    with open_sandbox("local") as sandbox, Interpreter(sandbox, timeout=1) as interpreter:
        good = interpreter.run("x = 1\nprint('hello')")
        assert good.exc_type is None
        assert good.term_out[0] == "hello\n"
        assert interpreter.run("print(x)", reset_session=False).term_out[0] == "1\n"
        bad = interpreter.run("print(x)")
        assert bad.exc_type == "NameError"
        assert bad.exc_stack[-1][1:] == (1, "<module>", "print(x)")
        assert interpreter.run("while True: pass").exc_type == "TimeoutError"
