"""Online IQLearn: the same objective on a mixture of the data and the model's own samples.

With share α of own samples, over expert rows E and own rows O (arXiv 2409.01369, eq. 16):

    L = E_E[-r] / τ + (1-α) E_E[(V - γV')/τ + λ r²] + α E_O[(V - γV')/τ + λ r²]

α = 0 is the offline objective. Own samples answer the prompts of the batch: everything before the
last thing that the data's model says. An own sample that reaches `online_max_new_tokens` was cut,
and is bootstrapped.
"""
# torch and transformers annotate their classes in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from agentbench_irl.collator import Collator
from agentbench_irl.config import IQLearnConfig
from agentbench_irl.data import Sample
from agentbench_irl.errors import ConfigError
from agentbench_irl.losses import IQLearnOutput, mixture_loss
from agentbench_irl.trainer import IQLearnTrainer
from agentbench_irl.transitions import IGNORE, decoder_transitions, text_transitions


class OnlineIQLearnTrainer(IQLearnTrainer):
    """`IQLearnTrainer` with the share `args.online_mixin` of the model's own samples.

    Evaluation is offline, on the data. The metrics logged while training are over both.

    Raises:
        ConfigError: A loss, layout or backend that has no online form.
    """

    def __init__(self, model: Any, args: IQLearnConfig, **options: Any) -> None:  # noqa: ANN401 - as IQLearnTrainer
        wrong = {
            "loss_type": args.loss_type != "iqlearn",
            "divergence": args.divergence != "chi2",
            "semi_gradient": args.semi_gradient,
            "packing": args.packing,
            "padding_free": args.padding_free,
            "loss_backend": args.loss_backend not in {"auto", "logits"},
            "fsdp": bool(args.fsdp),
        }
        if any(wrong.values()):
            names = ", ".join(f"{name}={getattr(args, name)!r}" for name in wrong if wrong[name])
            msg = f"online IQLearn does not know {names}"
            raise ConfigError(msg)
        args.loss_backend = "logits"
        super().__init__(model, args, **options)
        self._plain_collator = cast("Collator", self.data_collator)
        self.data_collator = cast("Any", self._collate)
        self._own_scored = torch.ones(())

    def _collate(self, groups: Sequence[tuple[Sample, ...]]) -> dict[str, Any]:
        return {**self._plain_collator(groups), "groups": tuple(groups)}

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        """Return the batches of the next update with own samples added, and the expert's tokens."""
        batches, scored = super().get_batch_samples(epoch_iterator, num_batches, device)
        mixed = [self._mixed(cast("dict[str, Any]", batch), device) for batch in batches]
        own = torch.zeros((), dtype=torch.int64, device=device)
        for batch in mixed:
            own += ((batch["targets"] != IGNORE) & batch["own"][:, None]).sum()
        self._own_scored = self._summed(own)
        return mixed, scored

    def _mixed(self, batch: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
        groups = cast("tuple[tuple[Sample, ...], ...]", batch["groups"])
        model = cast("nn.Module", self.accelerator.unwrap_model(cast("Any", self.model)))
        own = own_samples(
            model,
            [sample for (sample,) in groups],
            collator=self._plain_collator,
            end=cast("int", self.tokenizer.eos_token_id),
            max_new_tokens=self.config_args.online_max_new_tokens,
            device=device,
        )
        if self.config_args.terminal_value == "exclude":
            own = [
                Sample(tokens=one.tokens, rows=one.rows.without_terminal(), source=one.source)
                for one in own
            ]
        mixed = self._plain_collator([*groups, *((one,) for one in own)])
        mixed["own"] = torch.arange(len(groups) + len(own)) >= len(groups)
        return {name: tensor.to(device) for name, tensor in mixed.items()}

    def _forward(
        self, model: nn.Module, inputs: dict[str, Any], normalizer: Tensor | float | None
    ) -> tuple[IQLearnOutput, Tensor | None]:
        inputs = {name: value for name, value in inputs.items() if name != "groups"}
        own = inputs.pop("own", None)
        if own is None or normalizer is None:
            return super()._forward(model, inputs, normalizer)
        args = self.config_args
        targets, successor = inputs.pop("targets"), inputs.pop("successor")
        inputs.pop("rows")
        outputs = model(**inputs, use_cache=False)
        share = args.online_mixin
        by_own = normalizer / (self._own_scored.clamp_min(1) / self._replicas())
        expert = (~own)[:, None].expand_as(targets).float()
        mix = (1 - share) * expert + share * by_own * (1 - expert)
        out = mixture_loss(
            outputs.logits,
            targets,
            expert_weight=expert,
            value_weight=mix,
            td_row_weight=mix,
            td_weight=args.td_weight,
            discount=args.discount,
            successor=successor,
            terminal_value=self.reward_scale.terminal_value or 0.0,
            temperature=args.temperature,
            normalizer=normalizer,
        )
        return out, None


def own_samples(
    model: nn.Module,
    samples: Sequence[Sample],
    *,
    collator: Collator,
    end: int,
    max_new_tokens: int,
    device: torch.device,
) -> list[Sample]:
    """Return what a model says, at temperature 1, to the prompts of samples.

    Args:
        model: A causal or encoder-decoder language model.
        samples: One prompt each: what comes before the last run of scored tokens.
        collator: Knows the padding.
        end: End-of-text token.
        max_new_tokens: Longest answer; a longer one is cut and bootstrapped.
        device: Where to generate.

    Returns:
        One sample per prompt.
    """
    sources = [_prompt(sample) for sample in samples]
    length = max(len(source) for source in sources)
    tokens = torch.full((len(sources), length), collator.pad_token_id)
    mask = torch.zeros_like(tokens)
    left = collator.decoder_start_token_id is None
    for number, source in enumerate(sources):
        where = slice(length - len(source), length) if left else slice(0, len(source))
        tokens[number, where], mask[number, where] = source, 1
    training = model.training
    model.eval()
    with torch.no_grad():
        found = cast("Any", model).generate(
            input_ids=tokens.to(device),
            attention_mask=mask.to(device),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max_new_tokens,
            pad_token_id=collator.pad_token_id,
            eos_token_id=end,
        )
    model.train(training)
    answers = cast("Tensor", found)[:, length if left else 1 :].cpu()
    return [
        _own_sample(source, answer, end=end, decoder_only=left)
        for source, answer in zip(sources, answers, strict=True)
    ]


def _prompt(sample: Sample) -> Tensor:
    if sample.source is not None:
        return sample.source
    scored = sample.rows.targets != IGNORE
    last = int(scored.nonzero()[-1])
    unscored = (~scored[:last]).nonzero()
    first = int(unscored[-1]) + 1 if len(unscored) else 0
    return sample.tokens[: first + 1]


def _own_sample(prompt: Tensor, answer: Tensor, *, end: int, decoder_only: bool) -> Sample:
    ends = (answer == end).nonzero()
    truncated = not len(ends)
    answer = answer if truncated else answer[: int(ends[0]) + 1]
    if not decoder_only:
        rows = decoder_transitions(answer, truncated=truncated)
        return Sample(tokens=answer, rows=rows, source=prompt)
    tokens = torch.cat([prompt, answer])
    scored = torch.arange(len(tokens)) >= len(prompt)
    rows = text_transitions(tokens, scored, truncated=truncated)
    return Sample(tokens=tokens, rows=rows)
