"""Tiny models and tokenizers, made on the spot: for tests, examples and benchmarks, offline."""
# torch and transformers annotate these in part
# pyright: reportUnknownMemberType=false, reportCallIssue=false, reportUnknownVariableType=false

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token per byte, `<pad>` and `</s>`, and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "</s>": 1} | {byte: 2 + i for i, byte in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    pad, end = "<pad>", "</s>"
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, eos_token=end, model_max_length=4096
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def tiny_causal_lm(
    *, vocab_size: int = 258, hidden_size: int = 32, layers: int = 2, seed: int = 0
) -> LlamaForCausalLM:
    """Return a randomly initialised decoder-only model, about 60 000 parameters."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def tiny_encoder_decoder(
    *, vocab_size: int = 258, hidden_size: int = 32, seed: int = 0
) -> T5ForConditionalGeneration:
    """Return a randomly initialised encoder-decoder model, about 50 000 parameters."""
    config = T5Config(
        vocab_size=vocab_size,
        d_model=hidden_size,
        d_kv=8,
        d_ff=2 * hidden_size,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return T5ForConditionalGeneration(config)


PAIRS = (*("a" + letter for letter in "bcdf"), *("e" + letter for letter in "ghjk"))
PAIR_PROMPTS = ("1:", "2:", "3:")


def pair_examples(count: int, *, seed: int) -> list[dict[str, str]]:
    """Return examples of a grammar with many right answers.

    The answer to "2:" is any two of eight pairs of letters, then the end: 64 right answers, all
    equally likely. A model that keeps them all has ln 8 = 2.08 nats per pair.
    """
    rng = random.Random(seed)
    prompts = [PAIR_PROMPTS[number % len(PAIR_PROMPTS)] for number in range(count)]
    return [
        {"prompt": prompt, "completion": "".join(rng.choices(PAIRS, k=int(prompt[0])))}
        for prompt in prompts
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScore:
    """How a model answers the prompts of `pair_examples`, over all its answers: nothing is drawn.

    Attributes:
        temperature: At which it answers.
        validity: Probability of a right answer, mean over prompts.
        entropy: Of the right answers among themselves, nats per pair, mean over prompts.
    """

    temperature: float
    validity: float
    entropy: float


def pair_score(
    model: nn.Module, tokenizer: PreTrainedTokenizerFast, *, validity: float | None = None
) -> PairScore:
    """Return how a model answers, at temperature 1 or at the one that gives a validity.

    Sampling colder makes any model more often right and less varied. Models are compared where
    they are equally often right.

    Args:
        model: Trained on `pair_examples`.
        tokenizer: `byte_tokenizer()`.
        validity: To be reached to within 0.001; NaN entropy where no temperature does.
    """
    answers = [_all_answers(model, tokenizer, prompt) for prompt in PAIR_PROMPTS]
    if validity is None:
        return _pair_score(answers, 1.0)
    cold, hot = math.log(0.02), math.log(50.0)
    found = _pair_score(answers, 1.0)
    while abs(found.validity - validity) > 1e-4 and hot - cold > 1e-6:
        middle = (cold + hot) / 2
        found = _pair_score(answers, math.exp(middle))
        cold, hot = (middle, hot) if found.validity > validity else (cold, middle)
    if abs(found.validity - validity) > 1e-3:
        return replace(found, entropy=math.nan)
    return found


def _all_answers(
    model: nn.Module, tokenizer: PreTrainedTokenizerFast, prompt: str
) -> tuple[Tensor, Tensor]:
    """Return logits and tokens of every right answer, shapes (A, T, V) and (A, T)."""
    asked = list[int](tokenizer(prompt)["input_ids"])
    texts = ["".join(pairs) for pairs in itertools.product(PAIRS, repeat=int(prompt[0]))]
    ids = torch.tensor([[*asked, *tokenizer(text)["input_ids"], 1] for text in texts])
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = [model(input_ids=some).logits[:, len(asked) - 1 : -1] for some in ids.split(256)]
    model.train(training)
    return torch.cat(logits), ids[:, len(asked) :]


def _pair_score(answers: Sequence[tuple[Tensor, Tensor]], temperature: float) -> PairScore:
    validities, entropies = list[float](), list[float]()
    for prompt, (logits, tokens) in zip(PAIR_PROMPTS, answers, strict=True):
        each = torch.log_softmax(logits.double() / temperature, -1).gather(-1, tokens[..., None])
        log_probability = each.sum((1, 2))
        right = torch.logsumexp(log_probability, 0)
        among = log_probability - right
        validities.append(float(right.exp()))
        entropies.append(float(-(among.exp() * among).sum()) / int(prompt[0]))
    return PairScore(
        temperature=temperature,
        validity=sum(validities) / len(validities),
        entropy=sum(entropies) / len(entropies),
    )
