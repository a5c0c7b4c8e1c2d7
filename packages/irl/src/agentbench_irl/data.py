"""Texts to rows: examples of three kinds become tokens, and say which of them the model wrote.

An example is a mapping, a line of a JSON Lines file or a row of a `datasets.Dataset`:

    {"messages": [{"role": ..., "content": ...}, ...], "tools": [...]}
    {"prompt": ..., "completion": ...}      strings, or lists of messages
    {"text": ...}

With `"truncated": true` the episode was stopped from outside, by a budget for example: it did not
end, and the value of its last state is bootstrapped.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from agentbench_irl.chat import assistant_tokens, end_token
from agentbench_irl.config import IQLearnConfig
from agentbench_irl.errors import DataError
from agentbench_irl.transitions import IGNORE, Transitions, decoder_transitions, text_transitions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One text, ready for a model.

    Attributes:
        tokens: What the decoder reads and writes, shape (T,). For an encoder-decoder, the labels.
        rows: The T rows of the decoder.
        source: What the encoder reads, shape (S,); None for a decoder-only model.
    """

    tokens: Tensor
    rows: Transitions
    source: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSize:
    """How much there is to learn from.

    Attributes:
        texts: Examples with something to score.
        tokens: In all of them.
        scored: Tokens that the model is to write.
    """

    texts: int
    tokens: int
    scored: int

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "DataSize":
        """Return the size of some samples."""
        sizes = [
            (len(sample.tokens), int((sample.rows.targets != IGNORE).sum())) for sample in samples
        ]
        return cls(
            texts=len(sizes),
            tokens=sum(tokens for tokens, _ in sizes),
            scored=sum(scored for _, scored in sizes),
        )


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Return the examples of a JSON Lines file.

    Raises:
        DataError: The file cannot be read, has no example, or a line is not a JSON object.
    """
    examples = list[dict[str, Any]]()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {error}"
        raise DataError(msg) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            example = json.loads(line)
        except json.JSONDecodeError as error:
            msg = f"{path}, line {number}: not JSON: {error}"
            raise DataError(msg) from error
        if not isinstance(example, dict):
            msg = f"{path}, line {number}: an example must be an object, not {line.strip()[:40]!r}"
            raise DataError(msg)
        examples.append(cast("dict[str, Any]", example))
    if not examples:
        msg = f"{path} has no example"
        raise DataError(msg)
    return examples


def make_samples(
    examples: Iterable[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    config: IQLearnConfig,
    *,
    encoder_decoder: bool = False,
) -> list[Sample]:
    """Return the examples as tokens and rows.

    Examples with nothing to score (an answer that `max_length` cut away, say) are left out, with
    one warning that counts them.

    Args:
        examples: See the module.
        tokenizer: Of the model; a fast one where examples are messages.
        config: Says what is scored and how long a text may be.
        encoder_decoder: Prompts go to an encoder.

    Returns:
        At least one sample.

    Raises:
        DataError: An example is malformed, or none has anything to score.
    """
    make = _encoder_decoder_sample if encoder_decoder else _decoder_sample
    samples, mute = list[Sample](), list[int]()
    for number, example in enumerate(examples):
        try:
            sample = make(example, tokenizer, config)
        except DataError as error:
            msg = f"example {number}: {error}"
            raise DataError(msg) from error
        if bool((sample.rows.targets >= 0).any()):
            samples.append(sample)
        else:
            mute.append(number)
    where = f"examples {', '.join(map(str, mute[:10]))}{', ...' if len(mute) > 10 else ''}"
    why = f"after cutting to max_length={config.max_length} tokens nothing in them is scored"
    if not samples:
        msg = f"nothing to learn: {why}" if mute else "there is no example"
        raise DataError(msg)
    if mute:
        logger.warning(
            "%d of %d examples are left out (%s): %s",
            len(mute),
            len(mute) + len(samples),
            where,
            why,
        )
    return samples


def _decoder_sample(
    example: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, config: IQLearnConfig
) -> Sample:
    truncated = _flag(example)
    acts_next: bool | None = None
    if "messages" in example or isinstance(example.get("prompt"), list):
        chat = assistant_tokens(
            example, tokenizer, assistant_only=config.assistant_only_loss, truncated=truncated
        )
        tokens, scored, acts_next = chat.tokens, chat.scored, chat.acts_next
    elif "prompt" in example and "completion" in example:
        tokens, scored = _prompt_and_completion(example, tokenizer, config, truncated=truncated)
    elif config.dataset_text_field in example:
        text = _string(example, config.dataset_text_field)
        tokens = _ended(_ids(tokenizer, text), tokenizer, truncated=truncated)
        scored = [True] * len(tokens)
    else:
        raise _no_column(example, config)
    if config.max_length is not None and len(tokens) > config.max_length:
        truncated, acts_next = True, scored[config.max_length]
        tokens, scored = tokens[: config.max_length], scored[: config.max_length]
    if not tokens:
        msg = "the text is empty"
        raise DataError(msg)
    ids = torch.tensor(tokens)
    rows = text_transitions(ids, torch.tensor(scored), truncated=truncated, acts_next=acts_next)
    return Sample(tokens=ids, rows=_terminals(rows, config))


def _encoder_decoder_sample(
    example: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, config: IQLearnConfig
) -> Sample:
    if "prompt" not in example or "completion" not in example:
        msg = f"an encoder-decoder needs prompt and completion; it has {', '.join(example)}"
        raise DataError(msg)
    truncated = _flag(example)
    source = _ids(tokenizer, _string(example, "prompt"))[: config.max_length]
    target = _ids(tokenizer, _string(example, "completion"))
    labels = _ended(_without_end(target, tokenizer), tokenizer, truncated=truncated)
    if config.max_length is not None and len(labels) > config.max_length:
        labels, truncated = labels[: config.max_length], True
    if not source or not labels:
        msg = f"the {'prompt' if not source else 'completion'} is empty"
        raise DataError(msg)
    ids = torch.tensor(labels)
    rows = decoder_transitions(ids, truncated=truncated)
    return Sample(tokens=ids, rows=_terminals(rows, config), source=torch.tensor(source))


def _prompt_and_completion(
    example: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    config: IQLearnConfig,
    *,
    truncated: bool,
) -> tuple[list[int], list[bool]]:
    """Tokenise both together where that starts with the prompt's own tokens, else one by one."""
    prompt_text, completion_text = _string(example, "prompt"), _string(example, "completion")
    prompt = _without_end(_ids(tokenizer, prompt_text), tokenizer)
    tokens = _without_end(_ids(tokenizer, prompt_text + completion_text), tokenizer)
    if tokens[: len(prompt)] != prompt:
        tokens = prompt + _ids(tokenizer, completion_text, special=False)
    tokens = _ended(tokens, tokenizer, truncated=truncated)
    first = len(prompt) if config.completion_only_loss in {None, True} else 0
    return tokens, [position >= first for position in range(len(tokens))]


