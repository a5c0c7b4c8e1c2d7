"""IQLearn on hidden states and the language-model head, without the logits.

`losses` needs all logits, T x V numbers, several times over. What follows computes the same losses
and gradients from hidden states X (T, H) and the head W (V, H), and holds the logits of one chunk
of rows at a time. `kernels.iqlearn` says why one pass is enough.

The logits are z = s (X Wᵀ + b) with `logit_scale` s and `bias` b, and with `softcap` c they are
c tanh(z / c).
"""

import torch
from torch import Tensor

from agentbench_irl.divergences import Divergence, penalty
from agentbench_irl.kernels.backend import Backend, BackendName, linear_backend
from agentbench_irl.kernels.inputs import Inputs
from agentbench_irl.kernels.iqlearn import linear_iqlearn, needed_rows
from agentbench_irl.kernels.lse import linear_lse
from agentbench_irl.losses import IQLearnOutput
from agentbench_irl.transitions import IGNORE

__all__ = [
    "Backend",
    "BackendName",
    "linear_backend",
    "linear_iqlearn_loss",
    "linear_lse_and_target",
    "linear_mixture_loss",
    "needed_rows",
]


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
    divergence: Divergence = "chi2",
    semi_gradient: bool = False,
    normalizer: float | Tensor | None = None,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    rows: Tensor | None = None,
    logits_mib: float | None = None,
    wide_sums: bool = False,
    backend: BackendName = "auto",
) -> IQLearnOutput:
    """Return what `iqlearn_loss` returns for the logits of `hidden` and `weight`.

    ∂L/∂X and ∂L/∂W are computed here, in the forward pass, and handed out by the one backward pass
    that is possible. Only a `divergence` other than chi2 computes the logits a second time.

    The example of `iqlearn_loss`, whose logits are [[0], [ln 3]] [[1, 0]]:

    >>> import math
    >>> x, w = torch.tensor([[0.0], [math.log(3)]]), torch.tensor([[1.0], [0.0]])
    >>> round(float(linear_iqlearn_loss(x, w, torch.tensor([0, 1]), td_weight=0.1).loss), 5)
    1.13581

    Args:
        hidden: X, shape (T, H) or (B, T, H); float32, float64 or bfloat16. float16 is computed in
            float32. Under autocast, all of X, W and b are cast as a linear layer would.
        weight: W, shape (V, H), dtype of `hidden`.
        targets: Token taken in each row, IGNORE (-100) if not scored. Shape (T,) or (B, T).
        td_weight: λ ≥ 0, the weight of the temporal-difference term.
        discount: γ in [0, 1], per transition.
        successor: Row of the next state in the flattened batch, TERMINAL or UNKNOWN, shape of
            `targets`. It comes after its row. By default the next scored row of the sequence.
        terminal_value: V of the state after an episode ends, in the units of logits; a constant.
        temperature: τ > 0 of the soft value.
        divergence: As in `iqlearn_loss`.
        semi_gradient: Treat V(s') as a constant in the temporal-difference term.
        normalizer: What to divide the sum over rows by; by default the number of scored rows.
        bias: b, shape (V,).
        logit_scale: s.
        softcap: c > 0.
        rows: Rows that matter, as `needed_rows` gives them; all others are dropped before the first
            product. On a CPU they are found here. On a GPU that would wait for the device: there,
            all rows are computed unless `rows` is given.
        logits_mib: Size of the chunk of logits that is held, in MiB; by default 32 on a CPU and
            1024 elsewhere. 512 is a good low-memory setting on a GPU.
        wide_sums: Sum ∂L/∂W over chunks in float32 where W is bfloat16, at 4 more bytes per entry.
        backend: "torch", "cuda", or "auto" for what `linear_backend` says.

    Returns:
        The loss and its metrics. With no scored row the loss is zero.

    Raises:
        ValueError: Shapes or types do not agree, a parameter is out of range, or, on a CPU, a
            successor does not come after its row. On a GPU the loss is then NaN.
    """
    given = Inputs.of(
        hidden,
        weight,
        targets,
        successor=successor,
        terminal_value=terminal_value,
        rows=rows,
        bias=bias,
        logit_scale=logit_scale,
        softcap=softcap,
        logits_mib=logits_mib,
        backend=backend,
        td_weight=td_weight,
        discount=discount,
        temperature=temperature,
    )
    scored = (given.targets != IGNORE).to(given.wide)
    normalizer = scored.sum().clamp_min(1) if normalizer is None else normalizer
    if divergence == "chi2":
        return _one_pass(
            given,
            row_weights=scored.expand(3, -1),
            normalizer=normalizer,
            td_weight=td_weight,
            discount=discount,
            temperature=temperature,
            semi_gradient=semi_gradient,
            wide_sums=wide_sums,
        )
    if rows is None and given.hidden.device.type == "cpu" and not torch.compiler.is_compiling():
        rows = needed_rows(given.targets, given.successor)
    q, value, best = _values(given, rows=rows, temperature=temperature, wide_sums=wide_sums)
    flat = given.soft_rows(q, value, best, discount=discount)
    reward = flat.q - (flat.q - flat.reward).detach() if semi_gradient else flat.reward
    cost = penalty(reward, td_weight=td_weight, divergence=divergence)
    per_row = (value - q) / temperature + torch.where(flat.known, cost, 0.0)
    return IQLearnOutput(
        loss=torch.where(flat.scored, per_row, 0.0).sum() / normalizer,
        metrics=flat.metrics(td_weight=td_weight, temperature=temperature),
    )


