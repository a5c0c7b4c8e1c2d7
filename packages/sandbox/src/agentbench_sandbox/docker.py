"""Sandboxes in hardened Docker containers, spoken to over the container's attach stream.

The Docker API makes, attaches and removes the container; every command and file goes through the
supervisor, which is PID 1. When the stream closes, because this process was killed for instance,
the supervisor exits and the daemon removes the container.
"""

import base64
import socket
import time
from contextlib import suppress
from functools import lru_cache
from math import ceil
from typing import Any

from agentbench_sandbox import seccomp
from agentbench_sandbox.channel import Channel, Header
from agentbench_sandbox.errors import (
    CapabilityError,
    ImageError,
    SandboxClosedError,
    SandboxUnavailableError,
)
from agentbench_sandbox.guest import BOOT, cell_program, program
from agentbench_sandbox.guest.processes import OOM_COUNTERS, PIDS_COUNTERS
from agentbench_sandbox.identity import agent_user, labels
from agentbench_sandbox.proxy import PORT, variables
from agentbench_sandbox.request import Limits, Request
from agentbench_sandbox.sandbox import Capabilities
from agentbench_sandbox.supervised import SupervisedSandbox

DEFAULT_IMAGE = "agentbench-sandbox:default"
"""The tag that `agentbench-sandbox build` gives the image it makes."""
CAPABILITIES = Capabilities(network="open", gpus=True, cpus="fraction")
AGENT = 65534
SUPERVISOR_PIDS = 16
"""Process ids the supervisor and its leaders need beside those of the agent."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROBE = """\
import glob, json, os, sys
roots = {p for p in sys.path if p.endswith("-packages")}
for base in ("/usr", "/usr/local", "/opt/*", "/root/*", sys.prefix, sys.base_prefix):
    for kind in ("site", "dist"):
        roots |= set(glob.glob(base + "/lib*/python3*/" + kind + "-packages"))
found = {}
for root in sorted(os.path.realpath(r) for r in roots):
    for path in sys.argv[1:]:
        place = os.path.realpath(os.path.join(root, path))
        if os.path.exists(place):
            found[place] = os.path.isdir(place)
