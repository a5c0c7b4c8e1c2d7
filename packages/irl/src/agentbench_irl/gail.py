"""Generative adversarial imitation, with the machinery of RLHF. Experimental.

A discriminator learns to tell the data's answers from the model's (Ho and Ermon 2016); the model is
paid for being taken for the data, by policy gradient with a penalty on leaving a reference model:

    discriminator   min_D  -E_data[log σ(D)] - E_π[log(1 - σ(D))]
    policy          max_π  E_π[D(x, y)] - β KL(π ‖ π_ref) + η H(π) + μ E_data[log π]

D, the logit, is the reward (log σ(D) - log(1 - σ(D)), as in AIRL). The paper that this package
follows could not stabilise GAIL on its larger models (arXiv 2409.01369); start from a model that
was fine-tuned on the data, and prefer IQLearn.
"""
# torch and transformers annotate their classes in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from agentbench_irl.collator import Collator
from agentbench_irl.data import Sample
from agentbench_irl.online import own_samples
from agentbench_irl.transitions import IGNORE


@dataclass(frozen=True, slots=True, kw_only=True)
class GAILConfig:
    """How adversarial imitation runs.

    Attributes:
        steps: Updates, each of discriminator and policy.
        batch_size: Prompts per update.
        learning_rate: Of the policy (AdamW).
        discriminator_learning_rate: Of the discriminator (AdamW).
        kl_weight: β, per token in nats.
        entropy_weight: η, per token in nats.
        mle_weight: μ.
        max_new_tokens: Longest answer.
        seed: Of the order of the data.
    """

    steps: int
    batch_size: int = 16
    learning_rate: float = 1e-5
    discriminator_learning_rate: float = 1e-4
    kl_weight: float = 0.05
    entropy_weight: float = 0.0
    mle_weight: float = 0.0
    max_new_tokens: int = 128
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GAILStep:
    """What one update saw.

    Attributes:
        reward: Mean D of the model's answers, before the update.
        discriminator_accuracy: Share of both kinds that it told right, before the update.
        kl: Mean over own tokens of log π - log π_ref.
        entropy: Mean entropy of the policy on its own tokens.
    """

    reward: float
    discriminator_accuracy: float
    kl: float
    entropy: float


class Discriminator(nn.Module):
    """A decoder's body with one number at the last token of a text."""

    def __init__(self, language_model: nn.Module) -> None:
        super().__init__()
        self.body = copy.deepcopy(cast("Any", language_model).base_model)
        self.score = nn.Linear(int(cast("Any", language_model).config.hidden_size), 1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the logit that each text is the data's, shape (B,)."""
        hidden = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        last = attention_mask.sum(-1) - 1
        return self.score(hidden[torch.arange(len(last)), last])[:, 0].float()


def train_gail(
    policy: nn.Module,
    discriminator: nn.Module,
    samples: Sequence[Sample],
    config: GAILConfig,
    *,
    pad_token_id: int,
    end: int,
) -> Iterator[GAILStep]:
    """Train a policy and a discriminator in place, one update per step of the iterator.

    Args:
        policy: A causal language model; where it is now is the reference.
        discriminator: As `Discriminator`.
        samples: The data, from `make_samples`.
        config: How.
        pad_token_id: What fills a batch.
        end: End-of-text token.

    Yields:
        One record per update.
    """
    reference = copy.deepcopy(policy).eval()
    device = next(policy.parameters()).device
    collator = Collator(pad_token_id=pad_token_id)
    steps_policy = torch.optim.AdamW(policy.parameters(), lr=config.learning_rate)
    steps_critic = torch.optim.AdamW(
        discriminator.parameters(), lr=config.discriminator_learning_rate
    )
    order = torch.Generator().manual_seed(config.seed)
    for _ in range(config.steps):
        chosen = torch.randint(len(samples), (config.batch_size,), generator=order)
        expert = [samples[int(index)] for index in chosen]
        own = own_samples(
            policy,
            expert,
            collator=collator,
            end=end,
            max_new_tokens=config.max_new_tokens,
            device=device,
        )
        real, fake = _inputs(expert, collator, device), _inputs(own, collator, device)
        judged = discriminator(**_read(real)), discriminator(**_read(fake))
        steps_critic.zero_grad()
        (softplus(-judged[0]).mean() + softplus(judged[1]).mean()).backward()
        steps_critic.step()

        reward = judged[1].detach()
        log_prob, entropy, mask = _log_probs(policy, fake)
        with torch.no_grad():
            kl = (log_prob - _log_probs(reference, fake)[0]) * mask
        # the penalty is part of the reward, so that REINFORCE has its whole gradient
        value = reward - config.kl_weight * kl.sum(-1)
        advantage = (value - value.mean()) / (value.std() + 1e-6)
        tokens = mask.sum()
        objective = (advantage[:, None] * log_prob * mask).sum() / tokens
        objective = objective + config.entropy_weight * (entropy * mask).sum() / tokens
        if config.mle_weight:
            expert_log_prob, _, expert_mask = _log_probs(policy, real)
            likelihood = (expert_log_prob * expert_mask).sum() / expert_mask.sum()
            objective = objective + config.mle_weight * likelihood
        steps_policy.zero_grad()
        (-objective).backward()
        nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        steps_policy.step()
        right = torch.cat([judged[0] > 0, judged[1] < 0]).float().mean()
        yield GAILStep(
            reward=float(reward.mean()),
            discriminator_accuracy=float(right),
            kl=float(kl.sum() / tokens),
            entropy=float((entropy.detach() * mask).sum() / tokens),
        )


def _inputs(
    samples: Sequence[Sample], collator: Collator, device: torch.device
) -> dict[str, Tensor]:
    batch = collator([(sample,) for sample in samples])
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _read(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: batch[name] for name in ("input_ids", "attention_mask")}


def _log_probs(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return log π(a|s), H(π(·|s)) and the mask of scored rows, each (B, T)."""
    policy = torch.log_softmax(model(**_read(batch), use_cache=False).logits.float(), -1)
    mask = batch["targets"] != IGNORE
    log_prob = policy.gather(-1, batch["targets"].clamp_min(0)[..., None])[..., 0]
    return log_prob, -(policy.exp() * policy).sum(-1), mask.float()
