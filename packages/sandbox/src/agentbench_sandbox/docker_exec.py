"""Containers of images without Python: plain `docker exec`, slower and able to do less.

Docker can start a command in a container but not end it. What ends commands here is the `anchor`,
a shell of root's inside, and it cannot tell one command's processes from another's. Therefore
commands run one after another, and a time-out ends everything that runs in the sandbox, processes
left in the background included. `Capabilities` says what else is lost.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from agentbench_sandbox import shell_transfer
from agentbench_sandbox.anchor import SCRIPT, Anchor, end_everything
from agentbench_sandbox.container import create, environment, host_config
from agentbench_sandbox.daemon import (
    DEFAULT_IMAGE,
    check_runtime,
    connect,
    find_image,
    start_failure,
    why_it_died,
)
from agentbench_sandbox.docker_command import NAME, Run, not_started
from agentbench_sandbox.errors import (
    CapabilityError,
    ImageError,
    SandboxClosedError,
)
from agentbench_sandbox.gpus import ListDevices, lease, list_devices
from agentbench_sandbox.identity import AGENT, agent_user
from agentbench_sandbox.request import Limits, Request, check_argv, check_timeout, record
from agentbench_sandbox.result import ExecResult
from agentbench_sandbox.sandbox import Capabilities, OnOutput

CAPABILITIES = Capabilities(
    network="open",
    gpus=True,
    cpus="fraction",
    hide=False,
    python=False,
    kernel=False,
    fork=False,
    concurrent=False,
    usage=False,
)
LONGEST_ARGUMENT = 128 * 1024
START = """\
cd -- "$1" || exit 126
shift
exec "$@"
"""


def open_plain(request: Request, *, devices: ListDevices = list_devices) -> "PlainSandbox":
    """Open a sandbox in a container of an image that needs `sh` but no Python.

    Raises:
        SandboxUnavailableError: No daemon answers, or other sandboxes hold the GPUs.
        ImageError: The image is missing or has no shell.
        CapabilityError: The request cannot be honoured without Python inside.
    """
    tag = request.image or DEFAULT_IMAGE
    if isinstance(request.limits.network, tuple):
        raise CapabilityError(f"{tag} has no python3, which a network allow-list needs")
    if request.hide:
        raise CapabilityError(f"{tag} has no python3, and hide is about what Python imports")
    if request.root:
        raise CapabilityError(f"{tag} has no python3, which commands as root need")
    api = connect()
    try:
        return _open(api, tag, request, devices)
    except BaseException:
        api.close()
        raise


def _open(api: Any, tag: str, request: Request, devices: ListDevices) -> "PlainSandbox":  # noqa: ANN401
    from docker.errors import APIError

    image = find_image(api, tag)
    check_runtime(api, request.runtime)
    uid = agent_user(request, AGENT)
    leased = lease(request.limits.gpus, devices=devices)
    container: str | None = None

    def remove() -> None:
        with suppress(APIError, OSError):
            if container is not None:
                api.remove_container(container, force=True, v=True)
        leased.release()
        api.close()

    try:
        config = host_config(api, request, capabilities=("KILL",), init=True, gpus=leased.uuids)
        argv = ("sh", "-c", SCRIPT, NAME, "/tmp", request.workdir)  # noqa: S108 - a path inside
        container = create(api, image["Id"], argv, request, config)
        anchor = attach(api, container)
    except APIError as error:
        remove()
        raise start_failure(tag, error) from error
    except BaseException:
        remove()
        raise
    started = int(time.time())
    return PlainSandbox(
        api,
        container,
        anchor,
        request,
        user=f"{uid}:{uid}",
        variables=environment(request, image),
        description={
            "image": tag,
            "image_digest": image["Id"],
            "isolation": f"docker ({request.runtime or 'default runtime'})",
            "daemon": str(api.api_version),
            "gpus": list(leased.uuids),
        },
        explain=lambda: why_it_died(api, container, started),
        on_close=remove,
    )


def attach(api: Any, container: str) -> Anchor:  # noqa: ANN401
    """Attach to a container, start it, and wait for its anchor."""
    streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    anchor = Anchor(api.attach_socket(container, params=streams))
    try:
        api.start(container)
        anchor.wait_ready()
    except SandboxClosedError:
        anchor.close()
        said = anchor.stderr.decode("utf-8", "replace").strip() or "its shell ended at once"
        raise ImageError(
            f"the image cannot run a sandbox: it has neither python3 nor sh on PATH ({said})"
        ) from None
    except BaseException:
        anchor.close()
        raise
    return anchor


class PlainSandbox:
    """A sandbox behind `docker exec`. `open_plain` makes it; users get it from `open_sandbox`."""

    def __init__(
        self,
        api: Any,  # noqa: ANN401 - the SDK has no types
        container: str,
        anchor: Anchor,
        request: Request,
        *,
        user: str,
        variables: Mapping[str, str],
        description: Mapping[str, Any],
        explain: Callable[[], str | None],
        on_close: Callable[[], None],
    ) -> None:
        self._api = api
        self._container = container
        self._anchor = anchor
        self._request = request
        self._user = user
        self._variables = dict(variables)
        self._description = dict(description)
        self._explain = explain
        self._on_close = on_close
        self._turn = threading.Lock()
        self._closing = threading.Lock()
        self._closed: str | None = None
        self._lifetime = threading.Timer(request.limits.lifetime_s, self.close)
        self._lifetime.daemon = True
        self._lifetime.start()

    # -- what it is -----------------------------------------------------------------------------

    @property
    def backend(self) -> str:
        """Name of the back end."""
        return "docker"

    @property
    def capabilities(self) -> Capabilities:
        """What it can do without Python inside."""
        return CAPABILITIES

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._request.limits

    @property
    def workdir(self) -> str:
        """The writable working directory, as a path inside."""
        return self._request.workdir

    def path(self, target: str) -> str:
        """Return where a path is found inside: where it was asked for."""
        return target

    def describe(self) -> dict[str, Any]:
        """Return what a record of a run should say about this sandbox (JSON types only)."""
        return {
            "backend": self.backend,
            "workdir": self.workdir,
            **record(self._request),
            **self._description,
        }

    # -- commands -------------------------------------------------------------------------------

    def exec(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        check: bool = False,
        on_output: OnOutput | None = None,
        cancel: threading.Event | None = None,
        end_background: bool = False,
    ) -> ExecResult:
        """Run a command and return what it did; see `SupervisedSandbox.exec`.

        Another thread's command waits for its turn. With `end_background`, what earlier commands
        left running is ended too. An exit code above 128 is taken for a signal,
        because Docker reports both alike.

        Raises:
            ValueError: `argv` is empty, an argument holds a NUL, or `timeout_s` is not positive.
            ExecTimeoutError, ExecFailedError: With `check=True`.
            SandboxClosedError: The sandbox was closed or died.
        """
        if user is not None:
            raise CapabilityError(
                f"commands in a sandbox without Python run as its one user, not as {user!r}"
            )
        check_argv(argv, env)
        check_timeout(timeout_s)
        if any(len(text.encode("utf-8", "surrogateescape")) >= LONGEST_ARGUMENT for text in argv):
            result = not_started("argument too long")
        else:
            command = ["sh", "-c", START, NAME, cwd or self.workdir, *argv]
            variables = self._variables | dict(env or {})
            with self._turn, self._dying_words():
                run = Run(self._api, self._anchor, self.limits, on_output, cancel)
                result = run.start(
                    self._container,
                    command,
                    user=self._user,
                    variables=variables,
                    stdin=stdin,
                    timeout_s=timeout_s,
                )
                if end_background and result.background:
                    if not end_everything(self._anchor, 0):
                        raise SandboxClosedError("processes inside could not be ended")
                    result = replace(result, background=0)
        return result.check() if check else result

    def python(self) -> NoReturn:
        """Refuse: there is no Python inside."""
        raise CapabilityError(f"{self._description['image']} has no python3 for a Python session")

    def fork(self) -> NoReturn:
        """Refuse: copying needs the supervisor."""
        raise CapabilityError(f"{self._description['image']} has no python3, which fork() needs")

    # -- files ----------------------------------------------------------------------------------

    def read_file(self, path: str) -> bytes:
        """Return the contents of a regular file inside, as the agent's user could read it."""
        return shell_transfer.read(self, path)

    def write_file(self, path: str, data: bytes | str) -> None:
        """Write a file inside (text as UTF-8), making its directories."""
        body = data.encode() if isinstance(data, str) else data
        shell_transfer.write(self, path, body, 0o644)

    def upload(self, src: str | Path, dst: str) -> None:
        """Copy a host file, or a directory with all regular files in it, to `dst` inside."""
        shell_transfer.upload(self, Path(src), dst)

    def download(self, src: str, dst: str | Path) -> list[str]:
        """Copy a regular file, or the regular files and directories below `src`, to the host."""
        return shell_transfer.download(self, src, Path(dst))

    # -- the end --------------------------------------------------------------------------------

    def _dying_words(self) -> "_DyingWords":
        return _DyingWords(self)

    def why_closed(self) -> str | None:
        """Return why this sandbox is closed, or None while it lives."""
        return self._closed

    def died(self, reason: str) -> str:
        """Close because something inside has ended; return why, as well as it is known."""
        known = self._explain() or reason
        self._end(known)
        return known

    def close(self) -> None:
        """End everything inside and remove the sandbox. Closing twice is fine."""
        self._end("the sandbox is closed")

    def _end(self, reason: str) -> None:
        with self._closing:
            if self._closed is not None:
                return
            self._closed = reason
        self._lifetime.cancel()
        self._anchor.close()
        self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _DyingWords:
    """Turns what Docker says about a dead container into `SandboxClosedError`."""

    def __init__(self, sandbox: PlainSandbox) -> None:
        self._sandbox = sandbox

    def __enter__(self) -> None:
        if reason := self._sandbox.why_closed():
            raise SandboxClosedError(reason)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from docker.errors import APIError
        from requests.exceptions import RequestException

        if isinstance(error, (APIError, RequestException, SandboxClosedError)):
            known = self._sandbox.why_closed() or self._sandbox.died("the sandbox has died")
            raise SandboxClosedError(known) from None
