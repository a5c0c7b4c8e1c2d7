"""The loss that a configuration asks for, on logits and on hidden states."""

from typing import Any, cast

from torch import Tensor

from agentbench_irl.baselines import dft_loss, gem_loss, mle_loss
from agentbench_irl.config import IQLearnConfig
from agentbench_irl.head import LinearHead
from agentbench_irl.kernels.backend import BackendName
from agentbench_irl.linear import linear_iqlearn_loss
from agentbench_irl.losses import IQLearnOutput, iqlearn_loss


def loss_of_hidden(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    args: IQLearnConfig,
    head: LinearHead,
    targets: Tensor,
    successor: Tensor,
    rows: Tensor,
    terminal_value: float,
    normalizer: Tensor | float | None,
) -> dict[str, Tensor]:
    """Return `loss` and the `sums` of its metrics, without the logits: a `HeadLoss`.

    Args:
        hidden: Shape (B, T, H).
        weight: Of the head, shape (V, H).
        bias: Of the head, shape (V,).
        args: IQLearn, or maximum likelihood without an entropy bonus.
        head: What follows the product.
        targets: Shape (B, T).
        successor: Shape (B, T).
        rows: Rows of the flattened batch that matter.
        terminal_value: V after the end.
        normalizer: What to divide by; by default the number of scored rows.
    """
    iqlearn = args.loss_type == "iqlearn"
    backend = "auto" if args.loss_backend == "linear" else args.loss_backend
    out = linear_iqlearn_loss(
        hidden,
        weight,
        targets,
        td_weight=args.td_weight if iqlearn else 0.0,
        discount=args.discount,
        temperature=args.temperature if iqlearn else 1.0,
        successor=successor,
        terminal_value=terminal_value,
        divergence=args.divergence,
        semi_gradient=args.semi_gradient,
        normalizer=normalizer,
        bias=bias,
        logit_scale=head.logit_scale,
        softcap=head.softcap,
        rows=rows,
        logits_mib=args.logits_mib,
        wide_sums=True,
        backend=cast("BackendName", backend),
    )
    return {"loss": out.loss, "sums": out.metrics.sums}


def loss_of_logits(
    args: IQLearnConfig,
    logits: Tensor,
    targets: Tensor,
    *,
    successor: Tensor,
    terminal_value: float,
    normalizer: Tensor | float | None,
) -> IQLearnOutput:
    """Return the loss and its metrics.

    Args:
        args: Any of the losses.
        logits: Shape (B, T, V).
        targets: Shape (B, T).
        successor: Shape (B, T).
        terminal_value: V after the end.
        normalizer: What to divide by; by default the number of scored rows.
    """
    rows: dict[str, Any] = {
        "successor": successor,
        "terminal_value": terminal_value,
        "normalizer": normalizer,
    }
    match args.loss_type:
        case "mle":
            return mle_loss(logits, targets, entropy_weight=args.entropy_weight, **rows)
        case "gem":
            return gem_loss(logits, targets, beta=args.gem_beta, **rows)
        case "dft":
            return dft_loss(logits, targets, **rows)
        case "iqlearn":
            return iqlearn_loss(
                logits,
                targets,
                td_weight=args.td_weight,
                discount=args.discount,
                temperature=args.temperature,
                divergence=args.divergence,
                semi_gradient=args.semi_gradient,
                **rows,
            )
