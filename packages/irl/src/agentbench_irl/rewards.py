"""Rewards that a trained model holds in its logits: r(s, a) = Q(s, a) - γ V(s').

What a total can and cannot say. At γ = 1 the rewards of one finished text telescope,

    Σ_t r_t = log π(y|x) + V(s_0) - V_term,

and V(s_0) depends on the prompt alone. *Within one prompt* the sum therefore ranks completions
exactly as the likelihood does, whatever the training did; across prompts, and with γ < 1, it does
not. What is not subject to the identity: single rewards (`min`, `last`, or the dense r_t as a
training signal), `mean`, and a total relative to another checkpoint (`baseline`), whose sum ranks
as the likelihood ratio.
"""
# torch and transformers annotate models in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from agentbench_irl.collator import Collator
from agentbench_irl.config import IQLearnConfig
from agentbench_irl.data import Sample, make_samples
from agentbench_irl.losses import soft_rows
from agentbench_irl.reward_scale import RewardScale

Total = Literal["sum", "mean", "min", "last"]


def token_rewards(
    logits: Tensor,
    targets: Tensor,
    *,
    discount: float = 1.0,
    successor: Tensor | None = None,
    terminal_value: float | Tensor = 0.0,
    temperature: float = 1.0,
) -> Tensor:
    """Return r(s, a) = Q(s, a) - γ V(s') of each row.

    >>> import math
    >>> z = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    >>> token_rewards(z, torch.tensor([0, 0]))  # (0 - ln 4, ln 3 - 0)
    tensor([-1.3863,  1.0986])

    Args:
        logits: Shape (T, V) or (B, T, V).
        targets: Token taken in each row, IGNORE where it is not scored. Shape (T,) or (B, T).
        discount: γ.
        successor: As in `iqlearn_loss`.
        terminal_value: V after the end.
        temperature: τ.

    Returns:
        Shape of `targets`; NaN where a row is not scored or its next state is unknown.

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
    )
    reward = rows.reward.masked_fill(~(rows.scored & rows.known), torch.nan)
    return reward.view(targets.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextReward:
    """The rewards of one text, one entry per scored token.

    Attributes:
        tokens: Token ids, shape (K,).
        rewards: r_t, shape (K,); NaN where the next state is unknown.
        log_probs: log π(a_t|s_t), shape (K,), nats.
        entropies: H(π(·|s_t)), shape (K,), nats.
        initial_value: V of the first state.
    """

    tokens: Tensor
    rewards: Tensor
    log_probs: Tensor
    entropies: Tensor
    initial_value: float

    def total(self, how: Total = "sum") -> float:
        """Return one number for the text, from the rewards that are known."""
        known = self.rewards[~self.rewards.isnan()]
        if not len(known):
            return float("nan")
        match how:
            case "sum":
                return float(known.sum())
            case "mean":
                return float(known.mean())
            case "min":
                return float(known.min())
            case "last":
                return float(known[-1])

    def relative_to(self, baseline: "TextReward") -> "TextReward":
        """Return the same text with each reward and log-probability less the baseline's."""
        return dataclasses.replace(
            self,
            rewards=self.rewards - baseline.rewards,
            log_probs=self.log_probs - baseline.log_probs,
            initial_value=self.initial_value - baseline.initial_value,
        )


def text_rewards(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Mapping[str, Any]],
    *,
    scale: RewardScale | None = None,
    baseline: nn.Module | None = None,
    max_length: int | None = None,
    batch_size: int = 8,
) -> Iterator[TextReward]:
    """Return the rewards of examples, in their order.

    Args:
        model: Trained with IQLearn, or any other: every softmax has rewards.
        tokenizer: Of the model.
        examples: As for training; see `data`.
        scale: What was saved beside the model; γ = 1, τ = 1 and V_term = 0 by default.
        baseline: Another model over the same vocabulary, an earlier checkpoint for example, whose
            rewards are taken off.
        max_length: Longest text in tokens.
        batch_size: Texts per forward pass.

    Yields:
        One result per example.

    Raises:
        DataError: An example is malformed or has nothing to score.
    """
    scale = RewardScale() if scale is None else scale
    config = IQLearnConfig(output_dir="unused", max_length=max_length, terminal_value=0.0)
    encoder_decoder = bool(cast("Any", model).config.is_encoder_decoder)
    samples = [
        sample
        for example in examples
        for sample in make_samples([example], tokenizer, config, encoder_decoder=encoder_decoder)
    ]
    start = getattr(cast("Any", model).config, "decoder_start_token_id", None)
    collator = Collator(
        pad_token_id=int(cast("Any", tokenizer.pad_token_id or 0)),
        decoder_start_token_id=(start or 0) if encoder_decoder else None,
    )
    for first in range(0, len(samples), batch_size):
        batch = samples[first : first + batch_size]
        found = _batch_rewards(model, batch, collator, scale)
        if baseline is None:
            yield from found
            continue
        reference = _batch_rewards(baseline, batch, collator, scale)
        yield from (one.relative_to(other) for one, other in zip(found, reference, strict=True))


def rerank(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str | Sequence[Mapping[str, Any]],
    candidates: Sequence[str],
    *,
    total: Total = "mean",
    scale: RewardScale | None = None,
    baseline: nn.Module | None = None,
) -> list[int]:
    """Return the candidates' indices, best first.

    `total="sum"` at γ = 1 without a baseline is likelihood ranking; see the module.

    Args:
        model: Where the rewards come from.
        tokenizer: Of the model.
        prompt: What all candidates answer; a string or messages.
        candidates: n completions.
        total: How a text's rewards become one number.
        scale: As in `text_rewards`.
        baseline: As in `text_rewards`.

    Raises:
        DataError: The prompt or a candidate is malformed.
    """
    examples: list[dict[str, Any]] = [
        {"prompt": prompt, "completion": text}
        if isinstance(prompt, str)
        else {
            "prompt": list(prompt),
            "completion": [{"role": "assistant", "content": text}],
        }
        for text in candidates
    ]
    found = text_rewards(model, tokenizer, examples, scale=scale, baseline=baseline)
    totals = [text.total(total) for text in found]
    return sorted(range(len(totals)), key=lambda index: -totals[index])


def _batch_rewards(
    model: nn.Module, samples: Sequence[Sample], collator: Collator, scale: RewardScale
) -> list[TextReward]:
    device = next(model.parameters()).device
    batch = {name: t.to(device) for name, t in collator([(one,) for one in samples]).items()}
    targets, successor = batch.pop("targets"), batch.pop("successor")
    batch.pop("rows")
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(**batch, use_cache=False).logits
    model.train(training)
    rows = soft_rows(
        logits,
        targets,
        discount=scale.discount,
        successor=successor,
        terminal_value=scale.terminal_value or 0.0,
        temperature=scale.temperature,
    )
    shape = targets.shape
    reward = rows.reward.masked_fill(~rows.known, torch.nan).view(shape).cpu()
    log_prob = ((rows.q - rows.value) / scale.temperature).view(shape).cpu()
    value, scored = rows.value.view(shape).cpu(), rows.scored.view(shape).cpu()
    entropy = torch.distributions.Categorical(logits=logits.float(), validate_args=False).entropy()
    tokens, entropy = targets.cpu(), entropy.cpu()
    return [
        TextReward(
            tokens=tokens[i][mask],
            rewards=reward[i][mask],
            log_probs=log_prob[i][mask],
            entropies=entropy[i][mask],
            initial_value=float(value[i][mask][0]),
        )
        for i, mask in enumerate(scored.unbind())
    ]
