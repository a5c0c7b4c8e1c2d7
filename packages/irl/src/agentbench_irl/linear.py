"""IQLearn on hidden states and the language-model head, without the logits.

`losses` needs all logits, T x V numbers, several times over. What follows computes the same losses
and gradients from hidden states X (T, H) and the head W (V, H), and holds the logits of one chunk
of rows at a time. `kernels.iqlearn` says why one pass is enough.
"""

import torch
from torch import Tensor

from agentbench_irl.kernels.iqlearn import linear_iqlearn, needed_rows
from agentbench_irl.losses import IQLearnOutput, rows_from_values
from agentbench_irl.transitions import IGNORE, next_scored

__all__ = ["linear_iqlearn_loss", "needed_rows"]

_LOGITS_MIB = {"cpu": 32.0, "cuda": 1024.0}


def linear_iqlearn_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    td_weight: float,
    discount: float = 1.0,
    successor: Tensor | None = None,
    terminal_value: float | Tensor = 0.0,
    temperature: float = 1.0,
    semi_gradient: bool = False,
    normalizer: float | Tensor | None = None,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    rows: Tensor | None = None,
    logits_mib: float | None = None,
    wide_sums: bool = False,
    backend: str = "auto",
) -> IQLearnOutput:
    """Return what `iqlearn_loss` returns for the logits of `hidden` and `weight`.

    The logits are z = s (X Wᵀ + b), soft-capped c tanh(z / c) if asked for. ∂L/∂X and ∂L/∂W are
    computed here, in the forward pass, and given out once by the backward pass.

    Args:
        hidden: X, shape (T, H) or (B, T, H); float32, float64 or bfloat16.
        weight: W, shape (V, H), dtype of `hidden`.
        targets: Token taken in each row, IGNORE (-100) if not scored. Shape (T,) or (B, T).
        td_weight: λ ≥ 0, the weight of the temporal-difference term.
        discount: γ in [0, 1], per transition.
        successor: Row of the next state in the flattened batch, TERMINAL or UNKNOWN, shape of
            `targets`. It comes after its row. By default the next scored row of the sequence.
        terminal_value: V of the state after an episode ends; a constant.
        temperature: τ > 0 of the soft value.
        semi_gradient: Treat V(s') as a constant in the temporal-difference term.
        normalizer: What to divide the sum over rows by; by default the number of scored rows.
        bias: b, shape (V,).
        logit_scale: s.
        softcap: c > 0.
        rows: Rows to look at, as `needed_rows` gives them; all others are dropped before the first
            product. On a CPU they are found here; on a GPU, where that would wait for the device,
            all rows are computed unless `rows` is given.
        logits_mib: Size of the one chunk of logits that is held, in MiB.
        wide_sums: Sum ∂L/∂W over chunks in float32 where the weight is bfloat16.
        backend: "torch", "cuda" or "auto".

    Returns:
        The loss and its metrics. With no scored row the loss is zero.

    Raises:
        ValueError: Shapes do not agree, a parameter is out of range, or, on a CPU, a successor does
            not come after its row. On a GPU the loss is then NaN.
    """
    X = hidden.flatten(0, -2).contiguous()
    successor = next_scored(targets) if successor is None else successor
    targets, successor = targets.flatten(), successor.flatten()
    scored = targets != IGNORE
    wide = torch.promote_types(X.dtype, torch.float32)
    mask = scored.to(wide)
    if normalizer is None:
        normalizer = mask.sum().clamp_min(1)
    elif not isinstance(normalizer, Tensor):
        normalizer = torch.full((), normalizer, dtype=wide, device=X.device)
    if not isinstance(terminal_value, Tensor):
        terminal_value = torch.full((), terminal_value, dtype=wide, device=X.device)
    terminal_value = terminal_value.detach().flatten().expand(targets.shape)
    gradients = torch.is_grad_enabled()
    needs = [
        gradients and tensor is not None and tensor.requires_grad for tensor in (X, weight, bias)
    ]
    mib = _LOGITS_MIB.get(X.device.type, 1024.0) if logits_mib is None else logits_mib
    loss, *_, q, value, best = linear_iqlearn(
        X,
        weight.contiguous(),
        bias,
        needs,
        targets,
        successor,
        rows,
        mask.expand(3, -1),
        terminal_value,
        normalizer,
        td_weight,
        discount,
        semi_gradient,
        temperature,
        logit_scale,
        softcap,
        int(mib * 2**20),
        wide_sums,
        backend,
    )
    flat = rows_from_values(
        q,
        value,
        targets=targets,
        successor=successor,
        correct=best,
        discount=discount,
        terminal_value=terminal_value,
    )
    return IQLearnOutput(
        loss=loss, metrics=flat.metrics(td_weight=td_weight, temperature=temperature)
    )
