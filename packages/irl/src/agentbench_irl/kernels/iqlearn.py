"""The operator behind `linear_iqlearn_loss`: loss and gradients in one pass, without the logits.

Why one pass is enough for a loss that couples neighbouring rows. With r_t = q_t - γ V_{s(t)},
weights w^E, w^V, w^R per row (offline, all three are the mask) and D the normaliser,

    D L       = Σ_t w^V_t (V_t - q_t) / τ + (w^V_t - w^E_t) r_t / τ + λ w^R_t r_t²
    D ∂L/∂q_t = -w^E_t / τ + 2 λ w^R_t r_t
    D ∂L/∂V_t =  w^V_t / τ + γ Σ_{p: s(p) = t} [(w^E_p - w^V_p) / τ - 2 λ w^R_p r_p]
              =  α_t + β_t V_t                                      since r_p = q_p - γ V_t
    ∂L/∂z_t   =  ∂L/∂V_t softmax(z_t / τ) + ∂L/∂q_t onehot(y_t)

α and β need only the q of the rows before, and those are dot products, had before any logits.
∂L/∂q_t needs the V of the row after: taken from right to left, it is there.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agentbench_irl.kernels.backend import row_kernels
from agentbench_irl.kernels.head import Head
from agentbench_irl.kernels.products import HeadProducts
from agentbench_irl.transitions import IGNORE, TERMINAL, UNKNOWN


def needed_rows(targets: Tensor, successor: Tensor) -> Tensor:
    """Return the rows that a loss depends on: scored rows and the successors of scored rows.

    On a GPU this waits for the device, since the length of the answer depends on the data. Call it
    where a batch is put together, and give the answer to `linear_iqlearn_loss`.

    >>> needed_rows(torch.tensor([-100, 7, -100, -100]), torch.tensor([-2, 2, -2, -2])).tolist()
    [1, 2]

    Args:
        targets: Token taken in each row, IGNORE where it is not scored. Shape (T,) or (B, T).
        successor: Row of the next state in the flattened batch. Shape of `targets`.

    Returns:
        Rows of the flattened batch in ascending order, shape (K,), int64.
    """
    scored = targets.flatten() != IGNORE
    followed = scored & (successor.flatten() >= 0)
    needed = scored.clone()
    needed[successor.flatten()[followed]] = True
    return needed.nonzero()[:, 0]


@torch.library.custom_op("agentbench_irl::linear_iqlearn", mutates_args=())
def linear_iqlearn(  # noqa: PLR0917 - an operator's schema is positional
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    needs: list[bool],
    targets: Tensor,
    successor: Tensor,
    rows: Tensor | None,
    row_weights: Tensor,
    terminal_value: Tensor,
    normalizer: Tensor,
    td_weight: float,
    discount: float,
    semi_gradient: bool,  # noqa: FBT001 - see above
    temperature: float,
    logit_scale: float,
    softcap: float | None,
    logits_bytes: int,
    wide_sums: bool,  # noqa: FBT001 - see above
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return L, ∂L/∂hidden, ∂L/∂weight, ∂L/∂bias, and per row q, V and "target is the argmax".

    The arguments are those of `linear_iqlearn_loss`, flat: hidden (N, H), targets and successor
    (N,), rows (K,), row_weights (3, N) for w^E, w^V, w^R, terminal_value (N,), normalizer ().
    """
    if rows is None and hidden.device.type == "cpu":
        rows = needed_rows(targets, successor)
        rows = None if len(rows) == len(targets) else rows
    head = Head(logit_scale=logit_scale, softcap=softcap, temperature=temperature)
    kernels = row_kernels(backend, hidden)
    products = HeadProducts(
        hidden,
        weight,
        bias,
        rows,
        head=head,
        kernels=kernels,
        logits_bytes=logits_bytes,
        wide_sums=wide_sums,
        needs=needs,
    )
    targets, weights, terminal = map(products.of_rows, (targets, row_weights, terminal_value))
    y = targets.clamp_min(0)
    q = products.target_logits(y)
    chain = _Chain(
        q=q,
        successor=products.of_rows(_renumbered(successor, rows)),
        weights=weights.to(q.dtype),
        terminal_value=terminal.to(q.dtype),
        td_weight=td_weight,
        discount=discount,
        temperature=temperature,
    )
    ordered = chain.ordered(scored=targets != IGNORE)
    alpha, beta = chain.value_slope(semi_gradient=semi_gradient)
    alpha, beta = alpha / normalizer, beta / normalizer
    value, best = torch.zeros_like(q), torch.zeros_like(y, dtype=torch.bool)
    for chunk in products.chunks:
        z = products.logits(chunk)
        push = (alpha[chunk], beta[chunk]) if products.needed else None
        value[chunk], best[chunk] = kernels.softmax_rows_(z, q[chunk], y[chunk], head, push)
        if products.needed:
            of_value = alpha[chunk] + beta[chunk] * value[chunk]
            of_q = chain.q_slope(value, chunk) / normalizer
            probability = torch.exp((q[chunk] - value[chunk]) / temperature)
            of_target = (of_value * probability + of_q) * head.slope(q[chunk])
            z.scatter_(1, y[chunk][:, None], of_target[:, None].to(z.dtype))
            products.add_gradients(chunk, z)
    loss = torch.where(ordered, chain.total(value) / normalizer, torch.nan)
    q, value, best = (products.to_all_rows(per_row) for per_row in (q, value, best))
    return loss, *products.results(), q, value, best


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """The rows that take part, K of them, and how they hang together.

    Attributes:
        q: Q(s, a), shape (K,).
        successor: Place of the next state among the K, TERMINAL or UNKNOWN, shape (K,).
        weights: w^E, w^V and w^R, shape (3, K).
        terminal_value: Shape (K,).
        td_weight: λ.
        discount: γ.
        temperature: τ.
    """

    q: Tensor
    successor: Tensor
    weights: Tensor
    terminal_value: Tensor
    td_weight: float
    discount: float
    temperature: float

    def ordered(self, *, scored: Tensor) -> Tensor:
        """Return whether each scored row's successor takes part and comes after it, shape ()."""
        place = torch.arange(self.q.shape[0], device=self.q.device)
        after = (self.successor > place) | (self.successor == TERMINAL)
        ordered = (after | (self.successor == UNKNOWN) | ~scored).all()
        if self.q.device.type == "cpu" and not ordered:
            raise ValueError(
                "a row is followed by an earlier row, or by one that `rows` leaves out; "
                "put the states of an episode in the order in which they happen"
            )
        return ordered

    def reward(self, value: Tensor, chunk: slice) -> Tensor:
        """Return r of a chunk, given V of all rows behind its first; r = q if UNKNOWN."""
        successor = self.successor[chunk]
        followed = value[successor.clamp_min(0)]
        next_value = torch.where(successor == TERMINAL, self.terminal_value[chunk], followed)
        next_value = torch.where(successor == UNKNOWN, 0.0, next_value)
        return self.q[chunk] - self.discount * next_value

    def q_slope(self, value: Tensor, chunk: slice) -> Tensor:
        """Return D ∂L/∂q of a chunk."""
        expert, _, td = self.weights[:, chunk]
        known = self.successor[chunk] != UNKNOWN
        return -expert / self.temperature + 2 * self.td_weight * torch.where(
            known, td * self.reward(value, chunk), 0.0
        )

    def value_slope(self, *, semi_gradient: bool) -> tuple[Tensor, Tensor]:
        """Return α and β of D ∂L/∂V = α + β V, each of shape (K,)."""
        expert, of_value, td = self.weights
        pull = 0.0 if semi_gradient else 2 * self.td_weight * td
        alpha = (expert - of_value) / self.temperature - pull * self.q
        beta = self.discount * pull * torch.ones_like(self.q)
        alpha, beta = (self.discount * self._summed_at_successor(one) for one in (alpha, beta))
        return alpha + of_value / self.temperature, beta

    def _summed_at_successor(self, per_row: Tensor) -> Tensor:
        """Return, for each row, the sum over the rows that it follows, shape (K,).

        Two runs agree to the last bit: on a GPU index_put_ sums in a fixed order and index_add_
        does not, and on a CPU it is the other way round.
        """
        count = per_row.shape[0]
        at = torch.where(self.successor >= 0, self.successor, count)
        sums = per_row.new_zeros(count + 1)
        if sums.device.type == "cpu":
            sums.index_add_(0, at, per_row)
        else:
            sums.index_put_((at,), per_row, accumulate=True)
        return sums[:count]

    def total(self, value: Tensor) -> Tensor:
        """Return D L, shape ()."""
        everything = slice(0, None)
        expert, of_value, td = self.weights
        reward = self.reward(value, everything)
        square = torch.where(self.successor == UNKNOWN, 0.0, self.td_weight * td * reward.square())
        nll = (value - self.q) / self.temperature
        return (of_value * nll + (of_value - expert) * reward / self.temperature + square).sum()


