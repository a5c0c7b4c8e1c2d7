"""Which implementation of the row arithmetic is used, and why.

`AGENTBENCH_IRL_BACKEND` is "auto" (the default), "torch" or "cuda". Both "auto" and "cuda" mean
CUDA where it works; where it does not on a GPU, chunked torch takes over with one warning.
"""

import os
import warnings
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal, get_args

import torch
from torch import Tensor

from agentbench_irl.errors import ConfigError
from agentbench_irl.kernels import cuda_rows, torch_rows

BackendName = Literal["auto", "torch", "cuda"]
VARIABLE = "AGENTBENCH_IRL_BACKEND"
_DTYPES = (torch.bfloat16, torch.float32)
_LEAST_CAPABILITY = (8, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What the linear losses run on.

    Attributes:
        name: "torch" or "cuda".
        reason: Why, in words.
        missing: A piece that was expected is not there.
    """

    name: Literal["torch", "cuda"]
    reason: str
    missing: bool = False


def linear_backend(
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.bfloat16,
    *,
    backend: str = "auto",
) -> Backend:
    """Return what the linear losses use for tensors on a device, and why.

    Args:
        device: By default the GPU if there is one, else the CPU.
        dtype: Type of the hidden states.
        backend: What the caller asked for; "auto" leaves it to `AGENTBENCH_IRL_BACKEND`.

    Raises:
        ConfigError: The name of the back end is unknown.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    asked, by = (backend, "the caller") if backend != "auto" else _environment()
    if asked == "torch":
        return Backend(name="torch", reason=f"{by} asks for it")
    if device.type != "cuda":
        missing = asked == "cuda"
        return Backend(name="torch", reason=f"the tensors are on {device.type}", missing=missing)
    if dtype not in _DTYPES:
        return Backend(name="torch", reason=f"the kernels do not do {dtype}")
    with torch.cuda.device(device):
        problem = _problem(torch.cuda.current_device(), dtype)
    if problem:
        return Backend(name="torch", reason=problem, missing=True)
    return Backend(name="cuda", reason=f"the kernels work on {torch.cuda.get_device_name(device)}")


def row_kernels(backend: str, tensor: Tensor) -> ModuleType:
    """Return the module that does the row arithmetic for a tensor, warning once of a missing piece.

    Args:
        backend: What the caller asked for.
        tensor: The hidden states.

    Returns:
        `torch_rows` or `cuda_rows`.
    """
    chosen = linear_backend(tensor.device, tensor.dtype, backend=backend)
    if chosen.missing:
        _warn(chosen.reason)
    return cuda_rows if chosen.name == "cuda" else torch_rows


def _environment() -> tuple[str, str]:
    name = os.environ.get(VARIABLE, "auto")
    if name not in get_args(BackendName):
        msg = f"{VARIABLE} is {name!r}; it must be auto, torch or cuda"
        raise ConfigError(msg)
    return name, f"{VARIABLE}={name}"


@cache
def _problem(index: int, dtype: torch.dtype) -> str | None:
    """Return why the kernels do not work on a GPU, or None."""
    capability = torch.cuda.get_device_capability(index)
    if capability < _LEAST_CAPABILITY:
        return f"compute capability {capability[0]}.{capability[1]} is below 8.0"
    try:
        cuda_rows.load(index, dtype)
    except ImportError as error:
        return f"{error}; pip install 'agentbench-irl[cuda]'"
    except Exception as error:  # noqa: BLE001 - of the driver or the compiler, any of which torch can replace
        return f"the kernels do not compile or load: {type(error).__name__}: {error}"
    return None


@cache
def _warn(reason: str) -> None:
    warnings.warn(
        f"the linear losses use chunked torch, not the CUDA kernels: {reason}",
        RuntimeWarning,
        stacklevel=2,
    )
