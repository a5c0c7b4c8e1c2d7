# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportPrivateImportUsage=false
# (torch, transformers and trl annotate their classes in part)
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from agentbench_irl.compatibility import IQLearnLossFunction, IQLearnMixin
from agentbench_irl.losses import iqlearn_loss
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm

END = 1


def test_labels_become_rows() -> None:
    """A prompt and an ended text; a text that was cut; two texts packed into a row."""
    labels = torch.tensor([[-100, 5, 6, END], [4, 5, 6, 7], [-100, 5, END, 6]])
    positions = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 0]])
    logits = torch.randn(3, 4, 8, dtype=torch.float64)
    function = IQLearnLossFunction(td_weight=0.3, end=END, terminal_value=0.5)
    found = function(SimpleNamespace(logits=logits), labels, position_ids=positions)
    expected = iqlearn_loss(
        logits,
        torch.tensor([[5, 6, END, -100], [5, 6, 7, -100], [5, END, -100, -100]]),
        td_weight=0.3,
        terminal_value=0.5,
        successor=torch.tensor([[1, 2, -1, -2], [5, 6, -2, -2], [9, -1, -2, -2]]),
    ).loss
    torch.testing.assert_close(found, expected)


def test_compute_loss_func_of_transformers(tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    rows = [{"input_ids": [5, 6, 7, END], "labels": [-100, 6, 7, END]} for _ in range(8)]
    args = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=12,
        learning_rate=1e-2,
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=2,
        save_strategy="no",
        logging_steps=1,
    )
    function = IQLearnLossFunction(td_weight=0.1, end=END, terminal_value=5.0)
    trainer = Trainer(
        model=tiny_causal_lm(),
        args=args,
        train_dataset=cast("Any", rows),
        compute_loss_func=function,
    )
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    ids = torch.tensor([[5, 6, 7, END]])
    start = iqlearn_loss(
        tiny_causal_lm()(input_ids=ids).logits,
        torch.tensor([[6, 7, END, -100]]),
        td_weight=0.1,
        terminal_value=5.0,
    ).loss
    assert losses[0] == pytest.approx(start.item(), rel=1e-4)
    assert losses[-1] < losses[0] / 2


@pytest.mark.filterwarnings("ignore::FutureWarning")  # trl and peft run behind transformers
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:You are using packing:UserWarning")
@pytest.mark.parametrize("packing", [False, True])
def test_mixin_for_trl(tmp_path: Path, *, packing: bool) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    class Trainer(IQLearnMixin, SFTTrainer):  # pyright: ignore[reportIncompatibleMethodOverride]
        iqlearn = IQLearnLossFunction(td_weight=0.1, end=END, terminal_value=5.0)

    examples: list[dict[str, Any]] = [{"prompt": f"{n}:", "completion": "ok"} for n in range(8)]
    args = SFTConfig(
        output_dir=str(tmp_path),
        max_steps=20,
        learning_rate=1e-2,
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        dataloader_pin_memory=False,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=2,
        save_strategy="no",
        logging_steps=1,
        packing=packing,
        max_length=32,
    )
    model = tiny_causal_lm()
    if packing:
        model.set_attn_implementation("eager")
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(examples),
        processing_class=byte_tokenizer(),
    )
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert losses[0] == pytest.approx(5.55 + 0.1 * 5.55**2, rel=0.1)
    assert losses[-1] < losses[0] / 2