print(json.dumps(found))
"""


def connect(timeout_s: int = 3) -> Any:  # noqa: ANN401 - the SDK has no types
    """Return a low-level client of the Docker daemon that the environment names.

    Raises:
        SandboxUnavailableError: No daemon answers.
    """
    from docker import APIClient
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env
    from requests.exceptions import RequestException

    try:
        settings: Any = kwargs_from_env()
        knock(settings.get("base_url", "unix:///var/run/docker.sock"), timeout_s)
        api: Any = APIClient(**settings, version="auto", timeout=timeout_s)
    except (DockerException, RequestException, OSError) as error:
        reason = "permission denied" if "Permission denied" in str(error) else "no daemon answers"
        raise SandboxUnavailableError(
            f"Docker: {reason}; start the Docker service and make sure that this user may use it "
            "(`docker version` must work)"
        ) from error
    api.timeout = 120
    return api


def knock(address: str, timeout_s: int) -> None:
    """Raise `OSError` at once when nobody listens on a local socket; the SDK would leak its own."""
    scheme, _, path = address.partition("://")
    if "unix" in scheme:
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(timeout_s)
            end.connect("/" + path.lstrip("/"))


def find_image(api: Any, tag: str) -> dict[str, Any]:  # noqa: ANN401
    """Return the daemon's description of an image that is there.

    Raises:
        ImageError: It is not; nothing is pulled.
    """
    from docker.errors import ImageNotFound

    try:
        return dict(api.inspect_image(tag))
    except ImageNotFound:
        how = "run `agentbench-sandbox build`" if tag == DEFAULT_IMAGE else f"docker pull {tag}"
        raise ImageError(
            f"the image {tag} is not on this Docker daemon; to get it: {how}"
        ) from None


def open_docker(request: Request) -> SupervisedSandbox:
    """Open a sandbox in a container.

    Raises:
        SandboxUnavailableError: No daemon answers.
        ImageError: The image is missing or has no `python3`.
        CapabilityError: The request cannot be honoured.
    """
    if request.unsafe:
        raise CapabilityError("unsafe=True means no isolation, which the Docker back end never is")
    api = connect()
    try:
        return _open(api, request)
    except BaseException:
        api.close()
        raise


def _open(api: Any, request: Request) -> SupervisedSandbox:  # noqa: ANN401
    from docker.errors import APIError

    tag = request.image or DEFAULT_IMAGE
    image = find_image(api, tag)
    hidden = hidden_places(api, image["Id"], request.hide)
    uid = agent_user(request, AGENT)
    started = int(time.time())
    try:
        container = str(
            api.create_container(
                image["Id"],
                ["-I", "-S", "-c", BOOT],
                entrypoint=["python3"],
                user="0:0",
                hostname="sandbox",
                working_dir="/",
                stdin_open=True,
                environment={},
                labels=labels(request.limits.lifetime_s),
                use_config_proxy=False,
                host_config=host_config(api, request, hidden),
            )["Id"]
        )
    except APIError as error:
        raise CapabilityError(f"Docker refused the container: {error.explanation}") from error

    def remove() -> None:
        with suppress(APIError, OSError):
            api.remove_container(container, force=True, v=True)
        api.close()

    try:
        channel = start(api, container, configuration(request, image, uid))
    except APIError as error:
        remove()
        raise ImageError(
            f"the image {tag} cannot run a sandbox: {error.explanation}; it needs python3 on PATH"
        ) from error
    except BaseException:
        remove()
        raise
    channel.explain = lambda: why_it_died(api, container, started)
    description = {
        "image": tag,
        "image_digest": image["Id"],
        "isolation": f"docker ({request.runtime or 'default runtime'})",
        "daemon": str(api.api_version),
    }
    return SupervisedSandbox(
        channel,
        request,
        backend="docker",
        capabilities=CAPABILITIES,
        description=description,
        workdir=request.workdir,
        reopen=open_docker,
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
        channel.start(program(same_interpreter=False), config)
    except SandboxClosedError as error:
        raise ImageError(f"the supervisor did not start: {error.reason}") from None
    except BaseException:
        channel.close()
        raise
    return channel


def host_config(api: Any, request: Request, hidden: dict[str, bool]) -> Any:  # noqa: ANN401
    """Return what Docker calls the host configuration: isolation, limits, mounts."""
    from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

    limits = request.limits
    options = "rw,exec,nosuid,nodev,mode=1777,size={}m"
    tmpfs = {
        "/tmp": options.format(limits.tmp_mib),  # noqa: S108 - a path inside
        request.workdir: options.format(limits.disk_mib),
    }
    tmpfs |= {path: "ro,size=4k,mode=0555" for path, directory in hidden.items() if directory}
    mounts = [
        Mount(mount.target, str(mount.source), type="bind", read_only=mount.read_only)
        for mount in request.mounts
    ]
    mounts += [
        Mount(path, "/dev/null", type="bind", read_only=True)
        for path, directory in hidden.items()
        if not directory
    ]
    gpus: list[Any] = []
    if isinstance(limits.gpus, tuple):
        gpus = [DeviceRequest(device_ids=list(limits.gpus), capabilities=[["gpu"]])]
    elif limits.gpus:
        gpus = [DeviceRequest(count=limits.gpus, capabilities=[["gpu"]])]
    memory = f"{limits.memory_mib}m"
    return api.create_host_config(
        auto_remove=True,
        cap_drop=["ALL"],
        cap_add=["SETUID", "SETGID", "KILL"],
        device_requests=gpus,
        ipc_mode="private",
        log_config=LogConfig(type="none"),
        mem_limit=memory,
        memswap_limit=memory,
        mounts=mounts,
        nano_cpus=None if limits.cpus is None else ceil(limits.cpus * 1e9),
        network_mode="bridge" if limits.network is True else "none",
        pids_limit=limits.pids + SUPERVISOR_PIDS,
        read_only=True,
        runtime=request.runtime,
        security_opt=["no-new-privileges"],
        shm_size=f"{limits.shm_mib}m",
        tmpfs=tmpfs,
        ulimits=[Ulimit(name="core", soft=0, hard=0)],
    )


def configuration(request: Request, image: dict[str, Any], uid: int) -> Header:
    """Return what the supervisor must know."""
    limits = request.limits
    own: list[str] = image["Config"].get("Env") or []
    env = {"PATH": PATH} | dict(pair.split("=", 1) for pair in own if "=" in pair)
    env |= {
        "HOME": request.workdir,
        "TMPDIR": "/tmp",  # noqa: S108 - a path inside
        "USER": "agent",
        "LOGNAME": "agent",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    allow_list = isinstance(limits.network, tuple)
    return {
        "uid": uid,
        "proxy_port": PORT if allow_list else None,
        "env": env
        | thread_counts(limits)
        | (variables() if allow_list else {})
        | dict(request.env),
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


def thread_counts(limits: Limits) -> dict[str, str]:
    """Return variables that keep numeric libraries from starting a thread per CPU of the host."""
    if limits.cpus is None:
        return {}
    threads = str(max(1, int(limits.cpus)))
    return {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}


def hidden_places(api: Any, image_id: str, hide: tuple[str, ...]) -> dict[str, bool]:  # noqa: ANN401
    """Return {path in the image: is a directory} of what `hide` names."""
    if not hide:
        return {}
    return dict(_probe(_Client(api), image_id, hide))


class _Client:
    """A client that compares equal to any other: what an image holds depends on its id alone."""

    def __init__(self, api: Any) -> None:  # noqa: ANN401
        self.api = api

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Client)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=64)
def _probe(client: _Client, image_id: str, hide: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    import json

    from docker.errors import APIError

    api = client.api
    config = api.create_host_config(network_mode="none", read_only=True, cap_drop=["ALL"])
    made = api.create_container(
        image_id,
        ["-I", "-c", PROBE, *hide],
        entrypoint=["python3"],
        user=f"{AGENT}:{AGENT}",
        labels=labels(60),
        use_config_proxy=False,
        host_config=config,
    )["Id"]
    try:
        api.start(made)
        status = api.wait(made, timeout=30)
        text: bytes = api.logs(made, stdout=True, stderr=False)
        if status["StatusCode"] != 0:
            raise ImageError("cannot tell what the image holds: its python3 failed")
        found: dict[str, bool] = json.loads(text)
    except (APIError, ValueError) as error:
        raise ImageError(f"cannot tell what the image holds: {error}") from error
    finally:
        with suppress(APIError):
            api.remove_container(made, force=True, v=True)
    return tuple(found.items())


def why_it_died(api: Any, container: str, since: int) -> str | None:  # noqa: ANN401
    """Return why a container is gone, from the daemon's record; None when it does not say."""
    filters = {"container": container, "type": "container"}
    seen: list[str] = []
    with suppress(Exception):  # the daemon itself may be gone: then nothing more is known
        events: Any = api.events(
            since=since, until=int(time.time()) + 1, filters=filters, decode=True
        )
        seen = [str(event.get("Action")) for event in events]
    return "the sandbox ran out of memory (oom)" if "oom" in seen else None