def linear_mixture_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    expert_weight: Tensor,
    value_weight: Tensor,
    td_row_weight: Tensor,
    td_weight: float,
    discount: float = 1.0,
    successor: Tensor | None = None,
    terminal_value: float | Tensor = 0.0,
    temperature: float = 1.0,
    normalizer: float | Tensor | None = None,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    rows: Tensor | None = None,
    logits_mib: float | None = None,
    wide_sums: bool = False,
    backend: BackendName = "auto",
) -> IQLearnOutput:
    """Return what `mixture_loss` returns for the logits of `hidden` and `weight`.

    Args:
        hidden: As in `linear_iqlearn_loss`, as is everything not named here.
        weight: W, shape (V, H).
        targets: Token taken in each row, IGNORE if not scored. Shape (T,) or (B, T).
        expert_weight: w^E, shape of `targets`; a constant, as are the other two.
        value_weight: w^V, shape of `targets`.
        td_row_weight: w^R, shape of `targets`.
        td_weight: λ ≥ 0.
        discount: γ in [0, 1].
        successor: Row of the next state.
        terminal_value: V of the state after an episode ends.
        temperature: τ > 0.
        normalizer: What to divide by; by default the number of scored rows.
        bias: b, shape (V,).
        logit_scale: s.
        softcap: c > 0.
        rows: Rows that matter.
        logits_mib: Size of the chunk of logits, in MiB.
        wide_sums: Sum ∂L/∂W over chunks in float32.
        backend: "torch", "cuda" or "auto".

    Returns:
        The loss and its metrics over all scored rows.

    Raises:
        ValueError: As in `linear_iqlearn_loss`.
    """
    given = Inputs.of(
        hidden,
        weight,
        targets,
        successor=successor,
        terminal_value=terminal_value,
        rows=rows,
        bias=bias,
        logit_scale=logit_scale,
        softcap=softcap,
        logits_mib=logits_mib,
        backend=backend,
        td_weight=td_weight,
        discount=discount,
        temperature=temperature,
    )
    scored = (given.targets != IGNORE).to(given.wide)
    row_weights = torch.stack(
        [
            scored * per_row.detach().flatten()
            for per_row in (expert_weight, value_weight, td_row_weight)
        ]
    )
    return _one_pass(
        given,
        row_weights=row_weights,
        normalizer=scored.sum().clamp_min(1) if normalizer is None else normalizer,
        td_weight=td_weight,
        discount=discount,
        temperature=temperature,
        semi_gradient=False,
        wide_sums=wide_sums,
    )