def _terminals(rows: Transitions, config: IQLearnConfig) -> Transitions:
    return rows.without_terminal() if config.terminal_value == "exclude" else rows


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = True) -> list[int]:
    encoded = tokenizer(text, add_special_tokens=special, truncation=False, verbose=False)
    return list(cast("list[int]", encoded["input_ids"]))


def _ended(tokens: list[int], tokenizer: PreTrainedTokenizerBase, *, truncated: bool) -> list[int]:
    tokens, end = _without_end(tokens, tokenizer), end_token(tokenizer)
    return tokens if truncated or end is None else [*tokens, end]


def _without_end(tokens: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    end = end_token(tokenizer)
    return tokens[:-1] if tokens and tokens[-1] == end else tokens


def _string(example: Mapping[str, Any], column: str) -> str:
    text = example[column]
    if not isinstance(text, str):
        msg = f"{column} must be a string, not {type(text).__name__}"
        raise DataError(msg)
    return text


def _flag(example: Mapping[str, Any]) -> bool:
    flag = example.get("truncated")
    if flag not in {None, True, False}:
        msg = f"truncated must be true or false, not {flag!r}"
        raise DataError(msg)
    return bool(flag)


def _no_column(example: Mapping[str, Any], config: IQLearnConfig) -> DataError:
    found = ", ".join(sorted(example)) or "nothing"
    return DataError(
        "it needs the columns messages, or prompt and completion, or "
        f"{config.dataset_text_field}; it has {found}"
    )
