"""Sandboxes in hardened Docker containers, spoken to over the container's attach stream.

The Docker API makes, attaches and removes the container; every command and file goes through the
supervisor, which is PID 1. When the stream closes, because this process was killed for instance,
the supervisor exits and the daemon removes the container. Images without Python cannot run the
supervisor; `docker_exec` does what can be done for them.
"""

import base64
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agentbench_sandbox import docker_exec, seccomp
from agentbench_sandbox.channel import Channel, Header
from agentbench_sandbox.container import create, environment, host_config
from agentbench_sandbox.daemon import (
    DEFAULT_IMAGE,
    NoPythonError,
    check_runtime,
    connect,
    find_image,
    start_failure,
    why_it_died,
)
from agentbench_sandbox.errors import CapabilityError, ImageError, SandboxClosedError
from agentbench_sandbox.gpus import ListDevices, lease, list_devices
from agentbench_sandbox.guest import BOOT, cell_program, program
from agentbench_sandbox.guest.processes import OOM_COUNTERS, PIDS_COUNTERS
from agentbench_sandbox.hidden import hidden_places
from agentbench_sandbox.identity import AGENT, agent_user
from agentbench_sandbox.proxy import PORT
from agentbench_sandbox.request import Request
from agentbench_sandbox.sandbox import Capabilities, Sandbox
from agentbench_sandbox.supervised import SupervisedSandbox

CAPABILITIES = Capabilities(network="open", gpus=True, cpus="fraction", users=True)
OF_THE_SUPERVISOR = ("SETUID", "SETGID", "KILL")
OF_ROOT = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID")
"""What `root=True` adds: enough to change what files of the image say and whose they are."""


def open_docker(request: Request, *, devices: ListDevices = list_devices) -> Sandbox:
    """Open a sandbox in a container: supervised, or by `docker exec` where there is no Python.

    Args:
        request: What is asked for.
        devices: Lists the GPUs that may be leased.

    Raises:
        SandboxUnavailableError: No daemon answers, or other sandboxes hold the GPUs.
        ImageError: The image is missing, or has neither `python3` nor a shell.
        CapabilityError: The request cannot be honoured.
    """
    try:
        return open_supervised(request, devices=devices)
    except NoPythonError:
        return docker_exec.open_plain(request, devices=devices)


def open_supervised(request: Request, *, devices: ListDevices = list_devices) -> SupervisedSandbox:
    """Open a sandbox in a container whose PID 1 is the supervisor.

    Raises:
        NoPythonError: The image has no `python3`.
        SandboxError: As `open_docker`.
    """
    if request.unsafe:
        raise CapabilityError("unsafe=True means no isolation, which the Docker back end never is")
    api = connect()
    try:
        return _open(api, request, devices)
    except BaseException:
        api.close()
        raise


def _open(api: Any, request: Request, devices: ListDevices) -> SupervisedSandbox:  # noqa: ANN401
    from docker.errors import APIError

    tag = request.image or DEFAULT_IMAGE
    image = find_image(api, tag)
    check_runtime(api, request.runtime)
    hidden = hidden_places(api, image["Id"], request.hide)
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
        started = int(time.time())
        config = host_config(
            api,
            request,
            capabilities=OF_THE_SUPERVISOR + (OF_ROOT if request.root else ()),
            gpus=leased.uuids,
            hidden=hidden,
        )
        boot = ("python3", "-I", "-S", "-c", BOOT)
        container = create(api, image["Id"], boot, request, config)
        channel = start(api, container, configuration(request, image, uid))
    except APIError as error:
        remove()
        raise start_failure(tag, error) from error
    except BaseException:
        remove()
        raise
    channel.explain = lambda: why_it_died(api, container, started)
    return SupervisedSandbox(
        channel,
        request,
        backend="docker",
        capabilities=replace(CAPABILITIES, read_only_root=not request.root),
        description={
            "image": tag,
            "image_digest": image["Id"],
            "isolation": f"docker ({request.runtime or 'default runtime'})",
            "daemon": str(api.api_version),
            "gpus": list(leased.uuids),
            "root": request.root,
        },
        workdir=request.workdir,
        reopen=lambda again: open_supervised(again, devices=devices),
        on_close=remove,
    )


def start(api: Any, container: str, config: Header) -> Channel:  # noqa: ANN401
    """Attach to a container, start it, and hand it the supervisor."""
    streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    attached: Any = api.attach_socket(container, params=streams)
    end: socket.socket = getattr(attached, "_sock", attached)
    end.settimeout(None)
    channel = Channel(end, docker=True, keep=attached)
    try:
        api.start(container)
        channel.start(program(), config)
    except SandboxClosedError as error:
        raise ImageError(f"the supervisor did not start: {error.reason}") from None
    except BaseException:
        channel.close()
        raise
    return channel


def configuration(request: Request, image: dict[str, Any], uid: int) -> Header:
    """Return what the supervisor must know."""
    limits = request.limits
    return {
        "uid": uid,
        "root": request.root,
        "proxy_port": PORT if isinstance(limits.network, tuple) else None,
        "env": environment(request, image),
        "workdir": request.workdir,
        "grace_s": limits.grace_s,
        "lifetime_s": limits.lifetime_s,
        "python": "python3",
        "cell_program": cell_program(),
        "rlimits": {"RLIMIT_CORE": 0},
        "shared": ["/tmp", request.workdir],  # noqa: S108 - paths inside
        "seccomp": seccomp_filter(image),
        "watch": {},
        "oom_counters": OOM_COUNTERS,
        "pids_counters": PIDS_COUNTERS,
    }


def seccomp_filter(image: dict[str, Any]) -> str | None:
    """Return our filter, which is stricter than Docker's, if there is one for the image."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(str(image.get("Architecture")))
    if machine is None:
        return None
    instructions = seccomp.filter_program(sockets=True, affinity=True, machine=machine)
    return base64.b64encode(instructions).decode()
