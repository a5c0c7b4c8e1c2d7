"""Row arithmetic in CUDA C++: `torch_rows`, launched on torch's current stream.

Nothing here waits for the device. Machine code is loaded once per device and element type.
"""

from ctypes import c_float, c_int, c_longlong
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from agentbench_irl.kernels import nvrtc
from agentbench_irl.kernels.head import Head

_SHARED_BYTES = 48 * 1024  # what every architecture gives without being asked
_LARGEST_CLUSTER = 8  # blocks; more is not portable
_PACK_BYTES = 16
_SCALE_BLOCKS = 1024  # enough to fill any GPU
_Argument = Tensor | c_int | c_longlong | c_float | None


def target_products(hidden: Tensor, weight: Tensor, target: Tensor, rows: Tensor | None) -> Tensor:
    """Return ⟨x_t, w_{y_t}⟩ of `torch_rows.target_products`; NaN where y is no token."""
    count, width = target.shape[0], hidden.shape[1]
    product = torch.empty(count, dtype=torch.float32, device=hidden.device)
    warps = nvrtc.THREADS // 32
    packed = all(
        tensor.data_ptr() % _PACK_BYTES == 0 and width * tensor.element_size() % _PACK_BYTES == 0
        for tensor in (hidden, weight)
    )
    _launch(
        "target_products",
        hidden,
        (
            *(hidden, weight, target.contiguous(), None if rows is None else rows.contiguous()),
            *(c_longlong(count), c_longlong(weight.shape[0]), c_int(width), c_int(packed)),
            product,
        ),
        blocks=-(-count // warps),
    )
    return product


def softmax_rows_(
    z: Tensor, q: Tensor, target: Tensor, head: Head, push: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Do what `torch_rows.softmax_rows_` does; rows of z start at multiples of 16 bytes."""
    value = torch.empty_like(q)
    best = torch.empty_like(target, dtype=torch.bool)
    alpha, beta = (None, None) if push is None else (part.contiguous() for part in push)
    cluster, entries, staged = row_layout(
        z.shape[1], z.element_size(), clusters=_clusters(z.device)
    )
    _launch(
        "softmax_rows",
        z,
        (
            *(z, c_longlong(z.stride(0)), c_int(z.shape[1]), c_int(entries), c_int(staged)),
            *((q / head.temperature).contiguous(), target.contiguous(), alpha, beta),
            *(c_float(head.temperature), c_float(head.logit_scale), c_float(head.cap)),
            *(value, best),
        ),
        blocks=z.shape[0],
        cluster=cluster,
        shared=nvrtc.SCRATCH_BYTES + staged * entries * z.element_size(),
    )
    return value, best


def scale_(gradient: Tensor, factor: Tensor) -> None:
    """Multiply a contiguous gradient by a float32 scalar in place; 1 leaves it unread."""
    packs = -(-gradient.numel() * gradient.element_size() // _PACK_BYTES)
    blocks = min(_SCALE_BLOCKS, -(-packs // nvrtc.THREADS))
    arguments = (gradient, factor.float(), c_longlong(gradient.numel()))
    _launch("scale", gradient, arguments, blocks=blocks)


def row_layout(vocabulary: int, element_bytes: int, *, clusters: bool) -> tuple[int, int, bool]:
    """Return how one row of logits is laid over blocks.

    Args:
        vocabulary: V.
        element_bytes: Size of a logit.
        clusters: Whether blocks of a cluster can read each other's shared memory (sm_90 and on).

    Returns:
        Blocks per row; entries per block, a multiple of 16 bytes; and whether those fit into
        shared memory, so that a row is read from global memory once.
    """
    pack = _PACK_BYTES // element_bytes
    room = (_SHARED_BYTES - nvrtc.SCRATCH_BYTES) // element_bytes
    cluster = 1
    while clusters and cluster < _LARGEST_CLUSTER and -(-vocabulary // cluster) > room:
        cluster *= 2
    entries = -(-vocabulary // (cluster * pack)) * pack
    return cluster, entries, entries <= room


@cache
def load(index: int, dtype: torch.dtype) -> dict[str, Any]:
    """Return the kernels for a GPU and an element type, compiled or from the cache.

    Raises:
        ImportError: cuda.core or NVRTC is missing.
        RuntimeError: The kernels do not compile or load on this GPU.
    """
    core: Any = import_module("cuda.core")
    with torch.cuda.device(index):
        core.Device(index).set_current()
        arch = nvrtc.architecture(torch.cuda.get_device_capability(index))
        module = core.ObjectCode.from_cubin(nvrtc.cached_kernels(arch, dtype))
        return {name: module.get_kernel(name) for name in nvrtc.KERNELS}


def _clusters(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (9, 0)


@dataclass(frozen=True, slots=True)
class _TorchStream:
    """torch's current stream, as cuda.core asks for it."""

    handle: int

    def __cuda_stream__(self) -> tuple[int, int]:
        """Return the protocol's version and the stream."""
        return 0, self.handle


def _launch(
    name: str,
    where: Tensor,
    arguments: tuple[_Argument, ...],
    *,
    blocks: int,
    cluster: int = 1,
    shared: int = 0,
) -> None:
    """Launch a kernel on the current stream of the device of `where`; `blocks` counts clusters."""
    core: Any = import_module("cuda.core")  # without types that a checker can read
    if not blocks:
        return
    with torch.cuda.device(where.device):
        index = torch.cuda.current_device()
        core.Device(index).set_current()
        config = core.LaunchConfig(
            grid=blocks,
            cluster=cluster if cluster > 1 else None,
            block=nvrtc.THREADS,
            shmem_size=shared,
        )
        stream = _TorchStream(torch.cuda.current_stream().cuda_stream)
        values = [pointer_or_number(argument) for argument in arguments]
        core.launch(stream, config, load(index, where.dtype)[name], *values)


def pointer_or_number(argument: _Argument) -> int | c_int | c_longlong | c_float:
    """Return what cuda.core passes on to a kernel: an address for a tensor, 0 for None."""
    if argument is None:
        return 0
    return argument.data_ptr() if isinstance(argument, Tensor) else argument
