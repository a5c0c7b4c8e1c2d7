"""The sandbox every back end of this package hands out: a supervisor at the end of a stream."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from agentbench_sandbox.channel import Channel, Conversation, Header
from agentbench_sandbox.errors import CapabilityError, SandboxClosedError
from agentbench_sandbox.fork import fork
from agentbench_sandbox.guest.capture import Capture
from agentbench_sandbox.guest.wire import CHUNK, WINDOW
from agentbench_sandbox.kernel import Kernel
from agentbench_sandbox.proxy import Decision, Proxy
from agentbench_sandbox.reply import exec_result, raise_for
from agentbench_sandbox.request import Limits, Request, check_argv, check_timeout, record
from agentbench_sandbox.result import ExecResult
from agentbench_sandbox.sandbox import Capabilities, OnOutput
from agentbench_sandbox.transfer import receive_tree, tree_entries

SLACK_S = 30.0
"""How long after a command's deadline and grace a supervisor may stay silent before it is dead."""
MIB = 1 << 20
EMPTY = memoryview(b"")
CANCEL_S = 0.05
"""How long a cancellation may go unnoticed."""
STREAMS: tuple[Literal["stdout"], Literal["stderr"]] = ("stdout", "stderr")


class SupervisedSandbox:
    """A sandbox behind a `Channel`. Back ends make it; users get it from `open_sandbox`.

    Args:
        channel: A started channel.
        request: What was asked for.
        backend: The back end's name.
        capabilities: What it can do.
        description: What `describe` adds: image, digest, isolation.
        workdir: The working directory inside.
        moved: Where paths are found that the back end could not put where they were asked for.
        reopen: Opens another sandbox of the same kind, for `fork`.
        on_close: Called once after the stream has ended.
    """

    def __init__(
        self,
        channel: Channel,
        request: Request,
        *,
        backend: str,
        capabilities: Capabilities,
        description: Mapping[str, Any],
        workdir: str,
        moved: Mapping[str, str] | None = None,
        reopen: Callable[[Request], "SupervisedSandbox"],
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._channel = channel
        self._request = request
        self._backend = backend
        self._capabilities = capabilities
        self._description = dict(description)
        self._workdir = workdir
        self._moved = dict(moved or {})
        self._reopen = reopen
        self._on_close = on_close
        allowed = request.limits.network
        self._proxy = Proxy(channel, allowed) if isinstance(allowed, tuple) else None
        self._closing = threading.Lock()
        self._closed = False

    # -- what it is -----------------------------------------------------------------------------

    @property
    def backend(self) -> str:
        """Name of the back end."""
        return self._backend

    @property
    def capabilities(self) -> Capabilities:
        """What this back end can do here."""
        return self._capabilities

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._request.limits

    @property
    def workdir(self) -> str:
        """The writable working directory, as a path inside."""
        return self._workdir

    def path(self, target: str) -> str:
        """Return where a mount target or a path below the asked-for workdir is found inside."""
        for asked, found in sorted(self._moved.items(), key=lambda pair: -len(pair[0])):
            if target == asked or target.startswith(asked.rstrip("/") + "/"):
                return found + target[len(asked.rstrip("/")) :]
        return target

    def describe(self) -> dict[str, Any]:
        """Return what a record of a run should say about this sandbox (JSON types only)."""
        return {
            "backend": self._backend,
            "workdir": self._workdir,
            **record(self._request),
            **self._description,
        }

    @property
    def network_log(self) -> list[Decision]:
        """What the allow-list proxy has decided so far (the last thousand connections)."""
        return [] if self._proxy is None else list(self._proxy.decisions)

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
        """Run a command and return what it did.

        Args:
            argv: The program and its arguments; no shell is involved.
            timeout_s: Seconds it may run. Then its whole tree gets SIGTERM, and SIGKILL after
                `Limits.grace_s`. What it said until then is kept.
            stdin: Its standard input.
            env: Variables added to those of the sandbox.
            cwd: Its working directory; the sandbox's by default.
            user: The name of the user inside that it runs as; the agent by default.
            check: Raise unless it exits with 0 in time.
            cancel: Once set by another thread, the command's tree is ended like at a time-out.
            end_background: End what the command leaves running, instead of letting it live on.
            on_output: Called with each piece of output as it comes, in the calling thread. When
                it is slow, the command waits; when it raises, the command is ended.

        Raises:
            ValueError: `argv` is empty, an argument holds a NUL, or `timeout_s` is not positive.
            ExecTimeoutError, ExecFailedError: With `check=True`.
            SandboxClosedError: The sandbox was closed or died.
            CapabilityError: It cannot run commands as `user`.
        """
        check_argv(argv, env)
        check_timeout(timeout_s)
        cap = max(2, int(self.limits.output_mib * MIB))
        captures = (Capture(cap), Capture(cap))
        unsent = memoryview(stdin)
        header: Header = {
            "op": "exec",
            "argv": list(argv),
            "timeout": timeout_s,
            "output": cap,
            "more": len(unsent) > CHUNK,
            "stream": on_output is not None,
            "sweep": end_background,
            **self._place(env, cwd, user),
        }
        deadline = time.monotonic() + timeout_s + self.limits.grace_s + SLACK_S
        conversation = self._channel.open()
        ended = False
        kept: list[bytes] = []
        try:
            conversation.send(header, unsent[:CHUNK])
            unsent, credit = unsent[CHUNK:], WINDOW - CHUNK
            while True:
                while unsent and credit > 0:
                    part, unsent = unsent[:CHUNK], unsent[CHUNK:]
                    credit -= len(part)
                    conversation.send({"op": "stdin", "eof": not unsent}, part)
                answer, body = self._receive(conversation, deadline, cancel)
                op = answer["op"]
                if op == "end":
                    ended = True
                    break
                if op == "ack":
                    credit += int(answer["n"])
                elif op == "part":
                    kept.append(body)
                elif op == "out" and on_output is not None:
                    stream = 0 if answer["fd"] == 1 else 1
                    captures[stream].add(body)
                    on_output(STREAMS[stream], body)
                    conversation.send({"op": "credit", "n": len(body)})
                    deadline = max(deadline, time.monotonic() + SLACK_S)
        finally:
            if not ended and not self._channel.closed:
                conversation.send({"op": "kill"})
            self._channel.finish(conversation)
        kept.append(body)
        body = b"".join(kept)
        kept.clear()  # what was kept of a flood is here once, not twice
        streamed = captures if on_output is not None else None
        result = exec_result(answer, body, streamed)
        return result.check() if check else result

    def _place(
        self, env: Mapping[str, str] | None, cwd: str | None, user: str | None
    ) -> dict[str, Any]:
        """Return the part of a request that says where and as whom a command runs."""
        place: dict[str, Any] = {}
        if env:
            place["env"] = dict(env)
        if cwd:
            place["cwd"] = self.path(cwd)
        if user is None:
            return place
        if not self._capabilities.users:
            raise CapabilityError(
                f"commands in a {self._backend} sandbox run as its one user, not as {user!r}"
            )
        if user in ("root", "0") and not self._request.root:
            raise CapabilityError(
                "nothing runs as root in this sandbox; open it with root=True if that is wanted"
            )
        return {**place, "user": user}

    def _receive(
        self,
        conversation: Conversation,
        deadline: float,
        cancel: threading.Event | None = None,
    ) -> tuple[Header, bytes]:
        while cancel is not None and time.monotonic() < deadline:
            if cancel.is_set():
                conversation.send({"op": "kill"})
                break
            with suppress(TimeoutError):
                return conversation.receive(CANCEL_S)
        try:
            return conversation.receive(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            self._channel.close("the supervisor stopped answering")
            self.close()
            raise SandboxClosedError("the supervisor stopped answering") from None

    def python(self) -> Kernel:
        """Start a persistent Python session inside.

        Raises:
            KernelError: It did not start.
        """
        return Kernel.start(self._channel, self.limits)

    # -- files ----------------------------------------------------------------------------------

    def read_file(self, path: str) -> bytes:
        """Return the contents of a regular file inside, as the agent's user could read it.

        Raises:
            SandboxFileNotFoundError, SandboxPermissionError, SandboxIsADirectoryError: As named.
            SandboxFileError: It is a FIFO, a device or a socket.
            TransferLimitError: It is larger than `Limits.file_mib`; nothing of it was sent.
        """
        parts: list[bytes] = []
        self._transfer({"op": "read", "path": self.path(path)}, lambda _, body: parts.append(body))
        return b"".join(parts)

    def write_file(self, path: str, data: bytes | str) -> None:
        """Write a file inside (text as UTF-8), making its directories."""
        self._write(path, data.encode() if isinstance(data, str) else data, 0o644)

    def upload(self, src: str | Path, dst: str) -> None:
        """Copy a host file, or a directory with all regular files in it, to `dst` inside."""
        source = Path(src)
        if source.is_file():
            self._write(dst, source.read_bytes(), source.stat().st_mode & 0o755)
            return
        for name, place in tree_entries(source):
            target = f"{dst.rstrip('/')}/{name}" if name else dst
            if place.is_dir():
                self._transfer({"op": "mkdir", "path": self.path(target)})
            else:
                self._write(target, place.read_bytes(), place.stat().st_mode & 0o755)

    def download(self, src: str, dst: str | Path) -> list[str]:
        """Copy a regular file, or the regular files and directories below `src`, to the host.

        Links, devices, sockets and FIFOs never leave; set-user-id bits are dropped; nothing is
        written outside `dst`, and nothing at all when the transfer fails.

        Returns:
            The names below `src` that were left out.

        Raises:
            FileExistsError: `dst` is there already (a file is replaced by a file).
            TransferLimitError: It is larger than `Limits.file_mib` in all.
        """
        with receive_tree(Path(dst), self.limits.file_mib * MIB) as receiver:
            self._transfer({"op": "tree", "path": self.path(src)}, receiver.take)
            return receiver.finish()

    def _write(self, path: str, data: bytes, mode: int) -> None:
        header = {"op": "write", "path": self.path(path), "mode": mode}
        self._transfer(header, data=memoryview(data))

    def _transfer(
        self,
        header: Header,
        take: Callable[[Header, bytes], object] = lambda _header, _body: None,
        data: memoryview = EMPTY,
    ) -> None:
        if "\0" in header["path"]:
            raise ValueError(f"a path cannot hold a NUL: {header['path']!r}")
        conversation = self._channel.open()
        ended = False
        try:
            part, data = data[:CHUNK], data[CHUNK:]
            limit = self.limits.file_mib * MIB
            conversation.send({**header, "limit": limit, "more": bool(data)}, part)
            credit = WINDOW - len(part)
            while True:
                while data and credit > 0:
                    part, data = data[:CHUNK], data[CHUNK:]
                    credit -= len(part)
                    conversation.send({"op": "data", "more": bool(data)}, part)
                answer, body = self._receive(conversation, time.monotonic() + SLACK_S)
                if answer["op"] == "end":
                    ended = True
                    raise_for(answer, header["path"])
                    return
                if answer["op"] == "ack":
                    credit += int(answer["n"])
                    continue
                take(answer, body)
                if body:
                    conversation.send({"op": "credit", "n": len(body)})
        finally:
            if not ended and not self._channel.closed:
                conversation.send({"op": "kill"})
            self._channel.finish(conversation)

    def fork(self) -> "SupervisedSandbox":
        """Return a second sandbox of the same kind with a copy of the working directory.

        Files only, links included; processes are copied by `Kernel.fork`. What is read-only or in
        `/tmp` is not copied.

        Raises:
            CapabilityError: There is a writable mount, which both would share.
            SandboxFileError: The working directory could not be copied.
        """
        return fork(self, self._request, self._reopen)

    # -- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        """End everything inside and remove the sandbox. Closing twice is fine."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._channel.close()
        if self._on_close is not None:
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
