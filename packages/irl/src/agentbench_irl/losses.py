"""IQLearn as a pure function of logits.

Wulfmeier et al. 2024 (arXiv 2409.01369) read the logits of a language model as the soft Q function
of a token-level decision process, and its log-partition as the value:

    Q(s, a) = logits[a]        V(s) = τ log Σ_a exp(Q(s, a) / τ)        log π(a|s) = (Q - V) / τ
    r(s, a) = Q(s, a) - γ V(s')

Imitation by matching occupancies (inverse soft-Q learning with a χ² regulariser), on expert data
only, is then maximum likelihood plus a penalty on the reward (eq. 14):

    L = mean over scored rows of  -log π(a|s) + λ r(s, a)²

λ = `td_weight` = 0 is maximum likelihood. What a row, a target and a successor are is said in
`transitions`. Nothing here logs, reads a tensor on the host or keeps state.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agentbench_irl.divergences import Divergence, penalty
from agentbench_irl.transitions import IGNORE, TERMINAL, UNKNOWN, next_scored


@dataclass(frozen=True, slots=True, kw_only=True)
class IQLearnMetrics:
    """What a batch looked like, as sums, so that metrics of several batches add up.

    Attributes:
        sums: One total per name of `SUMS`, shape (len(SUMS),), float32 or float64, detached.
    """

    sums: Tensor

    def __add__(self, other: "IQLearnMetrics") -> "IQLearnMetrics":
        """Return the metrics of both batches together."""
        return IQLearnMetrics(sums=self.sums + other.sums)

    def means(self) -> dict[str, float]:
        """Return each metric as a number; this waits for the device.

        Returns:
            `nll` (nats), `td` (mean r²), `reward_mean`, `reward_std`, `value_mean`,
            `value_initial` (first state of each sequence), `value_terminal` (last state of each
            finished one), `saturated` (share of rows with r > 1/(2λ), where the push on the
            expert's token has turned round), `accuracy`, `scored` (rows). NaN where there is none.
        """
        numbers = [float(number) for number in self.sums.cpu().unbind()]
        total = dict(zip(SUMS, numbers, strict=True))
        td_mean = _ratio(total["reward"], total["td_rows"])
        td_square = _ratio(total["reward_square"], total["td_rows"])
        return {
            "nll": _ratio(total["nll"], total["scored"]),
            "td": _ratio(total["reward_square"], total["scored"]),
            "reward_mean": td_mean,
            "reward_std": max(td_square - td_mean**2, 0.0) ** 0.5 if total["td_rows"] else td_mean,
            "value_mean": _ratio(total["value"], total["scored"]),
            "value_initial": _ratio(total["value_initial"], total["initial"]),
            "value_terminal": _ratio(total["value_terminal"], total["terminal"]),
            "saturated": _ratio(total["saturated"], total["td_rows"]),
            "accuracy": _ratio(total["correct"], total["scored"]),
            "scored": total["scored"],
        }


SUMS = (
    "scored",
    "td_rows",
    "initial",
    "terminal",
    "nll",
    "reward",
    "reward_square",
    "value",
    "value_initial",
    "value_terminal",
    "saturated",
    "correct",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IQLearnOutput:
    """A loss and what the batch looked like.

    Attributes:
        loss: Scalar, differentiable.
        metrics: Detached sums over the batch.
    """

    loss: Tensor
    metrics: IQLearnMetrics


def iqlearn_loss(
    logits: Tensor,
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
) -> IQLearnOutput:
    """Return offline IQLearn: eq. 14 of arXiv 2409.01369.

    Two rows over two actions, targets 0 and 1, λ = 0.1, γ = 1, V_term = 0:

        logits [[0, 0], [ln 3, 0]]:  V = (ln 2, ln 4),  Q = (0, 0)
        -log π = (ln 2, ln 4),  r = (0 - ln 4, 0 - 0)
        L = (ln 2 + ln 4) / 2 + 0.1 (ln 4)² / 2 = 1.0397208 + 0.0960906

    >>> import math
    >>> z = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    >>> round(float(iqlearn_loss(z, torch.tensor([0, 1]), td_weight=0.1).loss), 5)
    1.13581

    Args:
        logits: Shape (T, V) or (B, T, V), any float type; computed in float32 or float64.
        targets: Token taken in each row, IGNORE (-100) if not scored. Shape (T,) or (B, T).
        td_weight: λ ≥ 0, the weight of the temporal-difference term.
        discount: γ in [0, 1], per transition.
        successor: Row of the next state in the flattened batch, TERMINAL or UNKNOWN, shape of
            `targets`. By default the next scored row of the sequence, and TERMINAL after the last.
        terminal_value: V of the state after an episode ends, in the units of logits.
        temperature: τ > 0 of the soft value.
        divergence: Which f-divergence between occupancies is minimised; see `penalty`.
        semi_gradient: Treat V(s') as a constant in the temporal-difference term.
        normalizer: What to divide the sum over rows by; by default the number of scored rows.

    Returns:
        The loss and its metrics. With no scored row the loss is zero.

    Raises:
        ValueError: Shapes do not agree or a parameter is out of range.
    """
    rows = soft_rows(
        logits,
        targets,
        discount=discount,
        successor=successor,
        terminal_value=terminal_value,
        temperature=temperature,
        td_weight=td_weight,
    )
    reward = rows.reward
    if semi_gradient:
        reward = rows.q - (rows.q - reward).detach()
    regulariser = penalty(reward, td_weight=td_weight, divergence=divergence)
    nll = (rows.value - rows.q) / temperature
    total = torch.where(rows.scored, nll + torch.where(rows.known, regulariser, 0.0), 0.0).sum()
    return IQLearnOutput(
        loss=total / _denominator(rows, normalizer),
        metrics=rows.metrics(td_weight=td_weight, temperature=temperature),
    )


def mixture_loss(
    logits: Tensor,
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
) -> IQLearnOutput:
    """Return IQLearn on a mixture of expert and other rows (eq. 16 of arXiv 2409.01369).

    The saddle point before telescoping, one weight per row and term:

        L = Σ_t [ -w^E_t r_t / τ + w^V_t (V_t - γ V_{t+1}) / τ + λ w^R_t r_t² ] / normalizer

    The initial-value term of inverse soft-Q learning, (1-γ) E[V(s_0)], equals E_μ[V - γ V'] for
    every occupancy μ; w^V says on which rows. Offline, all three weights are the mask, V' cancels
    and `iqlearn_loss` remains. Online, w^E is the mask of expert rows, w^V and w^R that of all.
    Where the next state is UNKNOWN, V' counts as the constant 0 and the r² term is dropped.

    The two rows of `iqlearn_loss`, r = (-ln 4, 0), the first now the model's own:
    w^E = (0, 1), w^V = w^R = (1, 1), so that
    L = [0 + (ln 2 - ln 4) + (ln 4 - 0) + 0.1 (ln 4)²] / 2 = (0.6931472 + 0.1921812) / 2

    >>> import math
    >>> z, every = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]]), torch.ones(2)
    >>> weights = {"expert_weight": torch.tensor([0.0, 1.0]), "value_weight": every}
    >>> weights |= {"td_row_weight": every, "td_weight": 0.1}
    >>> round(float(mixture_loss(z, torch.tensor([0, 1]), **weights).loss), 5)
    0.44266

    Args:
        logits: Shape (T, V) or (B, T, V).
        targets: Token taken in each row, IGNORE where it is not scored. Shape (T,) or (B, T).
        expert_weight: w^E, shape of `targets`.
        value_weight: w^V, shape of `targets`.
        td_row_weight: w^R, shape of `targets`.
        td_weight: λ ≥ 0.
        discount: γ in [0, 1].
        successor: As in `iqlearn_loss`.
        terminal_value: As in `iqlearn_loss`.
        temperature: τ > 0.
        normalizer: What to divide by; by default the number of scored rows.

    Returns:
        The loss and its metrics over all scored rows.

    Raises:
        ValueError: Shapes do not agree or a parameter is out of range.
    """
    rows = soft_rows(
        logits,
        targets,
        discount=discount,
        successor=successor,
        terminal_value=terminal_value,
        temperature=temperature,
        td_weight=td_weight,
    )
    next_value = rows.q - rows.reward
    per_row = (
        -expert_weight.flatten() * rows.reward / temperature
        + value_weight.flatten() * (rows.value - next_value) / temperature
        + td_weight * td_row_weight.flatten() * torch.where(rows.known, rows.reward.square(), 0.0)
    )
    total = torch.where(rows.scored, per_row, 0.0).sum()
    return IQLearnOutput(
        loss=total / _denominator(rows, normalizer),
        metrics=rows.metrics(td_weight=td_weight, temperature=temperature),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftRows:
    """Per-row scalars of a batch, all of shape (N,) over the flattened rows.

    Attributes:
        q: Q(s, a) of the action taken; undefined where not scored.
        value: V(s).
        reward: r = Q - γ V(s'); with V(s') = 0 where the next state is UNKNOWN.
        scored: The row has a target.
        known: The row has a next state, or ends the episode.
        successor: Row of the next state.
        correct: The most likely action is the one taken.
    """

    q: Tensor
    value: Tensor
    reward: Tensor
    scored: Tensor
    known: Tensor
    successor: Tensor
    correct: Tensor

    def metrics(self, *, td_weight: float, temperature: float) -> IQLearnMetrics:
        """Return the sums that the batch adds to the metrics."""
        q, value, reward = self.q.detach(), self.value.detach(), self.reward.detach()
        follows = torch.zeros_like(self.scored).scatter_reduce(
            0, self.successor.clamp_min(0), self.scored & (self.successor >= 0), "amax"
        )
        initial = self.scored & ~follows
        terminal = self.scored & (self.successor == TERMINAL)
        td_rows = self.scored & self.known
        limit = 1 / (2 * td_weight) if td_weight else float("inf")
        terms = (
            (self.scored, 1.0),
            (td_rows, 1.0),
            (initial, 1.0),
            (terminal, 1.0),
            (self.scored, (value - q) / temperature),
            (td_rows, reward),
            (td_rows, reward.square()),
            (self.scored, value),
            (initial, value),
            (terminal, value),
            (td_rows & (reward > limit), 1.0),
            (self.scored & self.correct, 1.0),
        )
        zero = value.new_zeros(())
        return IQLearnMetrics(
            sums=torch.stack([torch.where(where, term, zero).sum() for where, term in terms])
        )


def soft_rows(
    logits: Tensor,
    targets: Tensor,
    *,
    discount: float = 1.0,
    successor: Tensor | None = None,
    terminal_value: float | Tensor = 0.0,
    temperature: float = 1.0,
    td_weight: float = 0.0,
) -> SoftRows:
    """Return Q, V and r of each row from its logits; shapes as in `iqlearn_loss`.

    Raises:
        ValueError: Shapes do not agree or a parameter is out of range; `td_weight` is only checked.
    """
    check(logits, targets, discount=discount, temperature=temperature, td_weight=td_weight)
    successor = next_scored(targets) if successor is None else successor
    logits = logits.flatten(0, -2)
    if logits.dtype != torch.float64:
        logits = logits.float()
    action = targets.flatten().clamp_min(0)
    value = temperature * torch.logsumexp(logits / temperature, dim=-1)
    q = logits.gather(-1, action[:, None])[:, 0]
    return rows_from_values(
        q,
        value,
        targets=targets.flatten(),
        successor=successor.flatten(),
        correct=logits.detach().argmax(-1) == action,
        discount=discount,
        terminal_value=terminal_value,
    )


def rows_from_values(
    q: Tensor,
    value: Tensor,
    *,
    targets: Tensor,
    successor: Tensor,
    correct: Tensor,
    discount: float,
    terminal_value: float | Tensor,
) -> SoftRows:
    """Return the rows of a batch whose Q and V are already known; all shapes (N,)."""
    terminal = torch.as_tensor(terminal_value, dtype=value.dtype, device=value.device)
    next_value = torch.where(successor == TERMINAL, terminal, value[successor.clamp_min(0)])
    known = successor != UNKNOWN
    return SoftRows(
        q=q,
        value=value,
        reward=q - discount * torch.where(known, next_value, 0.0),
        scored=targets != IGNORE,
        known=known,
        successor=successor,
        correct=correct,
    )


def check(
    rows: Tensor,
    targets: Tensor,
    *,
    discount: float = 1.0,
    temperature: float = 1.0,
    td_weight: float = 0.0,
) -> None:
    """Raise ValueError when shapes or types do not agree or a parameter is out of range.

    Every loss and reward comes through here, on logits and on hidden states.
    """
    if rows.dim() not in {2, 3} or rows.shape[:-1] != targets.shape:
        msg = (
            f"rows of shape {tuple(rows.shape)} do not fit targets of shape "
            f"{tuple(targets.shape)}: they must be (T, ...) with (T,) or (B, T, ...) with (B, T)"
        )
        raise ValueError(msg)
    if targets.dtype != torch.int64:
        raise ValueError(f"targets are {targets.dtype}; they must be torch.int64")
    limits = (
        ("td_weight", td_weight, td_weight >= 0, "at least 0"),
        ("discount", discount, 0 <= discount <= 1, "between 0 and 1"),
        ("temperature", temperature, temperature > 0, "positive"),
    )
    for name, value, holds, rule in limits:
        if not holds:
            raise ValueError(f"{name} is {value}; it must be {rule}")


def _denominator(rows: SoftRows, normalizer: float | Tensor | None) -> float | Tensor:
    return rows.scored.sum().clamp_min(1) if normalizer is None else normalizer


def _ratio(total: float, count: float) -> float:
    return total / count if count else float("nan")
