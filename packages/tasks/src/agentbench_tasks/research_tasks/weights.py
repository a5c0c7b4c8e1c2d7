# pyright: basic
# (torch and safetensors are optional dependencies)
"""Weights that a method wrote: numbers from a safetensors file, never code."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentbench_tasks.errors import MissingExtraError
from agentbench_tasks.research_score import InvalidOutputError


def require_torch() -> Any:  # noqa: ANN401 - the module
    """Return torch.

    Raises:
        MissingExtraError: torch or safetensors is not installed.
    """
    try:
        import safetensors  # noqa: F401
        import torch
    except ImportError:
        raise MissingExtraError(
            "this task runs networks: pip install 'agentbench-tasks[research]'"
        ) from None
    return torch


def read_weights(path: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Read tensors of exactly these names and shapes, finite numbers all.

    Raises:
        InvalidOutputError: The file is not that.
    """
    torch = require_torch()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            odd = sorted(set(file.keys()) ^ set(shapes))
            if odd:
                what = "lacks" if odd[0] in shapes else "holds the unknown"
                raise InvalidOutputError(f"{path.name} {what} tensor {odd[0][:80]}")
            for name, shape in shapes.items():
                found = file.get_slice(name).get_shape()
                if list(found) != list(shape):
                    raise InvalidOutputError(
                        f"{path.name}: {name} has shape {found}, expected {list(shape)}"
                    )
            tensors = {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, InvalidOutputError):
            raise
        reason = str(error).splitlines()[:1]
        raise InvalidOutputError(f"{path.name} is no safetensors file: {reason}") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InvalidOutputError(f"{path.name}: {name} holds NaN or infinite numbers")
    return tensors
