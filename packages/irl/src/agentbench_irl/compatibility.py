"""IQLearn in other people's trainers, on the logits.

`IQLearnLossFunction` is a `compute_loss_func` of transformers and of what builds on it
(LLaMA-Factory, TRL); `IQLearnMixin` goes in front of TRL's `SFTTrainer`, and knows packed rows:

    class Trainer(IQLearnMixin, SFTTrainer):
        iqlearn = IQLearnLossFunction(td_weight=0.1, end=tokenizer.eos_token_id)

Labels alone do not say whether a text was cut. A text whose last label is the end token ended;
any other was cut, and its last transition is left out of the temporal-difference term.
"""
# other trainers' classes are not known here
# pyright: reportUnknownMemberType=false

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from agentbench_irl.losses import iqlearn_loss
from agentbench_irl.transitions import IGNORE, TERMINAL, UNKNOWN, next_scored


@dataclass(frozen=True, slots=True, kw_only=True)
class IQLearnLossFunction:
    """`f(outputs, labels, num_items_in_batch) -> loss`, with labels as transformers has them.

    Attributes:
        td_weight: λ.
        end: Token that ends a text.
        terminal_value: V after the end; None leaves ends out of the temporal-difference term.
        discount: γ.
        temperature: τ.
        shift: Labels are the input tokens (decoder-only); False where they are aligned already
            (encoder-decoder).
    """

    td_weight: float
    end: int
    terminal_value: float | None = None
    discount: float = 1.0
    temperature: float = 1.0
    shift: bool = True

    def __call__(
        self,
        outputs: Any,  # noqa: ANN401 - a model's output
        labels: Tensor,
        num_items_in_batch: Tensor | int | None = None,
        *,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Return the loss.

        Args:
            outputs: Has `logits` of shape (B, T, V).
            labels: Shape (B, T), -100 where not scored.
            num_items_in_batch: Scored tokens of the whole update.
            position_ids: Shape (B, T); start again at 0 at each text of a packed row. Without
                them each row is taken for one text.
        """
        targets = labels
        if self.shift:
            targets = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORE)
        text = None if position_ids is None else (position_ids == 0).cumsum(-1)
        if text is not None:
            # the last row of a text predicts the first token of the next
            ends = torch.nn.functional.pad(text[:, 1:] != text[:, :-1], (0, 1), value=False)
            targets = targets.masked_fill(ends, IGNORE)
        return iqlearn_loss(
            outputs.logits,
            targets,
            td_weight=self.td_weight,
            discount=self.discount,
            successor=self._successor(targets, text),
            terminal_value=self.terminal_value or 0.0,
            temperature=self.temperature,
            normalizer=cast("Tensor | float | None", num_items_in_batch),
        ).loss

    def _successor(self, targets: Tensor, text: Tensor | None) -> Tensor:
        successor = next_scored(targets)
        last = successor == TERMINAL
        if text is not None:
            goes_on = text.flatten()[successor.clamp_min(0)] == text
            last |= (successor >= 0) & ~goes_on
        ended = last & (targets == self.end)
        after_end = UNKNOWN if self.terminal_value is None else TERMINAL
        return successor.masked_fill(last, UNKNOWN).masked_fill(ended, after_end)


class IQLearnMixin:
    """Put before a trainer of TRL or transformers; set `iqlearn` on the class."""

    iqlearn: ClassVar[IQLearnLossFunction]

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401 - the signature of transformers
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - the signature of transformers
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401
        """Return the share of this batch in the loss of the update."""
        inputs = dict(inputs)
        labels = inputs.pop("labels")
        outputs = model(**inputs, use_cache=False)
        loss = self.iqlearn(
            outputs, labels, num_items_in_batch, position_ids=inputs.get("position_ids")
        )
        trainer = cast("Any", self)
        trainer.loss_is_scaled_for_ga = num_items_in_batch is not None
        if num_items_in_batch is not None and trainer.args.average_tokens_across_devices:
            loss = loss * (trainer.accelerator.num_processes // trainer.get_tp_size())
        return (loss, outputs) if return_outputs else loss
