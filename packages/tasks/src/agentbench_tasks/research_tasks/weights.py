# pyright: basic
# (torch and safetensors are optional dependencies)
"""Weights that a method wrote: numbers from a safetensors file, never code."""

from collections.abc import Mapping
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


def read_weights(path: Path, like: Mapping[str, Any]) -> dict[str, Any]:
    """Read tensors of exactly these names and shapes, in these dtypes, finite numbers all.

    Args:
        path: What a method wrote; hostile.
        like: Tensors of the names, shapes and dtypes that are expected.

    Raises:
        InvalidOutputError: The file is not that.
    """
    torch = require_torch()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            odd = sorted(set(file.keys()) ^ set(like))
            if odd:
                what = "lacks" if odd[0] in like else "holds the unknown"
                raise InvalidOutputError(f"{path.name} {what} tensor {odd[0][:80]!r}")
            for name, tensor in like.items():
                found = file.get_slice(name).get_shape()
                if list(found) != list(tensor.shape):
                    raise InvalidOutputError(
                        f"{path.name}: {name} has shape {str(found)[:80]}, "
                        f"expected {list(tensor.shape)}"
                    )
            tensors = {name: file.get_tensor(name) for name in like}
    except (SafetensorError, OSError, ValueError, TypeError, LookupError, RuntimeError) as error:
        if isinstance(error, InvalidOutputError):
            raise
        reason = str(error)[:200].splitlines()[:1]
        raise InvalidOutputError(f"{path.name} is no safetensors file: {reason}") from None
    for name, tensor in tensors.items():
        wanted = like[name].dtype
        if tensor.is_complex() or wanted.is_floating_point != tensor.is_floating_point():
            raise InvalidOutputError(f"{path.name}: {name} holds {tensor.dtype}, expected {wanted}")
        # Finite as they are and as they will be used: 1e300 is infinite for 32 bits.
        tensors[name] = tensor.to(wanted)
        if not torch.isfinite(tensors[name]).all():
            raise InvalidOutputError(f"{path.name}: {name} holds NaN or infinite numbers")
    return tensors
