"""From a specification such as ``openai:gpt-5`` to a model."""

import importlib
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, cast

from agentbench_agents.models.errors import ModelConfigError
from agentbench_agents.models.gate import Gate
from agentbench_agents.models.model import Model, Sampling

Opener = Callable[..., Model]
ENTRY_POINT_GROUP = "agentbench.models"

_SCHEMES = ("anthropic", "openai", "replay", "scripted", "transformers")


def open_model(
    spec: str,
    *,
    base_url: str | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    gate: Gate | None = None,
) -> Model:
    """Open the model that a specification names.

    ===========================  ==================================================================
    ``openai:NAME``              any OpenAI-compatible server (``base_url``, ``OPENAI_API_KEY``)
    ``anthropic:NAME``           Anthropic's Messages API (``ANTHROPIC_API_KEY``)
    ``transformers:PATH``        in this process, from a directory
    ``replay:FILE``              answers recorded by `ReplayModel`
    ``scripted:MODULE:ATTR``     answers from a list or a function
    ``SCHEME:NAME``              entry point SCHEME of the group ``agentbench.models``
    ``module:attribute``         a model, or a function or class that returns one
    ===========================  ==================================================================

    An entry point is called as ``opener(NAME, base_url=..., sampling=...)``.

    Args:
        spec: See the table.
        base_url: Where the server is, for the schemes that have one.
        sampling: Defaults for every completion.
        gate: Limits to share with other models of one account; models without a server have none.

    Raises:
        ModelConfigError: Unknown scheme or name, missing extra or key, or a base URL for a scheme
            that has none.
    """
    scheme, _, name = spec.partition(":")
    if not scheme or not name:
        raise ModelConfigError(f"{spec!r} is not a model: write SCHEME:NAME, such as openai:gpt-5")
    if scheme in _SCHEMES:
        return _open_own(scheme, name, base_url=base_url, sampling=sampling, gate=gate)
    for found in entry_points(group=ENTRY_POINT_GROUP, name=scheme):
        return cast("Opener", found.load())(name, base_url=base_url, sampling=sampling)
    return _open_attribute(spec)


def model_schemes() -> tuple[str, ...]:
    """The schemes that `open_model` knows, installed entry points included."""
    return tuple(sorted({*_SCHEMES, *(e.name for e in entry_points(group=ENTRY_POINT_GROUP))}))


def _open_own(
    scheme: str, name: str, *, base_url: str | None, sampling: Sampling, gate: Gate | None
) -> Model:
    """The back ends of this package; each imports its library only when it is opened."""
    if scheme == "openai":
        from agentbench_agents.models.openai import OpenAIModel

        return OpenAIModel(name, base_url=base_url, sampling=sampling, gate=gate)
    if scheme == "anthropic":
        from agentbench_agents.models.anthropic import AnthropicModel

        return AnthropicModel(name, base_url=base_url, sampling=sampling, gate=gate)
    if base_url is not None:
        raise ModelConfigError(f"{scheme} models have no base URL, got {base_url!r}: leave it out")
    if scheme == "transformers":
        from agentbench_agents.models.transformers import TransformersModel

        return TransformersModel(name, sampling=sampling)
    if scheme == "replay":
        from agentbench_agents.models.replay import ReplayModel

        return ReplayModel(name)
    from agentbench_agents.models.scripted import ScriptedModel

    return ScriptedModel(cast("Any", _attribute(name)), name=f"scripted:{name}")


def _open_attribute(spec: str) -> Model:
    found = _attribute(spec)
    is_model = hasattr(found, "complete") and not isinstance(found, type)
    made: object = found() if callable(found) and not is_model else found
    if not hasattr(made, "complete"):
        raise ModelConfigError(f"{spec!r} is a {type(made).__name__}, not a model")
    return cast("Model", made)


def _attribute(reference: str) -> object:
    """What ``module:attribute`` names; modules in the working directory count."""
    module, _, path = reference.partition(":")
    if not module or not path:
        raise ModelConfigError(f"{reference!r} is not a reference: write MODULE:ATTRIBUTE")
    known = ", ".join(model_schemes())
    here = os.getcwd()  # noqa: PTH109 - sys.path wants a string
    sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module)
    except ImportError as error:
        raise ModelConfigError(
            f"no module {module!r} ({error}), and no scheme of that name (there are {known})"
        ) from None
    finally:
        sys.path.remove(here)
    for part in path.split("."):
        if not hasattr(found, part):
            raise ModelConfigError(f"module {module!r} has no attribute {path!r}")
        found = getattr(found, part)
    return found
