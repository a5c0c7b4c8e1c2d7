"""Sandboxes for inspect_ai: `sandbox="agentbench"`, or `("agentbench", "options.yaml")`.

inspect_ai finds this module by its entry point. The options are a mapping of `open_sandbox`'s
`backend`, `image`, `env`, `workdir`, `unsafe` and `root` (`exec(user="root")` works), and `limits`,
a mapping of `Limits`' fields.
"""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import anyio
from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUserUnsupportedError,
    sandboxenv,
)
from inspect_ai.util import SandboxUnavailableError as InspectUnavailableError
from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from agentbench_sandbox.errors import CapabilityError, SandboxClosedError, TransferLimitError
from agentbench_sandbox.request import Limits
from agentbench_sandbox.result import ExecResult as OurResult
from agentbench_sandbox.sandbox import Sandbox, open_sandbox

LONGEST_S = 24 * 3600.0
MIB = 1 << 20
Result = TypeVar("Result")


class Options(BaseModel):
    """What an evaluation may say about its sandbox."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str = "auto"
    image: str | None = None
    env: dict[str, str] = {}
    workdir: str = "/workspace"
    unsafe: bool = False
    root: bool = False
    limits: dict[str, Any] = {}


@sandboxenv(name="agentbench")  # pyright: ignore[reportUntypedClassDecorator] - inspect's own
class AgentbenchSandboxEnvironment(SandboxEnvironment):
    """One sandbox per sample."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox

    @override
    @classmethod
    def config_files(cls) -> list[str]:
        return []

    @override
    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        return Options(**config)

    @override
    @classmethod
    async def sample_init(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        metadata: dict[str, str],
    ) -> dict[str, SandboxEnvironment]:
        options = _options(config)
        kept = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE / MIB
        limits: dict[str, Any] = {"output_mib": kept} | options.limits
        opening = partial(
            open_sandbox,
            options.backend,
            image=options.image,
            limits=Limits(**limits),
            env=options.env,
            workdir=options.workdir,
            unsafe=options.unsafe,
            root=options.root,
        )
        return {"default": cls(await anyio.to_thread.run_sync(opening))}

    @override
    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        with anyio.CancelScope(shield=True):
            for environment in environments.values():
                closing = environment.as_type(AgentbenchSandboxEnvironment).sandbox.close
                await anyio.to_thread.run_sync(closing)

    @override
    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        cancel = threading.Event()
        stdin = input.encode() if isinstance(input, str) else input or b""

        def run() -> OurResult:
            return self.sandbox.exec(
                cmd,
                timeout_s=float(timeout or LONGEST_S),
                stdin=stdin,
                env=env,
                cwd=self._inside(cwd) if cwd else None,
                user=user,
                cancel=cancel,
            )

        try:
            result = await _in_thread(run, abandon=True)
        except anyio.get_cancelled_exc_class():
            cancel.set()
            raise
        except CapabilityError as error:
            raise SandboxUserUnsupportedError(str(error)) from error
        if result.timed_out:
            raise TimeoutError(f"{cmd[0]} timed out after {timeout} s")
        if result.exit_code == 126 and "ermission denied" in result.stderr:
            raise PermissionError(result.stderr.strip())
        code = result.exit_code if result.signal is None else 128 + result.signal
        return ExecResult(code == 0, code, result.stdout, result.stderr)

    @override
    async def write_file(self, file: str, contents: str | bytes) -> None:
        await _in_thread(partial(self.sandbox.write_file, file, contents))

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...  # noqa: FBT002 - its signature

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    @override
    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        words = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR
        try:
            data = await _in_thread(partial(self.sandbox.read_file, file))
        except TransferLimitError:
            raise OutputLimitExceededError(words, None) from None
        if len(data) > limit:
            raise OutputLimitExceededError(words, None)
        return data.decode() if text else data

    def _inside(self, path: str) -> str:
        return str(Path(self.sandbox.workdir, self.sandbox.path(path)))


def _options(config: SandboxEnvironmentConfigType | None) -> Options:
    if config is None:
        return Options()
    if isinstance(config, Options):
        return config
    if isinstance(config, str):
        import yaml

        loaded: object = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
        return Options.model_validate(loaded or {})
    raise TypeError(f"an agentbench sandbox takes Options or a YAML file, not {type(config)}")


async def _in_thread(run: Callable[[], Result], *, abandon: bool = False) -> Result:
    try:
        return await anyio.to_thread.run_sync(run, abandon_on_cancel=abandon)
    except SandboxClosedError as error:
        raise InspectUnavailableError(str(error)) from error
