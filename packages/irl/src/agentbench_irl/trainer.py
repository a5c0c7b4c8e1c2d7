"""IQLearn in transformers' training loop."""
# transformers annotates its trainer in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import functools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
)
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from agentbench_irl import card
from agentbench_irl.collator import Collator
from agentbench_irl.config import IQLearnConfig
from agentbench_irl.data import DataSize, make_samples
from agentbench_irl.errors import ConfigError
from agentbench_irl.losses import SUMS, IQLearnMetrics, IQLearnOutput
from agentbench_irl.objective import loss_of_hidden, loss_of_logits
from agentbench_irl.packing import Rows, check_packing, pack
from agentbench_irl.pretrained import (
    check_model,
    is_peft,
    last_checkpoint,
    linear_head,
    load_model,
    tokenizer_of,
)
from agentbench_irl.reward_scale import RewardScale
from agentbench_irl.transitions import IGNORE

logger = logging.getLogger(__name__)

Examples = Iterable[Mapping[str, Any]]
_CARD_METRICS = ("loss", "nll", "td", "reward_mean", "reward_std", "accuracy")


class IQLearnTrainer(Trainer):
    """Fine-tune a language model by inverse soft-Q learning, or by one of the baselines.

    The loss of an update is the mean over all scored tokens of the update: over accumulated
    batches and over processes, however they are cut.

    Args:
        model: A causal or encoder-decoder language model, a PEFT model around one, or the name or
            path of one.
        args: See `IQLearnConfig`.
        train_dataset: Examples as in `data`; a list, a `datasets.Dataset`, any iterable.
        eval_dataset: The same.
        processing_class: The tokenizer; that of the model's name if there is none.
        callbacks: As in transformers.

    Raises:
        ConfigError: Settings contradict each other or the model.
        DataError: The examples cannot be learnt from.
        UnsupportedModelError: The model has no logits over a vocabulary.
    """

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | str,
        args: IQLearnConfig,
        *,
        train_dataset: Examples | None = None,
        eval_dataset: Examples | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        if args.n_gpu > 1:
            msg = f"one process sees {args.n_gpu} GPUs; start one per GPU with `accelerate launch`"
            raise ConfigError(msg)
        self.tokenizer = tokenizer_of(model, args, processing_class)
        loaded = load_model(model, args) if isinstance(model, str) else model
        self.encoder_decoder = bool(getattr(loaded.config, "is_encoder_decoder", False))
        check_model(loaded, args, encoder_decoder=self.encoder_decoder)
        self.head = linear_head(loaded, args)
        self.reward_scale = RewardScale(
            discount=args.discount,
            temperature=args.temperature,
            terminal_value=None if isinstance(args.terminal_value, str) else args.terminal_value,
        )
        self._measured: dict[str, IQLearnMetrics] = {}
        self._eval_loss = torch.zeros(())
        self._kept_apart = False
        shares = args.packing if args.eval_packing is None else args.eval_packing
        super().__init__(
            model=cast("PreTrainedModel", loaded),
            args=args,
            data_collator=cast("Any", self._collator(loaded, args, shared=args.packing or shares)),
            train_dataset=self._rows(train_dataset, args, packed=args.packing),
            eval_dataset=self._rows(eval_dataset, args, packed=shares),
            processing_class=self.tokenizer,
            callbacks=callbacks,
        )
        self.config_args = args
        # `compute_loss` divides by the tokens of the whole update
        self.loss_is_scaled_for_ga = True
        self.model_accepts_loss_kwargs = True

    def _rows(self, examples: Examples | None, args: IQLearnConfig, *, packed: bool) -> Rows | None:
        if examples is None:
            return None
        samples = make_samples(examples, self.tokenizer, args, encoder_decoder=self.encoder_decoder)
        if packed and args.max_length is not None:
            return Rows(pack(samples, args.max_length))
        return Rows([(sample,) for sample in samples])

    def _collator(self, model: nn.Module, args: IQLearnConfig, *, shared: bool) -> Collator:
        start = cast("int | None", getattr(model.config, "decoder_start_token_id", None))
        pad = self.tokenizer.pad_token_id
        return Collator(
            pad_token_id=cast("int", self.tokenizer.eos_token_id if pad is None else pad),
            shared=shared,
            one_row=args.padding_free,
            pad_to_multiple_of=args.pad_to_multiple_of,
            decoder_start_token_id=(start or 0) if self.encoder_decoder else None,
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        """Return the batches of the next update and the number of scored tokens in all of them."""
        batches = list[dict[str, Tensor]]()
        for _ in range(num_batches):
            try:
                batches.append(next(epoch_iterator))
            except StopIteration:
                break
        scored = torch.zeros((), dtype=torch.int64, device=device)
        for batch in batches:
            scored += (batch["targets"] != IGNORE).sum().to(device)
        if self.config_args.terminal_value == "auto" and self.reward_scale.terminal_value is None:
            self._measure_terminal_value(batches)
        return batches, self._summed(scored)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - the signature of transformers
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 - the signature of transformers
        """Return the share of this batch in the loss of the update."""
        normalizer = None
        if num_items_in_batch is not None:
            # data-parallel processes average their gradients
            normalizer = num_items_in_batch / self._replicas()
        out, auxiliary = self._forward(model, inputs, normalizer)
        self._measure("train", out.metrics)
        loss = out.loss
        if auxiliary is not None:
            loss = loss + auxiliary / self.current_gradient_accumulation_steps
        return (loss, {"loss": loss}) if return_outputs else loss

    def _forward(
        self, model: nn.Module, inputs: dict[str, Any], normalizer: Tensor | float | None
    ) -> tuple[IQLearnOutput, Tensor | None]:
        """Return the loss and the weighted router loss of a mixture of experts, if there is one."""
        inputs = dict(inputs)
        targets, successor = inputs.pop("targets"), inputs.pop("successor")
        rows = inputs.pop("rows")
        if not self._kept_apart and "position_ids" in inputs:
            with self.compute_loss_context_manager():
                check_packing(model, inputs["input_ids"][0])
            self._kept_apart = True
        if self.head is None:
            outputs = model(**inputs, use_cache=False)
            out = loss_of_logits(
                self.config_args,
                outputs.logits,
                targets,
                successor=successor,
                terminal_value=self.reward_scale.terminal_value or 0.0,
                normalizer=normalizer,
            )
            auxiliary = getattr(outputs, "aux_loss", None)
        else:
            loss = functools.partial(
                loss_of_hidden,
                args=self.config_args,
                head=self.head,
                targets=targets,
                successor=successor,
                rows=rows,
                terminal_value=self.reward_scale.terminal_value or 0.0,
                normalizer=normalizer,
            )
            outputs = model(**inputs, use_cache=False, head_loss=loss)
            metrics = IQLearnMetrics(sums=outputs["sums"].detach())
            out = IQLearnOutput(loss=outputs["loss"], metrics=metrics)
            auxiliary = outputs.get("aux_loss")
        if auxiliary is not None:
            auxiliary = auxiliary * getattr(self._config(model), "router_aux_loss_coef", 0.0)
        return out, auxiliary

    def _measure_terminal_value(self, batches: Sequence[dict[str, Tensor]]) -> None:
        """Fix the gauge: V_term = mean V(s) over the last states of the batches' finished texts.

        Then the first temporal-difference term at an end is of the size of all others, instead of
        the square of the model's log-partition.
        """
        model = cast("nn.Module", self.model_wrapped)
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        training = model.training
        model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in batches:
                out, _ = self._forward(model, self._prepare_inputs(cast("Any", batch)), 1.0)
                sums = dict(zip(SUMS, out.metrics.sums.double().unbind(), strict=True))
                total += torch.stack([sums["value_terminal"], sums["terminal"]])
        model.train(training)
        value, count = (float(number) for number in self._summed(total).cpu().unbind())
        if count:
            self.reward_scale = self.reward_scale.with_terminal_value(value / count)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor | Any],
        prediction_loss_only: bool,  # noqa: FBT001 - the signature of transformers
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        """Return the batch's mean loss; `evaluation_loop` replaces it by the mean over tokens."""
        del prediction_loss_only, ignore_keys
        with torch.no_grad(), self.compute_loss_context_manager():
            batch = self._without_repeats(self._prepare_inputs(inputs))
            out, _ = self._forward(model, batch, 1.0)
        self._measure("eval", out.metrics)
        self._eval_loss = self._eval_loss + out.loss.double()
        return out.loss / out.metrics.sums[0].clamp_min(1), None, None

    def _without_repeats(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Unscore the examples that accelerate repeats to give every process a last batch."""
        state = self.accelerator.gradient_state
        if self._replicas() == 1 or not state.end_of_dataloader or state.remainder <= 0:
            return inputs
        targets = cast("Tensor", inputs["targets"])
        if len(targets) != self.args.eval_batch_size:
            return inputs
        index = self.args.process_index * len(targets) + torch.arange(
            len(targets), device=targets.device
        )
        repeated = (index >= state.remainder)[:, None]
        return inputs | {"targets": targets.masked_fill(repeated, IGNORE)}

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:  # noqa: ANN401
        """Evaluate, and report means over tokens rather than over batches."""
        self._measured.pop("eval", None)
        self._eval_loss = torch.zeros((), dtype=torch.float64, device=self.args.device)
        output = super().evaluation_loop(*args, **kwargs)
        prefix = str(kwargs.get("metric_key_prefix", "eval"))
        means = self._means("eval")
        if output.metrics is not None and means:
            means["loss"] = float(self._summed(self._eval_loss)) / means["scored"]
            output.metrics.update({f"{prefix}_{name}": value for name, value in means.items()})
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the metrics of all batches since the last time."""
        if "loss" in logs:
            logs |= self._means("train")
        super().log(logs, start_time)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of transformers
        """Save the model, and beside it what its rewards mean and a model card."""
        super().save_model(output_dir, _internal_call=_internal_call)
        if self.args.should_save:
            directory = Path(output_dir or self.args.output_dir or ".")
            self.reward_scale.save(directory)
            (directory / card.FILE_NAME).write_text(self._card(), encoding="utf-8")

    def create_model_card(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - as in transformers
        """Write the model card; `push_to_hub` calls this, and all it would add is in the card."""
        if self.is_world_process_zero():
            path = Path(self.args.output_dir or ".") / card.FILE_NAME
            path.write_text(self._card(), encoding="utf-8")

    def _card(self) -> str:
        model = cast("Any", self.accelerator.unwrap_model(cast("Any", self.model)))
        sets = {"training": self.train_dataset, "evaluation": self.eval_dataset}
        logged = [row for row in self.state.log_history if "nll" in row]
        return card.model_card(
            self.config_args,
            scale=self.reward_scale,
            base_model=str(getattr(model.config, "name_or_path", "")),
            data={
                role: DataSize.of(sample for group in cast("Rows", rows).groups for sample in group)
                for role, rows in sets.items()
                if rows is not None
            },
            steps=self.state.global_step,
            results={name: logged[-1][name] for name in _CARD_METRICS if logged},
            encoder_decoder=self.encoder_decoder,
            peft=is_peft(model),
        )

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,  # noqa: FBT001 - as in transformers
        trial: Any = None,  # noqa: ANN401
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train; see transformers.

        Args:
            resume_from_checkpoint: A checkpoint; or True for the newest that was written to its
                end, or from the start if there is none.
            trial: Of a hyper-parameter search.
            ignore_keys_for_eval: Has no effect.
        """
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_checkpoint(self.args.output_dir or ".")
        if isinstance(resume_from_checkpoint, str):
            self.reward_scale = RewardScale.load(Path(resume_from_checkpoint))
        return super().train(resume_from_checkpoint or None, trial, ignore_keys_for_eval)

    def _measure(self, phase: str, metrics: IQLearnMetrics) -> None:
        before = self._measured.get(phase)
        self._measured[phase] = metrics if before is None else before + metrics

    def _means(self, phase: str) -> dict[str, float]:
        metrics = self._measured.pop(phase, None)
        return {} if metrics is None else IQLearnMetrics(sums=self._summed(metrics.sums)).means()

    def _summed(self, numbers: Tensor) -> Tensor:
        """Return the sum over processes, each batch counted once."""
        total = cast("Tensor", self.accelerator.reduce(numbers.clone(), reduction="sum"))
        return total / (self.args.world_size // self._replicas())

    def _config(self, model: nn.Module) -> Any:  # noqa: ANN401 - of any model
        return cast("Any", self.accelerator.unwrap_model(model)).config

    def _replicas(self) -> int:
        """Return how many processes see different batches."""
        same = self.get_tp_size() * self.get_cp_size() * self.get_sp_size()
        return max(1, self.args.world_size // same)
