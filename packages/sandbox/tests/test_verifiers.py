# verifiers wants another openai than the rest of the workspace and is not in its environment
# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUnknownParameterType=false
"""The verifiers runtime, against the verifiers package itself, in an environment that has it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

pytest.importorskip("verifiers")
from verifiers.v1.errors import SandboxError
from verifiers.v1.runtimes import Runtime

from agentbench_sandbox.adapters.verifiers import (
    AgentbenchConfig,
    AgentbenchRuntime,
    provision,
)

Scenario = Callable[[AgentbenchRuntime], Awaitable[None]]


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "local"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Run a scenario on a runtime with each back end."""
    if request.param == "docker":
        request.getfixturevalue("docker_image")
    config = AgentbenchConfig(backend=request.param, timeout_s=1.5)

    def go(scenario: Scenario) -> None:
        async def inside() -> None:
            async with provision(config, env={"TASK": "of the task"}) as runtime:
                await scenario(runtime)
            assert runtime.stopped
            assert not await runtime.alive()

        asyncio.run(inside())

    return go


def test_it_does_what_a_runtime_does(run: Callable[[Scenario], None]) -> None:
    async def scenario(runtime: AgentbenchRuntime) -> None:
        assert isinstance(runtime, Runtime)
        assert await runtime.alive()
        assert runtime.info.id in ("docker", "bubblewrap", "landlock")
        assert not runtime.supports_live_processes
        program = ["sh", "-c", 'echo "$TASK, $MORE"; echo err >&2; exit 3']
        done = await runtime.run(program, {"MORE": "more"})
        assert (done.exit_code, done.stdout, done.stderr) == (3, "of the task, more\n", "err\n")
        view = runtime.with_env({"TASK": "of a view"})
        assert (await view.run(["sh", "-c", "echo $TASK"], {})).stdout == "of a view\n"

    run(scenario)


def test_files_and_their_bounds(run: Callable[[Scenario], None]) -> None:
    async def scenario(runtime: AgentbenchRuntime) -> None:
        data = bytes(range(256)) * 100
        await runtime.write("deep/er/file", data)
        assert await runtime.read("deep/er/file") == data
        assert await runtime.read("deep/er/file", max_bytes=len(data)) == data
        with pytest.raises(SandboxError, match="over the 10 byte limit"):
            await runtime.read("/dev/zero", max_bytes=10)
        for max_bytes in (None, 10):
            with pytest.raises(SandboxError, match="no-such-file"):
                await runtime.read("no-such-file", max_bytes=max_bytes)
        with pytest.raises(SandboxError):
            await runtime.write("/usr/evil", b"x")

    run(scenario)


def test_time_out_and_cancellation_end_the_tree(run: Callable[[Scenario], None]) -> None:
    async def scenario(runtime: AgentbenchRuntime) -> None:
        late = await runtime.run(["sh", "-c", "echo said; setsid sleep 86701 & sleep 86701"], {})
        assert (late.exit_code, late.stdout) == (124, "said\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await runtime.run(["sh", "-c", "setsid sleep 86702 & sleep 86702"], {})
        listing = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
        assert "8670" not in (await runtime.run(["sh", "-c", listing], {})).stdout

    run(scenario)


def test_a_server_in_the_background_outlives_its_start(run: Callable[[Scenario], None]) -> None:
    async def scenario(runtime: AgentbenchRuntime) -> None:
        program = ["sh", "-c", "echo up; while :; do sleep 0.1; done"]
        await runtime.run_background(program, {}, "log/../server.log")
        for _ in range(50):
            if await runtime.read("server.log") == b"up\n":
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the server did not start")

    async def prepared(runtime: AgentbenchRuntime) -> None:
        await runtime.run(["mkdir", "log"], {})
        await scenario(runtime)

    run(prepared)


def test_scripts_with_no_dependencies_run_by_digest(run: Callable[[Scenario], None]) -> None:
    async def scenario(runtime: AgentbenchRuntime) -> None:
        path = f"{runtime.scripts_dir}/by-digest.py"
        await runtime.write(path, b"print('from', __file__)")
        done = await runtime.run(["python3", path], {})
        assert done.stdout == f"from {path}\n"

    run(scenario)


def test_what_cannot_be_opened_is_a_rollout_error() -> None:
    async def scenario() -> None:
        for config in (
            AgentbenchConfig(backend="no-such-back-end"),
            AgentbenchConfig(backend="local", limits={"memory_mib": 1}),
            AgentbenchConfig(backend="local", limits={"no_such_limit": 1}),
            AgentbenchConfig(backend="local", image="an-image"),
        ):
            with pytest.raises(SandboxError):
                async with provision(config):
                    pass

    asyncio.run(scenario())
