"""The operators behind `linear_lse_and_target`: V and Q of every row, logits made twice."""

from typing import Any

import torch
from torch import Tensor

from agentbench_irl.kernels.backend import row_kernels
from agentbench_irl.kernels.head import Head
from agentbench_irl.kernels.products import HeadProducts


@torch.library.custom_op("agentbench_irl::linear_lse", mutates_args=())
def linear_lse(  # noqa: PLR0917 - an operator's schema is positional
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    temperature: float,
    logit_scale: float,
    softcap: float | None,
    logits_bytes: int,
    wide_sums: bool,  # noqa: ARG001, FBT001 - for the backward pass
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return V, Q and "the target is the argmax" of each row; see `linear_lse_and_target`."""
    head = Head(logit_scale=logit_scale, softcap=softcap, temperature=temperature)
    kernels = row_kernels(backend, hidden)
    products = HeadProducts(
        hidden,
        weight,
        bias,
        None,
        head=head,
        kernels=kernels,
        logits_bytes=logits_bytes,
        wide_sums=False,
        needs=[False] * 3,
    )
    q = products.target_logits(targets)
    value, best = torch.empty_like(q), torch.empty_like(targets, dtype=torch.bool)
    for chunk in products.chunks:
        z = products.logits(chunk)
        value[chunk], best[chunk] = kernels.softmax_rows_(z, q[chunk], targets[chunk], head, None)
    return value, q, best


@torch.library.custom_op("agentbench_irl::linear_lse_gradient", mutates_args=())
def linear_lse_gradient(  # noqa: PLR0917 - an operator's schema is positional
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    needs: list[bool],
    targets: Tensor,
    value: Tensor,
    q: Tensor,
    of_value: Tensor,
    of_q: Tensor,
    temperature: float,
    logit_scale: float,
    softcap: float | None,
    logits_bytes: int,
    wide_sums: bool,  # noqa: FBT001 - see above
    backend: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ∂L/∂hidden, ∂L/∂weight and ∂L/∂bias from ∂L/∂V and ∂L/∂Q, each of shape (N,)."""
    head = Head(logit_scale=logit_scale, softcap=softcap, temperature=temperature)
    kernels = row_kernels(backend, hidden)
    products = HeadProducts(
        hidden,
        weight,
        bias,
        None,
        head=head,
        kernels=kernels,
        logits_bytes=logits_bytes,
        wide_sums=wide_sums,
        needs=needs,
    )
    of_target = (of_value * torch.exp((q - value) / temperature) + of_q) * head.slope(q)
    push = torch.stack((of_value, torch.zeros_like(of_value)))
    for chunk in products.chunks:
        z = products.logits(chunk)
        kernels.softmax_rows_(z, q[chunk], targets[chunk], head, push[:, chunk])
        z.scatter_(1, targets[chunk][:, None], of_target[chunk][:, None].to(z.dtype))
        products.add_gradients(chunk, z)
    return products.results()


@linear_lse.register_fake  # pyright: ignore[reportUnknownMemberType] - torch's own
def _shapes(hidden: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    wide = torch.promote_types(hidden.dtype, torch.float32)
    per_row = hidden.new_empty(hidden.shape[0], dtype=wide)
    return per_row, torch.empty_like(per_row), torch.empty_like(per_row, dtype=torch.bool)


@linear_lse_gradient.register_fake  # pyright: ignore[reportUnknownMemberType] - torch's own
def _gradient_shapes(
    hidden: Tensor, weight: Tensor, _: Tensor | None, needs: list[bool], *__: object
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(hidden) if needs[0] else hidden.new_empty(0),
        torch.empty_like(weight) if needs[1] else weight.new_empty(0),
        weight.new_empty(weight.shape[0] if needs[2] else 0),
    )


def _keep_inputs(
    ctx: Any,  # noqa: ANN401 - torch has no type for it
    inputs: tuple[Any, ...],
    output: tuple[Tensor, ...],
) -> None:
    hidden, weight, bias, targets, *ctx.options = inputs
    value, q, best = output
    ctx.mark_non_differentiable(best)
    ctx.save_for_backward(hidden, weight, bias, targets, value, q)


def _gradients(
    ctx: Any,  # noqa: ANN401 - torch has no type for it
    of_value: Tensor,
    of_q: Tensor,
    _: object,
) -> tuple[Tensor | None, ...]:
    hidden, weight, bias, targets, value, q = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:3])
    gradients = linear_lse_gradient(
        hidden, weight, bias, needs, targets, value, q, of_value, of_q, *ctx.options
    )
    wanted = (gradient if need else None for gradient, need in zip(gradients, needs, strict=True))
    return (*wanted, None, *[None] * len(ctx.options))


linear_lse.register_autograd(  # pyright: ignore[reportUnknownMemberType] - torch's own
    _gradients, setup_context=_keep_inputs
)
