"""Build the image that Docker sandboxes run in; nothing is ever built or pulled unasked."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from agentbench_sandbox.daemon import DEFAULT_IMAGE, connect
from agentbench_sandbox.errors import ImageError

DEFAULT_BASE = "python:3.11-slim-bookworm"
CUDA_BASE = "nvidia/cuda:12.6.3-runtime-ubuntu24.04"
DEFAULT_PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy")
REPOSITORY = DEFAULT_IMAGE.partition(":")[0]


def dockerfile() -> bytes:
    """Return the Dockerfile that comes with this package."""
    return (files("agentbench_sandbox") / "Dockerfile").read_bytes()


def content_tag(base: str, packages: Sequence[str], ca_bundle: bytes) -> str:
    """Return the tag of what these inputs make: the same inputs, the same tag.

    Args:
        base: The digest of the base image; its name may mean another image tomorrow.
        packages: The Python packages.
        ca_bundle: The certificates.
    """
    digest = hashlib.sha256()
    for part in (dockerfile(), base.encode(), *(name.encode() for name in packages), ca_bundle):
        digest.update(len(part).to_bytes(8, "big") + part)
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def context(ca_bundle: bytes) -> io.BytesIO:
    """Return the build context as a tar file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, body in (("Dockerfile", dockerfile()), ("ca.crt", ca_bundle)):
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    packed.seek(0)
    return packed


def base_digest(api: Any, base: str, say: Callable[[str], None]) -> str:  # noqa: ANN401
    """Return the digest of the base image; pull it when it is not there.

    Raises:
        ImageError: It is not there and cannot be pulled.
    """
    from docker.errors import APIError, ImageNotFound

    try:
        return str(api.inspect_image(base)["Id"])
    except ImageNotFound:
        say(f"pulling {base}")
    repository, _, tag = base.rpartition(":")
    named = (repository, tag) if repository and "/" not in tag else (base, "latest")
    try:
        api.pull(*named)
        return str(api.inspect_image(base)["Id"])
    except APIError as error:
        raise ImageError(
            f"the base image {base} is not here and cannot be pulled: {error.explanation}"
        ) from None


def build(
    base: str = DEFAULT_BASE,
    packages: Sequence[str] = DEFAULT_PACKAGES,
    *,
    ca_bundle: Path | None = None,
    network: str | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, str]:
    """Build the image and tag it with the hash of what goes into it.

    With packages it becomes the default image too; without, which is Python alone and not what
    agents expect, it does not.

    Args:
        base: The image to start from. Docker pulls it when it is not there.
        packages: Python packages to install with pip; none needs no network and no pip.
        ca_bundle: A PEM file with certificates that apt and pip must trust as well.
        network: Docker network mode during the build ("host", for a proxy on this machine).
        say: Called with each line of the build's output.

    Returns:
        `image` (the content-hash tag) and `digest` (the image's id).

    Raises:
        ImageError: The build failed; the message holds its last lines.
        SandboxUnavailableError: No Docker daemon answers.
    """
    api = connect()
    certificates = b"" if ca_bundle is None else ca_bundle.read_bytes()
    lines: list[str] = []
    failed: str | None = None
    try:
        tag = content_tag(base_digest(api, base, say), packages, certificates)
        stream: Any = api.build(
            fileobj=context(certificates),
            custom_context=True,
            tag=tag,
            buildargs={"BASE": base, "PACKAGES": " ".join(packages)},
            network_mode=network,
            use_config_proxy=True,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in stream:
            text = str(event.get("stream", "")).rstrip()
            failed = event.get("error", failed)
            if text:
                lines.append(text)
                say(text)
        if failed is not None:
            raise ImageError(f"building from {base} failed: {failed}; " + " | ".join(lines[-5:]))
        if packages:
            api.tag(tag, *DEFAULT_IMAGE.split(":"))
        return {"image": tag, "digest": str(api.inspect_image(tag)["Id"])}
    finally:
        api.close()
