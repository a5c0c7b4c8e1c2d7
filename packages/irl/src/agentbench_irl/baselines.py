"""The fine-tuning losses that IQLearn is compared with, on the same rows.

Each returns the metrics of `iqlearn_loss`, since a reward can be read off any logits.
"""

import torch
from torch import Tensor

from agentbench_irl.losses import IQLearnOutput, SoftRows, soft_rows


def mle_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    entropy_weight: float = 0.0,
    successor: Tensor | None = None,
    terminal_value: float | Tensor = 0.0,
    normalizer: float | Tensor | None = None,
) -> IQLearnOutput:
    """Return maximum likelihood with an entropy bonus: mean of -log π(a|s) - η H(π(·|s)).

    The paper's baseline (arXiv 2409.01369, section 4). One row of two equal logits, η = 1/2:
    ln 2 - ln 2 / 2.

    >>> loss = mle_loss(torch.zeros(1, 2), torch.tensor([0]), entropy_weight=0.5).loss
    >>> round(float(loss), 5)
    0.34657

    Args:
        logits: Shape (T, V) or (B, T, V).
        targets: Shape (T,) or (B, T), IGNORE where a row is not scored.
        entropy_weight: η ≥ 0; H in nats.
        successor: Only for the metrics; as in `iqlearn_loss`.
        terminal_value: Only for the metrics.
        normalizer: As in `iqlearn_loss`.

    Returns:
        The loss and its metrics.

    Raises:
        ValueError: Shapes do not agree.
    """
    rows, log_policy = _policy(logits, targets, successor, terminal_value)
    loss = rows.value - rows.q
    if entropy_weight:
        entropy = -(log_policy.exp() * log_policy).sum(-1)
        loss = loss - entropy_weight * entropy
    return _mean(loss, rows, normalizer)


def gem_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    beta: float = 0.7,
    successor: Tensor | None = None,
    terminal_value: float | Tensor = 0.0,
    normalizer: float | Tensor | None = None,
) -> IQLearnOutput:
    """Return GEM with the linear h: mean of Σ_a q(a) log π(a|s) - log π(a*|s).

    q = softmax(logits / β) is held constant, so that for β < 1 probability is taken from what the
    model already likes best and given to the data (arXiv 2408.16673). At π = (3/4, 1/4), β = 1 and
    a* the second: 3/4 ln 3/4 + 1/4 ln 1/4 + ln 4.

    >>> z = torch.tensor([[3.0, 1.0]]).log()
    >>> round(float(gem_loss(z, torch.tensor([1]), beta=1.0).loss), 5)
    0.82396

    Args:
        logits: Shape (T, V) or (B, T, V).
        targets: Shape (T,) or (B, T), IGNORE where a row is not scored.
        beta: β > 0.
        successor: Only for the metrics; as in `iqlearn_loss`.
        terminal_value: Only for the metrics.
        normalizer: As in `iqlearn_loss`.

    Returns:
        The loss and its metrics.

    Raises:
        ValueError: Shapes do not agree, or β is not positive.
    """
    if not beta > 0:
        msg = f"beta is {beta}; it must be positive"
        raise ValueError(msg)
    rows, log_policy = _policy(logits, targets, successor, terminal_value)
    # softmax(log π / β) = softmax(logits / β): they differ by a constant per row
    sharpened = torch.softmax(log_policy.detach() / beta, -1)
    loss = (sharpened * log_policy).sum(-1) + rows.value - rows.q
    return _mean(loss, rows, normalizer)


def dft_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    successor: Tensor | None = None,
    terminal_value: float | Tensor = 0.0,
    normalizer: float | Tensor | None = None,
) -> IQLearnOutput:
    """Return dynamic fine-tuning: mean of -sg[π(a|s)] log π(a|s) (arXiv 2508.05629).

    At π(a|s) = 3/4: -3/4 ln 3/4.

    >>> z = torch.tensor([[3.0, 1.0]]).log()
    >>> round(float(dft_loss(z, torch.tensor([0])).loss), 5)
    0.21576

    Args:
        logits: Shape (T, V) or (B, T, V).
        targets: Shape (T,) or (B, T), IGNORE where a row is not scored.
        successor: Only for the metrics; as in `iqlearn_loss`.
        terminal_value: Only for the metrics.
        normalizer: As in `iqlearn_loss`.

    Returns:
        The loss and its metrics.

    Raises:
        ValueError: Shapes do not agree.
    """
    rows, _ = _policy(logits, targets, successor, terminal_value)
    nll = rows.value - rows.q
    return _mean((-nll).exp().detach() * nll, rows, normalizer)


def _policy(
    logits: Tensor, targets: Tensor, successor: Tensor | None, terminal_value: float | Tensor
) -> tuple[SoftRows, Tensor]:
    rows = soft_rows(logits, targets, successor=successor, terminal_value=terminal_value)
    wide = logits.flatten(0, -2).to(rows.value.dtype)
    return rows, wide - rows.value[:, None]


def _mean(loss: Tensor, rows: SoftRows, normalizer: float | Tensor | None) -> IQLearnOutput:
    total = torch.where(rows.scored, loss, 0.0).sum()
    return IQLearnOutput(
        loss=total / (rows.scored.sum().clamp_min(1) if normalizer is None else normalizer),
        metrics=rows.metrics(td_weight=0.0, temperature=1.0),
    )
