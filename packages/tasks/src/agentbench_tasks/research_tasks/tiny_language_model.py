# pyright: basic
# (torch and transformers are optional dependencies)
"""A folder like that of a large language model on Hugging Face, tiny and with random weights."""

from pathlib import Path

from agentbench_tasks.research_tasks.weights import require_torch

_UNKNOWN, _END = "<unk>", "<eos>"
_CHAT = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)


def write_model(folder: Path, words: list[str], seed: int) -> None:
    """Write `config.json`, tokenizer and `model.safetensors` of a two-layer Qwen2 of width 32."""
    torch = require_torch()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    vocabulary = {w: i for i, w in enumerate(dict.fromkeys([_UNKNOWN, _END, *words]))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token=_UNKNOWN, eos_token=_END, chat_template=_CHAT
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        eos_token_id=1,
        bos_token_id=1,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