def linear_lse_and_target(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    softcap: float | None = None,
    logits_mib: float | None = None,
    wide_sums: bool = False,
    backend: BackendName = "auto",
) -> tuple[Tensor, Tensor]:
    """Return V = τ log Σ_a exp(z_a / τ) and Q = z[target] of each row, both differentiable.

    The primitive of every loss that reads logits only through these two: cross-entropy is V - Q (at
    τ = 1), a z-loss adds V², policy gradients weigh Q - V. The backward pass computes the logits
    again, four products in all, and takes any cotangents of V and Q.

    >>> x, w = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [2.0]])
    >>> v, q = linear_lse_and_target(x, w, torch.tensor([1, 0]))
    >>> [round(float(number), 4) for number in (*v, *q)]
    [2.1269, 0.6931, 2.0, 0.0]

    Args:
        hidden: X, shape (T, H) or (B, T, H); see `linear_iqlearn_loss`.
        weight: W, shape (V, H), dtype of `hidden`.
        targets: Token of each row, shape (T,) or (B, T). Where it is IGNORE, Q is that of token 0.
        temperature: τ > 0.
        bias: b, shape (V,).
        logit_scale: s.
        softcap: c > 0.
        logits_mib: Size of the chunk of logits, in MiB.
        wide_sums: Sum ∂L/∂W over chunks in float32.
        backend: "torch", "cuda" or "auto".

    Returns:
        V and Q, each of the shape of `targets`, float32 or float64.

    Raises:
        ValueError: Shapes or types do not agree, or a parameter is out of range.
    """
    given = Inputs.of(
        hidden,
        weight,
        targets,
        bias=bias,
        logit_scale=logit_scale,
        softcap=softcap,
        logits_mib=logits_mib,
        backend=backend,
        temperature=temperature,
    )
    q, value, _ = _values(given, rows=None, temperature=temperature, wide_sums=wide_sums)
    return value.view_as(targets), q.view_as(targets)


def _one_pass(
    given: Inputs,
    *,
    row_weights: Tensor,
    normalizer: float | Tensor,
    td_weight: float,
    discount: float,
    temperature: float,
    semi_gradient: bool,
    wide_sums: bool,
) -> IQLearnOutput:
    """Return the χ² loss, its gradients computed on the way."""
    inputs = (given.hidden, given.weight, given.bias)
    learning = torch.is_grad_enabled()
    needs = [learning and tensor is not None and tensor.requires_grad for tensor in inputs]
    if not isinstance(normalizer, Tensor):
        normalizer = torch.full((), normalizer, dtype=given.wide, device=given.hidden.device)
    loss, _, _, _, q, value, best = linear_iqlearn(
        *inputs,
        needs,
        given.targets,
        given.successor,
        given.rows,
        row_weights,
        given.terminal_value,
        normalizer.detach(),
        td_weight,
        discount,
        semi_gradient,
        temperature,
        given.logit_scale,
        given.softcap,
        given.logits_bytes,
        wide_sums,
        given.backend,
    )
    flat = given.soft_rows(q, value, best, discount=discount)
    return IQLearnOutput(
        loss=loss, metrics=flat.metrics(td_weight=td_weight, temperature=temperature)
    )


def _values(
    given: Inputs, *, rows: Tensor | None, temperature: float, wide_sums: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return Q, V and "the target is the most likely token" of each row, zeros outside `rows`."""
    hidden, token = given.hidden, given.targets.clamp_min(0)
    value, q, best = linear_lse(
        hidden if rows is None else hidden[rows],
        given.weight,
        given.bias,
        token if rows is None else token[rows],
        temperature,
        given.logit_scale,
        given.softcap,
        given.logits_bytes,
        wide_sums,
        given.backend,
    )
    if rows is None:
        return q, value, best
    q, value, best = (
        per_row.new_zeros(token.shape).index_copy(0, rows, per_row) for per_row in (q, value, best)
    )
    return q, value, best
