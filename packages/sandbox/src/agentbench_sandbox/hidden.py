"""Where in an image the paths are that `hide` names below its Python import roots."""

import json
from contextlib import suppress
from functools import lru_cache
from typing import Any

from agentbench_sandbox.daemon import lacks_python
from agentbench_sandbox.errors import CapabilityError, ImageError
from agentbench_sandbox.identity import AGENT, labels

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
        if lacks_python(error):
            raise CapabilityError(
                f"the image has no python3, so {', '.join(hide)} cannot be hidden in it"
            ) from None
        raise ImageError(f"cannot tell what the image holds: {error}") from error
    finally:
        with suppress(APIError):
            api.remove_container(made, force=True, v=True)
    return tuple(found.items())
