"""Row arithmetic in plain torch: any device, any float type, no custom kernel.

`z` is a chunk of the buffer of logits, shape (n, V), in the units of `Head`. Each function walks
over its rows in blocks that stay in a cache, so that no float32 copy is larger than a block.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from agentbench_irl.kernels.head import Head

_CPU_BLOCK_BYTES = 1 << 20  # the second-level cache of one core
_GPU_BLOCK_BYTES = 1 << 26


def target_products(hidden: Tensor, weight: Tensor, target: Tensor, rows: Tensor | None) -> Tensor:
    """Return ⟨x_t, w_{y_t}⟩, summed in float32 or better.

    Args:
        hidden: x, shape (N, H).
        weight: w, shape (V, H).
        target: y of each row that takes part, shape (K,), in [0, V).
        rows: Which rows those are, shape (K,), or None for all.

    Returns:
        Shape (K,), float32 or float64.
    """
    wide = torch.promote_types(hidden.dtype, torch.float32)
    product = torch.empty(target.shape, dtype=wide, device=hidden.device)
    for block in _blocks(target.shape[0], hidden.shape[1], hidden.device):
        x = hidden[block if rows is None else rows[block]].to(wide)
        product[block] = (x * weight[target[block]].to(wide)).sum(-1)
    return product


def softmax_rows_(
    z: Tensor, q: Tensor, target: Tensor, head: Head, push: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Return V = τ log Σ_a exp(z_a / τ), and overwrite z by ∂L/∂V p ∂z/∂u.

    The exact q stands in the place of the target's logit, which matters where z is bfloat16.

    Args:
        z: Shape (n, V); overwritten. The entry of the target is for the caller to write.
        q: Exact logit of the target, shape (n,).
        target: Shape (n,).
        head: Units of z.
        push: α and β of ∂L/∂V = α + β V, each of shape (n,). If None, z is left without meaning.

    Returns:
        V, shape (n,), and whether no logit is larger than the target's, shape (n,), bool.
    """
    value = torch.empty_like(q)
    best = torch.empty_like(target, dtype=torch.bool)
    q = q / head.temperature
    on_cpu = z.device.type == "cpu"  # where softmax is known to work in place
    for rows in _blocks(z.shape[0], z.shape[1], z.device):
        block = z[rows].to(q.dtype)
        slope = None
        if head.softcap is not None:
            block.tanh_()
            slope = 1 - block.square()
            block.mul_(head.cap)
        block.scatter_(1, target[rows, None], q[rows, None])
        top = block.amax(1)
        best[rows] = q[rows] == top
        block = torch.softmax(block, dim=1, out=block if on_cpu else None)
        value[rows] = head.temperature * (top - block.amax(1).log())
        if push is None:
            continue
        of_value = push[0][rows] + push[1][rows] * value[rows]
        block.mul_((of_value * head.logit_scale)[:, None])
        if slope is not None:
            block.mul_(slope)
        if not on_cpu or block.dtype != z.dtype:
            z[rows] = block
    return value, best


def scale_(gradient: Tensor, factor: Tensor) -> None:
    """Multiply a gradient by a scalar in place."""
    if gradient.device.type != "cpu" or float(factor) != 1:
        gradient.mul_(factor)


def _blocks(count: int, width: int, device: torch.device) -> Iterator[slice]:
    size = _CPU_BLOCK_BYTES if device.type == "cpu" else _GPU_BLOCK_BYTES
    step = max(1, size // (4 * width))
    for start in range(0, count, step):
        yield slice(start, start + step)
