"""Train by axolotl's own plugin manager, configuration and trainer: a program that a test starts.

axolotl pins versions of torch and transformers that others here do not live with, so that it is
put on the path without what it depends on; what it imports beyond that is not needed here.
"""
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false, reportCallIssue=false

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from axolotl.integrations.base import BasePlugin, PluginManager
from axolotl.utils.dict import DictDefault
from datasets import Dataset
from transformers import TrainingArguments

from agentbench_irl.losses import iqlearn_loss
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm

END = 1
PLUGIN = "agentbench_irl.axolotl.IQLearnPlugin"


def validated(settings: dict[str, Any]) -> Any:  # noqa: ANN401 - axolotl's configuration
    """Return a configuration as axolotl validates it, with the plugin's settings merged in."""
    from axolotl.integrations.config import merge_input_args

    _, schema = merge_input_args()
    required = {
        "base_model": "none",
        "datasets": [{"path": "none", "type": "alpaca"}],
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "plugins": [PLUGIN],
    }
    return DictDefault(schema(**(required | settings)).model_dump(exclude_none=True))


def refusal(settings: dict[str, Any]) -> str:
    try:
        validated(settings)
    except ValueError as error:
        return str(error)
    return ""


def main(output: Path) -> None:
    manager = PluginManager.get_instance()
    manager.register(PLUGIN)
    (plugin,) = manager.plugins.values()
    block = {"td_weight": 0.1, "terminal_value": 5.0}
    cfg = validated({"iqlearn": block})
    manager.cfg = cfg
    report: dict[str, Any] = {
        "is_plugin": isinstance(plugin, BasePlugin),
        "without_block": manager.get_trainer_cls(validated({})) is None,
        "unknown_setting": refusal({"iqlearn": {"td_wieght": 0.1}}),
        "contradiction": refusal({"iqlearn": block, "chunked_cross_entropy": True}),
        "losses": {},
    }
    from axolotl.core.trainers.base import AxolotlTrainer
    from axolotl.integrations.config import merge_training_args
    from axolotl.utils.collators import DataCollatorForSeq2Seq

    # as axolotl's own, whose module also imports what TRL has since moved
    arguments = dataclass(type("Arguments", (merge_training_args(), TrainingArguments), {}))
    kind = manager.get_trainer_cls(cfg)
    report["is_trainer"] = issubclass(kind, AxolotlTrainer)
    # two texts in one row, and the same two as rows of their own
    texts = [[5, 6, 7, END], [8, 9, END]]
    packed = {
        "input_ids": texts[0] + texts[1],
        "labels": [-100, *texts[0][1:], -100, *texts[1][1:]],
        "position_ids": [0, 1, 2, 3, 0, 1, 2],
    }
    alone = [
        {"input_ids": text, "labels": [-100, *text[1:]], "attention_mask": [1] * len(text)}
        for text in texts
    ]
    tokenizer = byte_tokenizer()
    for name, rows, batch in (("packed", [packed] * 8, 1), ("alone", alone * 8, 2)):
        model = tiny_causal_lm()
        trainer = kind(
            model=model,
            args=arguments(
                output_dir=str(output.parent / name),
                max_steps=6,
                learning_rate=1e-2,
                per_device_train_batch_size=batch,
                gradient_accumulation_steps=2,
                optim="sgd",
                lr_scheduler_type="constant",
                logging_steps=1,
                disable_tqdm=True,
                use_cpu=True,
                save_strategy="no",
                report_to="none",
                dataloader_pin_memory=False,
                remove_unused_columns=False,
                sample_packing=False,
            ),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        manager.post_trainer_create(cfg, trainer)
        trainer.train()
        history = trainer.state.log_history
        report["losses"][name] = [row["loss"] for row in history if "loss" in row]
    logits = [tiny_causal_lm()(input_ids=torch.tensor([text])).logits[0, :-1] for text in texts]
    total = sum(
        iqlearn_loss(
            z, torch.tensor(text[1:]), td_weight=0.1, terminal_value=5.0, normalizer=5
        ).loss
        for z, text in zip(logits, texts, strict=True)
    )
    report["first"] = float(total)
    output.write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
