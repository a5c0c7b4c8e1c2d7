"""The model card that is saved beside the weights."""
# transformers annotates its arguments in part
# pyright: reportUnknownMemberType=false

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import yaml

from agentbench_irl.config import IQLearnConfig
from agentbench_irl.data import DataSize
from agentbench_irl.reward_scale import RewardScale

FILE_NAME = "README.md"
_PACKAGES = ("agentbench-irl", "torch", "transformers", "accelerate")
_LOSSES = {
    "iqlearn": "IQLearn, inverse soft-Q learning on the data (arXiv 2409.01369)",
    "mle": "maximum likelihood",
    "gem": "GEM (arXiv 2408.16673)",
    "dft": "dynamic fine-tuning (arXiv 2508.05629)",
}


def model_card(
    args: IQLearnConfig,
    *,
    scale: RewardScale,
    base_model: str,
    data: Mapping[str, DataSize],
    steps: int,
    results: Mapping[str, float],
    encoder_decoder: bool,
    peft: bool,
) -> str:
    """Return a card: what was trained, how, on how much of what, and how to get rewards.

    Args:
        args: Of the run.
        scale: What the rewards are measured in.
        base_model: Name or path; empty if the model had none.
        data: Size of each set, by its role.
        steps: Updates made.
        results: Last metrics that were logged, by name.
        encoder_decoder: The model has an encoder.
        peft: The weights are adapters of the base model.

    Returns:
        Markdown with YAML front matter.
    """
    front: dict[str, object] = {
        "library_name": "peft" if peft else "transformers",
        "tags": ["agentbench-irl", args.loss_type, "imitation-learning"],
    }
    name = Path(base_model).name if Path(base_model).is_absolute() else base_model
    if name == base_model and name:
        front["base_model"] = name
    method: dict[str, object] = {"loss": _LOSSES[args.loss_type]}
    match args.loss_type:
        case "iqlearn":
            method |= {
                "λ (`td_weight`)": args.td_weight,
                "divergence": args.divergence,
                "semi-gradient": args.semi_gradient,
                "share of own samples (`online_mixin`)": args.online_mixin,
            }
        case "mle":
            method["entropy weight"] = args.entropy_weight
        case "gem":
            method["β"] = args.gem_beta
        case "dft":
            pass
    ends = "left out of the penalty" if args.terminal_value == "exclude" else scale.terminal_value
    method |= {
        "γ (`discount`)": scale.discount,
        "τ (`temperature`)": scale.temperature,
        "value after the end": "not measured" if ends is None else ends,
        "updates": steps,
        "learning rate": args.learning_rate,
        "texts per update and process": args.per_device_train_batch_size
        * args.gradient_accumulation_steps,
        "processes": args.world_size,
        "longest text, tokens": args.max_length,
        "packing": args.packing,
        "seed": args.seed,
    }
    sizes = [
        f"| {role} | {size.texts} | {size.tokens} | {size.scored} |" for role, size in data.items()
    ]
    versions = [f"| {package} | {version(package)} |" for package in _PACKAGES]
    sections = [
        f"---\n{yaml.safe_dump(front, sort_keys=True)}---\n",
        f"# {name or 'A language model'}, fine-tuned\n" if not peft else "# LoRA adapters\n",
        "## Training\n",
        "| setting | value |\n|---|---|",
        *[f"| {name} | {value} |" for name, value in method.items()],
        "\n## Data\n",
        "| set | texts | tokens | scored tokens |\n|---|---|---|---|",
        *sizes,
        "\n## Last metrics logged\n",
        "| metric | value |\n|---|---|",
        *[f"| {name} | {value:.6g} |" for name, value in results.items()],
        _REWARDS.replace("{kind}", "ForSeq2SeqLM" if encoder_decoder else "ForCausalLM"),
        "## Versions\n",
        "| package | version |\n|---|---|",
        *versions,
    ]
    return "\n".join(sections) + "\n"


_REWARDS = """
## Rewards

The logits hold a reward for every token, r(s, a) = logit of a - γ V(s'), with the constants above,
which `iqlearn.json` holds too:

```python
from pathlib import Path

from transformers import AutoModel{kind}, AutoTokenizer

from agentbench_irl import text_rewards
from agentbench_irl.reward_scale import RewardScale

here = "."  # this directory
model = AutoModel{kind}.from_pretrained(here)
tokenizer = AutoTokenizer.from_pretrained(here)
texts = [{"prompt": "2 + 2 = ", "completion": "4"}]
for text in text_rewards(model, tokenizer, texts, scale=RewardScale.load(Path(here))):
    print(text.rewards, text.total("mean"))
```

or `agentbench-irl rewards --model . --data FILE.jsonl --out FILE.rewards.jsonl`. At γ = 1 the sum
of a text's rewards ranks the answers to one prompt as the likelihood does; `mean`, `min`, single
rewards and comparisons across prompts do not.
"""
