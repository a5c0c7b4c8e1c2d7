"""The peers that `compare.py` measures beside this package: each runs an argv and waits for it."""

import asyncio
import contextlib
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

Run = Callable[[list[str]], Any]
HARDENED: dict[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "user": "65534",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": "2g",
    "pids_limit": 512,
}
BWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]


def plain(argv: list[str]) -> object:
    """Run it as a subprocess, without any isolation."""
    return subprocess.run(argv, capture_output=True, check=True)


def bwrap(argv: list[str]) -> object:
    """Run it in a fresh bubblewrap sandbox each time."""
    return subprocess.run([*BWRAP, *argv], capture_output=True, check=True)


def docker_sdk(image: str, stack: contextlib.ExitStack) -> dict[str, Run]:
    """Run it by `exec_run`, and by the command line, in one hardened container."""
    import docker

    client: Any = docker.from_env()
    container: Any = client.containers.run(image, ["sleep", "3600"], detach=True, **HARDENED)
    stack.callback(container.remove, force=True)
    return {
        "docker SDK": container.exec_run,
        "docker CLI": lambda argv: plain(["docker", "exec", container.id, *argv]),
    }


def llm_sandbox(image: str, stack: contextlib.ExitStack) -> dict[str, Run]:
    """Run it by llm-sandbox's Docker session."""
    import shlex

    from llm_sandbox import SandboxSession

    session: Any = SandboxSession(
        lang="python", image=image, keep_template=True, skip_environment_setup=True
    )
    session.open()
    stack.callback(session.container.remove, force=True)
    return {"llm-sandbox docker": lambda argv: session.execute_command(shlex.join(argv))}


def inspect_local(_image: str, stack: contextlib.ExitStack) -> dict[str, Run]:
    """Run it by inspect_ai's local provider."""
    from inspect_ai.util._sandbox.local import LocalSandboxEnvironment

    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    environment = LocalSandboxEnvironment()
    return {
        "inspect local (no isolation)": lambda argv: loop.run_until_complete(environment.exec(argv))
    }


def inspect_docker(_image: str, _stack: contextlib.ExitStack) -> dict[str, Run]:
    """Say whether inspect_ai's Docker provider can run here at all."""
    from inspect_ai.util._sandbox.docker.prereqs import validate_prereqs

    asyncio.run(validate_prereqs())
    raise NotImplementedError("it can run here; measure it with inspect's own command")


def swe_rex(image: str, stack: contextlib.ExitStack) -> dict[str, Run]:
    """Run it by SWE-ReX's server in a container of our image, this Python lent to it.

    Its own deployment would install itself inside from the index, which a container here cannot
    reach; what is measured is the same: HTTP to its server over a published port.
    """
    import docker
    from swerex.runtime.abstract import Command
    from swerex.runtime.remote import RemoteRuntime

    token = secrets.token_hex(8)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    lent = {path for path in (*sys.path, sys.prefix, sys.base_prefix) if path.startswith("/")}
    client: Any = docker.from_env()
    container: Any = client.containers.run(
        image,
        ["-m", "swerex.server", "--auth-token", token, "--port", "8000"],
        entrypoint=[sys.executable],
        environment={"PYTHONPATH": ":".join(sys.path[1:])},
        volumes={path: {"bind": path, "mode": "ro"} for path in lent},
        ports={"8000": ("127.0.0.1", port)},
        detach=True,
    )
    stack.callback(container.remove, force=True)
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    runtime: Any = RemoteRuntime(host="http://127.0.0.1", port=port, auth_token=token)
    deadline = time.monotonic() + 30
    while not loop.run_until_complete(runtime.is_alive()):
        if time.monotonic() > deadline:
            raise TimeoutError(container.logs().decode()[-300:])
        time.sleep(0.2)
    return {
        "SWE-ReX docker": lambda argv: loop.run_until_complete(
            runtime.execute(Command(command=argv, shell=False))
        )
    }


def all_peers(image: str, stack: contextlib.ExitStack) -> tuple[dict[str, Run], dict[str, str]]:
    """Return {name: how it runs an argv} of the peers that work here, and why others do not."""
    found: dict[str, Run] = {"subprocess (no isolation)": plain, "bubblewrap (raw)": bwrap}
    missing: dict[str, str] = {}
    for make in (docker_sdk, llm_sandbox, swe_rex, inspect_local, inspect_docker):
        try:
            made = make(image, stack)
            for run in made.values():
                run(["true"])
            found |= made
        except Exception as error:  # noqa: BLE001 - a peer that fails is named, not a reason to stop
            missing[make.__name__] = f"{type(error).__name__}: {error}"[:200]
    return found, missing
