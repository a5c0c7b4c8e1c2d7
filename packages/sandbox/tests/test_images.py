"""Building images: what they are tagged with, and what a record says about them."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agentbench_sandbox import ImageError, images, open_sandbox
from agentbench_sandbox.daemon import DEFAULT_IMAGE, connect, find_image

BASE = "sha256:" + "0" * 64


def test_content_tag_depends_on_all_that_goes_in() -> None:
    inputs: list[tuple[str, tuple[str, ...], bytes]] = [
        (BASE, ("numpy",), b""),
        (BASE.replace("0", "1"), ("numpy",), b""),
        (BASE, (), b""),
        (BASE, ("num", "py"), b""),
        (BASE, ("numpy",), b"certificate"),
    ]
    tags = [images.content_tag(*given) for given in inputs]
    assert len(set(tags)) == len(tags)
    assert tags == [images.content_tag(*given) for given in inputs]
    assert all(tag.startswith("agentbench-sandbox:") for tag in tags)


@pytest.fixture(scope="module")
def default_digest(docker_image: str) -> str:
    api = connect()
    digest = str(find_image(api, docker_image)["Id"])
    api.close()
    return digest


@pytest.fixture(scope="module")
def bare(default_digest: str) -> Iterator[dict[str, str]]:
    """What `build --no-packages` makes, from the image that is there anyway."""
    assert default_digest
    code = "from agentbench_sandbox.cli import main; main()"
    words = ["build", "--base", DEFAULT_IMAGE, "--no-packages", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    built: dict[str, str] = json.loads(done.stdout)
    yield built
    api = connect()
    api.remove_image(built["image"], force=True)
    api.close()


@pytest.mark.docker
def test_without_packages_the_default_stays_what_it_was(
    bare: dict[str, str], default_digest: str
) -> None:
    api = connect()
    assert find_image(api, DEFAULT_IMAGE)["Id"] == default_digest
    assert bare["digest"] != default_digest
    assert bare["image"] == images.content_tag(default_digest, [], b"")
    assert find_image(api, bare["image"])["RepoTags"] == [bare["image"]]
    api.close()


@pytest.mark.docker
def test_the_digest_is_in_the_record(bare: dict[str, str]) -> None:
    with open_sandbox("docker", image=bare["image"]) as sandbox:
        record = sandbox.describe()
        assert (record["image"], record["image_digest"]) == (bare["image"], bare["digest"])
        assert sandbox.exec(["python", "-c", "print(1)"], timeout_s=20).stdout == "1\n"


@pytest.mark.docker
def test_base_that_cannot_be_had_is_one_sentence(docker_image: str) -> None:
    assert docker_image
    with pytest.raises(ImageError, match="not here and cannot be pulled"):
        images.build("no-such-registry.invalid/image:tag", [])
