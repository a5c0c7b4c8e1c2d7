"""Train by LLaMA-Factory's own trainer with our loss: a program that a test starts.

LLaMA-Factory pins old versions of what others here need, so that its trainer is loaded without the
parts of the package that a text loss never meets; they stand here as names without a body.
"""
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainingArguments

from agentbench_irl.compatibility import IQLearnLossFunction
from agentbench_irl.losses import iqlearn_loss
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm

END = 1
ABSENT: dict[str, dict[str, Any]] = {
    "llamafactory.extras": {"logging": SimpleNamespace(get_logger=lambda _: None)},
    "llamafactory.extras.constants": {"IGNORE_INDEX": -100},
    "llamafactory.train.callbacks": {"SaveProcessorCallback": None},
    "llamafactory.train.fp8_utils": {
        "configure_fp8_environment": None,
        "patch_accelerator_for_fp8": None,
        "verify_fp8_status": None,
    },
    "llamafactory.train.trainer_utils": {
        "create_custom_optimizer": lambda *_: None,
        "create_custom_scheduler": lambda *_: None,
    },
}


def real_trainer() -> Any:  # noqa: ANN401 - LLaMA-Factory's class
    found = find_spec("llamafactory")
    assert found is not None
    assert found.submodule_search_locations is not None
    root = Path(found.submodule_search_locations[0])
    for name in ("llamafactory", "llamafactory.train", "llamafactory.train.sft", *ABSENT):
        module = ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        vars(module).update(ABSENT.get(name, {}))
        sys.modules[name] = module
    return import_module("llamafactory.train.sft.trainer").CustomSeq2SeqTrainer


def main(output: Path) -> None:
    texts = [[5, 6, 7, END], [8, 9, END]]
    rows = [
        {"input_ids": text, "labels": [-100, *text[1:]], "attention_mask": [1] * len(text)}
        for text in texts
    ]
    args = Seq2SeqTrainingArguments(
        output_dir=str(output.parent / "llamafactory"),
        max_steps=8,
        learning_rate=1e-2,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        logging_steps=1,
        disable_tqdm=True,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        dataloader_pin_memory=False,
    )
    args.fp8 = False
    trainer = real_trainer()(
        model=tiny_causal_lm(),
        args=args,
        finetuning_args=SimpleNamespace(
            use_badam=False,
            use_dft_loss=False,
            use_eaft_loss=False,
            use_asft_loss=False,
            disable_shuffling=True,
        ),
        processor=None,
        tokenizer=byte_tokenizer(),
        data_collator=DataCollatorForSeq2Seq(byte_tokenizer()),
        train_dataset=rows * 8,
        compute_loss_func=IQLearnLossFunction(td_weight=0.1, end=END, terminal_value=5.0),
    )
    trainer.train()
    logits = [tiny_causal_lm()(input_ids=torch.tensor([text])).logits[0, :-1] for text in texts]
    first = sum(
        iqlearn_loss(
            z, torch.tensor(text[1:]), td_weight=0.1, terminal_value=5.0, normalizer=5
        ).loss
        for z, text in zip(logits, texts, strict=True)
    )
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    output.write_text(json.dumps({"first": float(first), "losses": losses}), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
