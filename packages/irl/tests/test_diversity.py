"""The paper's claim in small: where many answers are right, IQLearn keeps more of them."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import random
from pathlib import Path
from typing import Any

import torch

from agentbench_irl.config import IQLearnConfig
from agentbench_irl.generation import generate
from agentbench_irl.rewards import text_rewards
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm
from agentbench_irl.trainer import IQLearnTrainer

PROMPTS = ["1:", "2:", "3:", "4:"]


def sentence(rng: random.Random, prompt: str) -> str:
    """Return a word of the grammar S -> pair S | pair; a pair is a vowel and a consonant."""
    pairs = ["a" + c for c in "bcdf"] + ["e" + c for c in "ghjk"]
    return "".join(rng.choice(pairs) for _ in range(int(prompt[0])))


def valid(prompt: str, text: str) -> bool:
    pairs = [text[i : i + 2] for i in range(0, len(text), 2)]
    good = {"a" + c for c in "bcdf"} | {"e" + c for c in "ghjk"}
    return len(pairs) == int(prompt[0]) and all(pair in good for pair in pairs)


def trained(directory: Path, examples: list[dict[str, Any]], td_weight: float) -> IQLearnTrainer:
    config = IQLearnConfig(
        output_dir=str(directory),
        max_steps=250,
        learning_rate=3e-3,
        per_device_train_batch_size=8,
        td_weight=td_weight,
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
        use_cpu=True,
        seed=1,
    )
    trainer = IQLearnTrainer(
        tiny_causal_lm(), config, train_dataset=examples, processing_class=byte_tokenizer()
    )
    trainer.train()
    return trainer


def measured(trainer: IQLearnTrainer, held_out: list[dict[str, Any]]) -> tuple[float, float]:
    """Return the share of valid samples, and the entropy per token on held-out text, nats."""
    model = trainer.model
    assert model is not None
    texts = generate(model, byte_tokenizer(), PROMPTS, samples=50, max_new_tokens=10, batch_size=4)
    checks = [
        valid(prompt, text)
        for prompt, samples in zip(PROMPTS, texts, strict=True)
        for text in samples
    ]
    found = text_rewards(model, byte_tokenizer(), held_out, batch_size=32)
    return sum(checks) / len(checks), float(torch.cat([text.entropies for text in found]).mean())


def test_more_entropy_at_equal_validity(tmp_path: Path) -> None:
    """80 examples, 25 epochs. Equal: within two standard errors of 200 samples.

    The effect is small at this size: 1.07 nats per token against 1.10, both about 80 % valid.
    """
    rng = random.Random(0)
    draw: list[dict[str, Any]] = [
        {"prompt": prompt, "completion": sentence(rng, prompt)} for prompt in PROMPTS * 60
    ]
    examples, held_out = draw[:80], draw[160:]
    validity, entropy = zip(
        *(measured(trained(tmp_path, examples, weight), held_out) for weight in (0.0, 0.3)),
        strict=True,
    )
    assert entropy[1] > 1.01 * entropy[0]
    assert abs(validity[1] - validity[0]) < 0.057
    assert validity[1] > 0.7
