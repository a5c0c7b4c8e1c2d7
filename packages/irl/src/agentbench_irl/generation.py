"""Answers of a model to the prompts of a data set."""
# transformers annotates generation in part
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from agentbench_irl.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """How tokens are drawn.

    Attributes:
        temperature: 0 is greedy.
        top_p: Keep the smallest set of tokens with this much probability.
        min_p: Keep tokens with at least this share of the most likely one's probability.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, and what the data answers.

    Attributes:
        prompt: Text that the model continues, or the source of an encoder-decoder.
        reference: The data's answer.
    """

    prompt: str
    reference: str


def question_of(example: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Question:
    """Return the question in an example: its prompt, or the messages before the last answer.

    Raises:
        DataError: The example asks nothing.
    """
    prompt, completion = example.get("prompt"), example.get("completion")
    if isinstance(prompt, str) and isinstance(completion, str):
        return Question(prompt=prompt, reference=completion)
    messages = cast("Any", example.get("messages"))
    if isinstance(prompt, list) and isinstance(completion, list):
        messages = cast("list[Any]", prompt + completion[:1])
    if not isinstance(messages, list):
        msg = f"it needs prompt and completion, or messages; it has {', '.join(example)}"
        raise DataError(msg)
    answers = [n for n, message in enumerate(messages) if message.get("role") == "assistant"]
    if not answers or answers[-1] == 0:
        msg = "no assistant message answers anything"
        raise DataError(msg)
    asked = tokenizer.apply_chat_template(
        messages[: answers[-1]], tokenize=False, add_generation_prompt=True
    )
    return Question(prompt=cast("str", asked), reference=str(messages[answers[-1]]["content"]))


def generate(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    samples: int = 1,
    sampler: Sampler | None = None,
    max_new_tokens: int = 128,
    batch_size: int = 8,
    seed: int = 0,
) -> Iterator[list[str]]:
    """Return answers to prompts, in their order.

    Batch k draws from its own random numbers, so that a run that was stopped after k batches can
    go on where it was.

    Args:
        model: A causal or encoder-decoder language model.
        tokenizer: Of the model.
        prompts: Texts as `Question.prompt`.
        samples: Answers per prompt.
        sampler: How tokens are drawn; temperature 1 by default.
        max_new_tokens: Longest answer.
        batch_size: Prompts per call.
        seed: Of the random numbers.

    Yields:
        `samples` answers per prompt, without special tokens.
    """
    sampler = Sampler() if sampler is None else sampler
    options: dict[str, Any] = {"do_sample": False}
    if sampler.temperature > 0:
        options = {
            "do_sample": True,
            "temperature": sampler.temperature,
            "top_p": sampler.top_p,
            "min_p": sampler.min_p,
            "top_k": 0,
        }
    for first in range(0, len(prompts), batch_size):
        batch = [text for text in prompts[first : first + batch_size] for _ in range(samples)]
        texts = _generate_batch(
            model, tokenizer, batch, options | {"max_new_tokens": max_new_tokens}, seed + first
        )
        for start in range(0, len(texts), samples):
            yield texts[start : start + samples]


def _generate_batch(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    options: dict[str, Any],
    seed: int,
) -> list[str]:
    device = next(model.parameters()).device
    network = cast("Any", model)
    encoder_decoder = bool(network.config.is_encoder_decoder)
    side, tokenizer.padding_side = tokenizer.padding_side, "right" if encoder_decoder else "left"
    inputs = tokenizer(
        list(prompts), return_tensors="pt", padding=True, add_special_tokens=encoder_decoder
    ).to(device)
    tokenizer.padding_side = side
    training = model.training
    model.eval()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        found = network.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **options,
        )
    model.train(training)
    if not encoder_decoder:
        found = found[:, inputs["input_ids"].shape[1] :]
    return tokenizer.batch_decode(found, skip_special_tokens=True)
