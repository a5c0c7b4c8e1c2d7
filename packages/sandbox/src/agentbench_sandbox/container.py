"""How a container of ours is made: what it may do, use and see, and what its variables are."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from agentbench_sandbox.errors import CapabilityError
from agentbench_sandbox.identity import labels
from agentbench_sandbox.proxy import variables
from agentbench_sandbox.request import Limits, Request

SUPERVISOR_PIDS = 16
"""Process ids that what is not the agent's needs beside those of the agent."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def create(
    api: Any,  # noqa: ANN401 - the SDK has no types
    image_id: str,
    argv: Sequence[str],
    request: Request,
    config: Any,  # noqa: ANN401
) -> str:
    """Make a container that runs `argv` as root without capabilities; return its id.

    Raises:
        CapabilityError: Docker refuses the request.
    """
    from docker.errors import APIError

    try:
        made: Any = api.create_container(
            image_id,
            list(argv[1:]),
            entrypoint=[argv[0]],
            user="0:0",
            hostname="sandbox",
            working_dir="/",
            stdin_open=True,
            environment={},
            labels=labels(request.limits.lifetime_s),
            use_config_proxy=False,
            host_config=config,
        )
    except APIError as error:
        raise CapabilityError(f"Docker refused the container: {error.explanation}") from error
    return str(made["Id"])


def host_config(
    api: Any,  # noqa: ANN401
    request: Request,
    *,
    capabilities: Sequence[str],
    init: bool = False,
    gpus: Sequence[str] = (),
    hidden: Mapping[str, bool] | None = None,
) -> Any:  # noqa: ANN401
    """Return what Docker calls the host configuration: isolation, limits, mounts.

    Args:
        api: A client of the daemon.
        request: What was asked for.
        capabilities: What root inside keeps; the agent is another user and has none.
        init: Whether Docker's own init is PID 1.
        gpus: UUIDs of the GPUs that are passed in.
        hidden: {path in the image: is a directory} of what must not be seen.
    """
    from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

    limits = request.limits
    covered = hidden or {}
    options = "rw,exec,nosuid,nodev,mode=1777,size={}m"
    tmpfs = {
        "/tmp": options.format(limits.tmp_mib),  # noqa: S108 - a path inside
        request.workdir: options.format(limits.disk_mib),
    }
    if request.root:  # world-writable in most images, and no limit but the host's disk
        tmpfs["/var/tmp"] = options.format(limits.tmp_mib)  # noqa: S108
    tmpfs |= {path: "ro,size=4k,mode=0555" for path, directory in covered.items() if directory}
    mounts = [
        Mount(mount.target, str(mount.source), type="bind", read_only=mount.read_only)
        for mount in request.mounts
    ]
    mounts += [
        Mount(path, "/dev/null", type="bind", read_only=True)
        for path, directory in covered.items()
        if not directory
    ]
    devices = [DeviceRequest(device_ids=list(gpus), capabilities=[["gpu"]])] if gpus else []
    memory = f"{limits.memory_mib}m"
    return api.create_host_config(
        auto_remove=True,
        cap_drop=["ALL"],
        cap_add=list(capabilities),
        device_requests=devices,
        init=init,
        ipc_mode="private",
        log_config=LogConfig(type="none"),
        mem_limit=memory,
        memswap_limit=memory,
        mounts=mounts,
        nano_cpus=None if limits.cpus is None else ceil(limits.cpus * 1e9),
        network_mode="bridge" if limits.network is True else "none",
        pids_limit=limits.pids + SUPERVISOR_PIDS,
        read_only=not request.root,
        runtime=request.runtime,
        security_opt=["no-new-privileges"],
        shm_size=f"{limits.shm_mib}m",
        tmpfs=tmpfs,
        ulimits=[Ulimit(name="core", soft=0, hard=0)],
    )


def environment(request: Request, image: dict[str, Any]) -> dict[str, str]:
    """Return the variables inside: the image's, then fixed ones, then those asked for."""
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
    if isinstance(request.limits.network, tuple):
        env |= variables()
    return env | thread_counts(request.limits) | dict(request.env)


def thread_counts(limits: Limits) -> dict[str, str]:
    """Return variables that keep numeric libraries from starting a thread per CPU of the host."""
    if limits.cpus is None:
        return {}
    threads = str(max(1, int(limits.cpus)))
    return {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
