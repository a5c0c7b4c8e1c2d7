# verifiers wants another openai than the rest of the workspace and is not in its environment
# pyright: reportMissingImports=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUnknownParameterType=false
# pyright: reportGeneralTypeIssues=false
"""A runtime for verifiers: rollouts' commands and files in a sandbox of this package.

verifiers makes the runtimes it knows itself; one of somebody else's is borrowed:

    async with provision(AgentbenchConfig(image="...")) as runtime:
        trace = await agent.run(task, runtime=runtime)

There is no network inside unless `limits` says so, thus a harness that calls its model from inside
the runtime needs `backend="local", unsafe=True` or an open network; task set-up, tools and scoring
need none. Live processes (`open_process`) are not supported, as `supports_live_processes` says.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from pydantic_config import BaseConfig
from typing_extensions import override
from verifiers.v1.errors import SandboxError as RolloutSandboxError
from verifiers.v1.runtimes import BaseRuntimeInfo, ProgramResult, Runtime, register

from agentbench_sandbox.errors import SandboxClosedError, SandboxError
from agentbench_sandbox.request import Limits
from agentbench_sandbox.result import ExecResult
from agentbench_sandbox.sandbox import OnOutput, Sandbox, open_sandbox

TIMED_OUT = 124
"""The exit code of a program that was ended at `timeout_s`, as `timeout(1)` has it."""
BACKGROUND = 'log=$1; shift; "$@" >"$log" 2>&1 </dev/null & exit 0'


class AgentbenchConfig(BaseConfig):
    """What a rollout may say about its sandbox; `limits` holds `Limits`' fields."""

    type: Literal["agentbench"] = "agentbench"
    backend: str = "auto"
    image: str | None = None
    workdir: str = "/workspace"
    unsafe: bool = False
    limits: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    timeout_s: float = 3600.0
    """Seconds each program may run; then its whole tree is ended and it exits with 124."""


class AgentbenchRuntimeInfo(AgentbenchConfig, BaseRuntimeInfo):
    """What a trace keeps about the runtime; `id` is the back end that `backend` came to."""


class AgentbenchRuntime(Runtime):
    """One sandbox, from `start` to `stop`."""

    def __init__(self, config: AgentbenchConfig, name: str | None = None) -> None:
        super().__init__(name)
        self.config = config
        self.info = AgentbenchRuntimeInfo(**config.model_dump())
        self._sandbox: Sandbox | None = None

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox.

        Raises:
            verifiers.v1.errors.SandboxError: `start` was not called, or `stop` was.
        """
        if self._sandbox is None:
            raise RolloutSandboxError(f"runtime {self.name} is not running")
        return self._sandbox

    @override
    async def start(self) -> None:
        try:
            limits = Limits(**self.config.limits)
            self._sandbox = await asyncio.to_thread(
                open_sandbox,
                self.config.backend,
                image=self.config.image,
                limits=limits,
                workdir=self.config.workdir,
                unsafe=self.config.unsafe,
            )
        except (SandboxError, TypeError) as error:
            raise RolloutSandboxError(str(error)) from error
        self.info.id = self._sandbox.backend

    @override
    def cleanup(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()

    async def _exec(
        self, argv: list[str], env: Mapping[str, str], on_output: OnOutput | None = None
    ) -> ExecResult:
        """Run a program beside the event loop; a cancelled caller ends its tree."""
        cancel = threading.Event()
        running = asyncio.ensure_future(
            asyncio.to_thread(
                self.sandbox.exec,
                argv,
                timeout_s=self.config.timeout_s,
                env=env,
                cancel=cancel,
                on_output=on_output,
            )
        )
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            cancel.set()
            await asyncio.wait([running])
            raise
        except SandboxClosedError as error:
            raise RolloutSandboxError(str(error)) from error

    @override
    async def run(self, argv: list[str], env: dict[str, str]) -> ProgramResult:
        result = await self._exec(argv, self.process_env(env))
        code = TIMED_OUT if result.timed_out else result.exit_code
        return ProgramResult(exit_code=code, stdout=result.stdout, stderr=result.stderr)

    @override
    async def run_background(self, argv: list[str], env: dict[str, str], log: str) -> None:
        started = await self._exec(
            ["sh", "-c", BACKGROUND, "sh", log, *argv], self.process_env(env)
        )
        if not started.ok:
            raise RolloutSandboxError(f"{argv[0]} did not start: {started.stderr.strip()[-500:]}")

    @override
    async def _read(self, path: str, max_bytes: int | None = None) -> bytes:
        if max_bytes is None:
            try:
                return await asyncio.to_thread(self.sandbox.read_file, path)
            except SandboxError as error:
                raise RolloutSandboxError(f"read {path!r}: {error}") from error
        parts: list[bytes] = []

        def take(stream: Literal["stdout", "stderr"], data: bytes) -> None:
            if stream == "stdout":
                parts.append(data)

        # head stops by itself, so that nothing more than is asked for leaves the sandbox
        done = await self._exec(["head", "-c", str(max_bytes), "--", path], {}, take)
        if not done.ok:
            raise RolloutSandboxError(f"read {path!r}: {done.stderr.strip()[-500:]}")
        return b"".join(parts)

    @override
    async def write(self, path: str, data: bytes) -> None:
        try:
            await asyncio.to_thread(self.sandbox.write_file, path, data)
        except SandboxError as error:
            raise RolloutSandboxError(f"write {path!r}: {error}") from error


@asynccontextmanager
async def provision(
    config: AgentbenchConfig, *, name: str | None = None, env: Mapping[str, str] | None = None
) -> AsyncGenerator[AgentbenchRuntime]:
    """Start a runtime and stop it at the end, as verifiers' `provision_runtime` does for its own.

    Raises:
        verifiers.v1.errors.SandboxError: No sandbox can be opened.
    """
    runtime = AgentbenchRuntime(config, name)
    register(runtime)
    runtime.env = dict(env or {})
    try:
        await runtime.start()
        yield runtime
    finally:
        await runtime.stop()
