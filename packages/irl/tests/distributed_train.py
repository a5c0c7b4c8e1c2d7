"""Train on two processes, or one, and write down the losses: a program that tests start."""
# pyright: reportUnknownMemberType=false

import json
import sys
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedModel

from agentbench_irl.config import IQLearnConfig
from agentbench_irl.data import read_jsonl
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm
from agentbench_irl.trainer import IQLearnTrainer


def sharded(directory: str) -> PreTrainedModel:
    """Return the model of a directory, sharded over both processes by FSDP2 when it is loaded."""
    from transformers import AutoModelForCausalLM
    from transformers.distributed.configuration_utils import DistributedConfig

    config = DistributedConfig(fsdp_size=2)
    return AutoModelForCausalLM.from_pretrained(directory, distributed_config=config)


def main(data: str, output_dir: str, options: dict[str, Any]) -> None:
    directory = options.pop("fsdp_model", None)
    config = IQLearnConfig(
        output_dir=output_dir,
        use_cpu=True,
        max_steps=4,
        learning_rate=1e-2,
        logging_steps=1,
        optim="sgd",
        lr_scheduler_type="constant",
        disable_tqdm=True,
        save_strategy="no",
        **options,
    )
    examples = read_jsonl(data)
    trainer = IQLearnTrainer(
        sharded(directory) if directory else tiny_causal_lm(),
        config,
        train_dataset=examples,
        eval_dataset=examples[:8],
        processing_class=byte_tokenizer(),
    )
    trainer.train()
    evaluated = trainer.evaluate()
    if trainer.is_world_process_zero():
        steps = [row for row in trainer.state.log_history if "grad_norm" in row]
        names = ("loss", "grad_norm", "nll", "td", "scored", "value_terminal", "reward_std")
        report = {
            "steps": [[row[name] for name in names] for row in steps],
            "eval": {name: evaluated[f"eval_{name}"] for name in ("loss", "nll", "scored")},
            "wrapper": [
                kind.__name__ for kind in type(cast("object", trainer.model_wrapped)).__mro__
            ],
            "terminal_value": trainer.reward_scale.terminal_value,
        }
        Path(output_dir, "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    for output, options in json.loads(sys.argv[2]).items():
        main(sys.argv[1], output, options)
