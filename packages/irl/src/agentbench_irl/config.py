"""What a training run is asked to do."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import TrainingArguments

from agentbench_irl.errors import ConfigError

LossType = Literal["iqlearn", "mle", "gem", "dft"]


@dataclass
class IQLearnConfig(TrainingArguments):  # pyright: ignore[reportGeneralTypeIssues]
    """Arguments of `IQLearnTrainer`: those of transformers, and the ones below.

    Fields that TRL's `SFTConfig` also has keep its names and meanings. Two defaults differ from it:
    `assistant_only_loss` is True, because what users and tools write is part of the environment,
    and `gradient_checkpointing` is off, as in transformers.
    """

    learning_rate: float = field(default=2e-5, metadata={"help": "Initial learning rate."})
    logging_steps: float = field(default=10, metadata={"help": "Log every so many updates."})
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Has no effect: the collator makes the columns."}
    )

    loss_type: LossType = field(
        default="iqlearn",
        metadata={"help": "iqlearn, or a baseline: mle (with entropy_weight), gem, dft."},
    )
    td_weight: float = field(
        default=0.1,
        metadata={"help": "λ, the weight of the squared reward; 0 is maximum likelihood."},
    )
    discount: float = field(default=1.0, metadata={"help": "γ, per transition."})
    temperature: float = field(default=1.0, metadata={"help": "τ of the soft value."})
    # None comes last so that transformers' argument parser reads the flag as text
    terminal_value: float | str | None = field(
        default="auto",
        metadata={
            "help": "Value of the state after the end: a number; 'auto', the mean value of the "
            "last states in the first batch; or 'exclude', no temporal-difference term there."
        },
    )
    divergence: Literal["chi2", "hellinger", "js", "kl"] = field(
        default="chi2", metadata={"help": "Which divergence between occupancies is minimised."}
    )
    semi_gradient: bool = field(
        default=False, metadata={"help": "Treat the next value as a constant in the TD term."}
    )
    entropy_weight: float = field(
        default=0.0, metadata={"help": "Entropy bonus of the mle baseline."}
    )
    gem_beta: float = field(default=0.7, metadata={"help": "β of the gem baseline."})

    loss_backend: Literal["auto", "linear", "torch", "cuda", "logits"] = field(
        default="auto",
        metadata={
            "help": "linear never holds all logits, in torch or in CUDA; logits does. auto: linear "
            "where the loss and the head allow it."
        },
    )
    logits_mib: float | None = field(
        default=None, metadata={"help": "Size in MiB of the chunk of logits that linear holds."}
    )

    online_mixin: float = field(
        default=0.0,
        metadata={"help": "α, the share of the model's own samples in the online objective."},
    )
    online_max_new_tokens: int = field(
        default=128, metadata={"help": "Longest of the model's own samples."}
    )

    model_init_kwargs: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Arguments of from_pretrained, where the model is a name."}
    )
    chat_template_path: str | None = field(
        default=None, metadata={"help": "A Jinja file that replaces the tokenizer's chat template."}
    )
    dataset_text_field: str = field(
        default="text", metadata={"help": "Column of plain-text examples."}
    )
    max_length: int | None = field(
        default=1024, metadata={"help": "Longest text in tokens; longer ones are cut at the end."}
    )
    packing: bool = field(
        default=False, metadata={"help": "Put several texts into one row of max_length tokens."}
    )
    padding_free: bool = field(
        default=False, metadata={"help": "Lay a batch out as one long row, without padding."}
    )
    eval_packing: bool | None = field(
        default=None, metadata={"help": "Whether to pack for evaluation; as packing if unset."}
    )
    pad_to_multiple_of: int | None = field(
        default=None, metadata={"help": "Round the length of a batch up to a multiple of this."}
    )
    completion_only_loss: bool | None = field(
        default=None,
        metadata={"help": "Score only the completion; unset: where examples have a prompt."},
    )
    assistant_only_loss: bool = field(
        default=True, metadata={"help": "Score only what the assistant wrote in messages."}
    )

    def __post_init__(self) -> None:
        """Check the fields that this class adds.

        Raises:
            ConfigError: A value is out of range, or two contradict each other.
        """
        super().__post_init__()
        self.dataloader_pin_memory = self.dataloader_pin_memory and self.device.type != "cpu"
        self.terminal_value = _terminal_value(self.terminal_value)
        limits = (
            ("td_weight", self.td_weight >= 0, "at least 0"),
            ("discount", 0 <= self.discount <= 1, "between 0 and 1"),
            ("temperature", self.temperature > 0, "positive"),
            ("entropy_weight", self.entropy_weight >= 0, "at least 0"),
            ("online_mixin", 0 <= self.online_mixin < 1, "at least 0 and less than 1"),
            ("gem_beta", self.gem_beta > 0, "positive"),
            ("max_length", self.max_length is None or self.max_length >= 2, "at least 2"),
        )
        for name, holds, rule in limits:
            if not holds:
                msg = f"{name} is {getattr(self, name)}; it must be {rule}"
                raise ConfigError(msg)
        if self.label_smoothing_factor:
            msg = "label_smoothing_factor is not part of any loss here; leave it at 0"
            raise ConfigError(msg)
        if self.packing and self.max_length is None:
            msg = "packing needs max_length, the length of a row"
            raise ConfigError(msg)
        if self.entropy_weight and self.loss_type != "mle":
            msg = f"entropy_weight belongs to loss_type 'mle', not {self.loss_type!r}"
            raise ConfigError(msg)


def _terminal_value(value: float | str | None) -> float | str:
    if value is None:
        return "exclude"
    if value in {"auto", "exclude"}:
        return value
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f"terminal_value is {value!r}; it must be a finite number, 'auto' or 'exclude'"
        raise ConfigError(msg)
    return number
