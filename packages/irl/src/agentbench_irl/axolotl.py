"""IQLearn as a plugin of axolotl, on the logits.

    plugins:
      - agentbench_irl.axolotl.IQLearnPlugin
    iqlearn:
      td_weight: 0.1
      terminal_value: 12.0     # V after the end; without it, ends have no temporal-difference term

Texts that axolotl packs into a row are told apart by their position ids. Settings under which the
logits or the borders between texts are not there to be read are refused.

This module imports axolotl, which this package does not depend on.
"""
# axolotl and transformers annotate their classes in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingImports=false, reportUntypedBaseClass=false

import functools
from collections.abc import Mapping
from typing import Annotated, Any, cast

from axolotl.integrations.base import BasePlugin
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agentbench_irl.compatibility import IQLearnLossFunction
from agentbench_irl.errors import ConfigError

# without logits, with a loss of their own, or with texts that cannot be told apart
_CONTRADICTIONS = (
    "chunked_cross_entropy",
    "cut_cross_entropy",
    "liger_fused_linear_cross_entropy",
    "rl",
    "squash_position_ids",
    "use_eaft",
)


class IQLearnSettings(BaseModel):
    """The block `iqlearn:` of axolotl's YAML.

    Attributes:
        td_weight: λ.
        discount: γ.
        temperature: τ.
        terminal_value: V after the end; None leaves ends out of the temporal-difference term.
        end_token: Ends a text; by default the tokenizer's end-of-sequence token.
    """

    model_config = ConfigDict(extra="forbid")

    td_weight: Annotated[float, Field(ge=0)] = 0.1
    discount: Annotated[float, Field(ge=0, le=1)] = 1.0
    temperature: Annotated[float, Field(gt=0)] = 1.0
    terminal_value: float | None = None
    end_token: str | None = None


class IQLearnArgs(BaseModel):
    """What the plugin adds to axolotl's configuration.

    Attributes:
        iqlearn: Without the block, the plugin does nothing.
    """

    iqlearn: IQLearnSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def refuse_contradictions(cls, data: Any) -> Any:  # noqa: ANN401 - what pydantic passes on
        """Raise ValueError where another setting takes away what the loss needs."""
        given = cast("Mapping[str, Any]", data)
        if given.get("iqlearn") is not None:
            wrong = [name for name in _CONTRADICTIONS if given.get(name)]
            if wrong:
                raise ValueError(f"iqlearn cannot be used with {', '.join(wrong)}; remove one")
        return data


class IQLearnPlugin(BasePlugin):
    """axolotl's plugin protocol; name it in `plugins:`."""

    def get_input_args(self) -> str:
        """Return the name of the class with the plugin's settings."""
        return f"{__name__}.{IQLearnArgs.__name__}"

    def get_trainer_cls(self, cfg: Any) -> type | None:  # noqa: ANN401 - axolotl's configuration
        """Return axolotl's trainer with packed rows told apart; None without `iqlearn:`."""
        return None if cfg.iqlearn is None else _trainer_class()

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:  # noqa: ANN401 - axolotl's own
        """Give the trainer its loss.

        Raises:
            ConfigError: The tokenizer has no token that ends a text.
        """
        if cfg.iqlearn is None:
            return
        settings = IQLearnSettings.model_validate(dict(cfg.iqlearn))
        trainer.compute_loss_func = IQLearnLossFunction(
            td_weight=settings.td_weight,
            discount=settings.discount,
            temperature=settings.temperature,
            terminal_value=settings.terminal_value,
            end=_end_token(trainer.processing_class, settings.end_token),
        )


def _end_token(tokenizer: Any, name: str | None) -> int:  # noqa: ANN401 - any tokenizer
    found = tokenizer.eos_token_id if name is None else tokenizer.get_vocab().get(name)
    if found is None:
        what = "an end-of-sequence token" if name is None else f"a token {name!r}"
        raise ConfigError(f"the tokenizer has no {what}; set end_token under iqlearn")
    return int(found)


@functools.cache
def _trainer_class() -> type:
    from axolotl.core.trainers.base import AxolotlTrainer

    class AxolotlIQLearnTrainer(AxolotlTrainer):
        def compute_loss(self, model: Any, inputs: dict[str, Any], **options: Any) -> Any:  # noqa: ANN401
            loss = self.compute_loss_func
            positions = inputs.get("position_ids")
            self.compute_loss_func = functools.partial(loss, position_ids=positions)
            try:
                return super().compute_loss(model, inputs, **options)
            finally:
                self.compute_loss_func = loss

    return AxolotlIQLearnTrainer
