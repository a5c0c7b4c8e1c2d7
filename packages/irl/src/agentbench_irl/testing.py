"""Tiny models and tokenizers, made on the spot: for tests, examples and benchmarks, offline."""
# torch and transformers annotate these in part
# pyright: reportUnknownMemberType=false, reportCallIssue=false

import torch
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