def _renumbered(successor: Tensor, rows: Tensor | None) -> Tensor:
    """Return `successor` counted among `rows`; -3 where it is none of them."""
    if rows is None:
        return successor
    place = torch.full_like(successor, -3)
    place[rows] = torch.arange(rows.shape[0], device=rows.device)
    return torch.where(successor >= 0, place[successor.clamp_min(0)], successor)


@linear_iqlearn.register_fake  # pyright: ignore[reportUnknownMemberType] - torch's own
def _shapes(
    hidden: Tensor, weight: Tensor, _: Tensor | None, needs: list[bool], *__: object
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    wide = torch.promote_types(hidden.dtype, torch.float32)
    per_row = hidden.new_empty(hidden.shape[0], dtype=wide)
    return (
        per_row.new_empty(()),
        torch.empty_like(hidden) if needs[0] else hidden.new_empty(0),
        torch.empty_like(weight) if needs[1] else weight.new_empty(0),
        weight.new_empty(weight.shape[0] if needs[2] else 0),
        per_row,
        torch.empty_like(per_row),
        torch.empty_like(per_row, dtype=torch.bool),
    )


@torch.library.custom_op("agentbench_irl::scale_", mutates_args=("gradient",))
def scale_(gradient: Tensor, factor: Tensor, backend: str) -> None:
    """Multiply a gradient by a scalar in place."""
    if gradient.numel():
        row_kernels(backend, gradient).scale_(gradient, factor)


@scale_.register_fake  # pyright: ignore[reportUnknownMemberType] - torch's own
def _no_shapes(*_: object) -> None:
    return None


def _keep_gradients(
    ctx: Any,  # noqa: ANN401 - torch has no type for it
    inputs: tuple[object, ...],
    output: tuple[Tensor, ...],
) -> None:
    ctx.input_count, ctx.backend = len(inputs), inputs[-1]
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*output[1:4])


def _scale_gradients(
    ctx: Any,  # noqa: ANN401 - torch has no type for it
    of_loss: Tensor | None,
    *_: object,
) -> tuple[Tensor | None, ...]:
    if of_loss is None:
        return (None,) * ctx.input_count
    # In place, so that no second ∂L/∂weight is held. A second backward pass through the same loss
    # is refused by autograd, because a saved tensor was modified.
    gradients: list[Tensor | None] = []
    for gradient, needed in zip(ctx.saved_tensors, ctx.needs_input_grad[:3], strict=True):
        if needed:
            scale_(gradient, of_loss, ctx.backend)
        gradients.append(gradient if needed else None)
    return (*gradients, *[None] * (ctx.input_count - 3))


linear_iqlearn.register_autograd(  # pyright: ignore[reportUnknownMemberType] - torch's own
    _scale_gradients, setup_context=_keep_gradients
)
