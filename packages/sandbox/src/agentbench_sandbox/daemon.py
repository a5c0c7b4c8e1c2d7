"""The Docker daemon: how to reach it, and what can be asked of it."""

import socket
import time
from contextlib import suppress
from typing import Any

from agentbench_sandbox.errors import CapabilityError, ImageError, SandboxUnavailableError

DEFAULT_IMAGE = "agentbench-sandbox:default"
"""The tag that `agentbench-sandbox build` gives the image it makes."""


class NoPythonError(ImageError):
    """The image has no `python3`, which the supervisor needs."""


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


def check_runtime(api: Any, runtime: str | None) -> None:  # noqa: ANN401
    """Raise `CapabilityError` when the daemon has no such OCI runtime."""
    if runtime is None:
        return
    known = sorted(api.info().get("Runtimes", {}))
    if runtime not in known:
        raise CapabilityError(
            f"the Docker daemon has no runtime {runtime!r}, only {', '.join(known)}; install it "
            "and register it under `runtimes` in /etc/docker/daemon.json"
        )


def lacks_python(error: Exception) -> bool:
    """Whether a container could not be started because its image has no `python3` on PATH."""
    text = str(getattr(error, "explanation", error))
    return "python3" in text and ("not found" in text or "no such file" in text)


def start_failure(tag: str, error: Exception) -> Exception:
    """Return the error that says why Docker could not start a container of this image."""
    text = getattr(error, "explanation", None) or error
    if lacks_python(error):
        return NoPythonError(f"the image {tag} has no python3 on PATH")
    if "device driver" in str(text) or "nvidia" in str(text):
        return CapabilityError(
            f"Docker cannot pass GPUs in: {text}; install the NVIDIA Container Toolkit"
        )
    return ImageError(f"the image {tag} cannot run a sandbox: {text}")


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
