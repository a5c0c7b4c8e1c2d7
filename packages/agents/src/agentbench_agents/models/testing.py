"""Real things to test models against: tiny models, real servers for them, and a faulty server.

Everything is made on the spot and offline.
"""
# torch, tokenizers, transformers and gguf leave much of what they offer untyped.
# pyright: reportUnknownMemberType=false

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from agentbench_agents.models.faults import Fault, FaultServer, Seen

__all__ = ["Fault", "FaultServer", "Seen", "serve", "tiny_gguf", "tiny_model"]

_LAYERS, _HIDDEN, _INNER, _HEADS, _KEY_HEADS = 2, 64, 128, 4, 2
_START, _END, _PAD = "<|im_start|>", "<|im_end|>", "<pad>"
_CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for m in messages %}<|im_start|>{{ m['role'] }}
{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}
{%- for call in m['tool_calls'] or [] %}<tool_call>{{ call['function'] | tojson }}</tool_call>
{%- endfor %}<|im_end|>{% endgeneration %}{% else %}{{ m['content'] }}<|im_end|>{% endif %}

{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def tiny_model(path: str | Path, *, seed: int = 0, window: int = 65536) -> Path:
    """Write a random causal language model with tokenizer and chat template.

    A Llama of 2 layers and hidden size 64 (some 100 000 parameters) over bytes: it reads any text
    and writes printable ASCII that makes no sense, some 40 characters at temperature 1 and mostly
    none at temperature 0.

    Args:
        path: Directory to create.
        seed: Two models with one seed are equal.
        window: Longest sequence in tokens; a token is a byte.

    Returns:
        The directory.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=_HIDDEN,
        intermediate_size=_INNER,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        num_key_value_heads=_KEY_HEADS,
        max_position_embeddings=window,
        eos_token_id=tokenizer.convert_tokens_to_ids(_END),
        pad_token_id=tokenizer.convert_tokens_to_ids(_PAD),
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    weights = {name: values.detach().numpy() for name, values in model.named_parameters()}
    writers = [weights[n] for n in weights if "o_proj" in n or "down_proj" in n]
    _write_ascii(weights["model.embed_tokens.weight"], weights["lm_head.weight"], writers)
    model.generation_config.do_sample = True  # or `transformers serve` is always greedy
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return Path(path)


def _byte_tokenizer() -> Any:  # noqa: ANN401 - tokenizers are untyped
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {character: i for i, character in enumerate(_byte_alphabet())}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([_START, _END, _PAD])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=_END, pad_token=_PAD)
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of their code points."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    return [chr(c) for c in sorted(plain)] + [chr(256 + n) for n in range(256 - len(plain))]


def _write_ascii(embedding: Any, output: Any, writers: list[Any]) -> None:  # noqa: ANN401 - NumPy
    """Give a Llama an output bias, which it has no parameter for, towards printable ASCII.

    Channel 0 of the residual stream is held constant, so that column 0 of the output matrix acts as
    a bias. Changes the arrays in place; matrices are (out, in), the embedding is (token, hidden).
    """
    alphabet = _byte_alphabet()
    spoken = [
        *range(94),
        alphabet.index(chr(256 + 32)),
        alphabet.index(chr(256 + 10)),
    ]  # !-~, " ", \n
    embedding[:, 0] = 0.1
    output[:, 0] = -2.0
    output[spoken, 0] = 2.0
    output[len(alphabet) + 1, 0] = 2.1  # the end of the turn: greedily at once, or never
    for matrix in writers:
        matrix[0] = 0.0


def tiny_gguf(path: str | Path, *, seed: int = 0, window: int = 65536) -> Path:
    """Write a random model of the same shape as `tiny_model` as one GGUF file, for llama.cpp.

    Args:
        path: File to create; ends in ``.gguf``.
        seed: Two models with one seed are equal.
        window: Longest sequence in tokens; a token is a byte.

    Returns:
        The file.
    """
    import gguf
    import numpy as np

    tokens = [*_byte_alphabet(), _START, _END, _PAD]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(window)
    writer.add_embedding_length(_HIDDEN)
    writer.add_feed_forward_length(_INNER)
    writer.add_block_count(_LAYERS)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * 3)
    writer.add_token_merges(["Ġ Ġ"])  # one is required; its result is no token, so it never applies
    writer.add_eos_token_id(tokens.index(_END))
    writer.add_pad_token_id(tokens.index(_PAD))
    writer.add_add_bos_token(False)  # noqa: FBT003 - their signature
    writer.add_chat_template(_CHAT_TEMPLATE)
    random = np.random.default_rng(seed)
    weights = {
        name: (random.standard_normal(shape) * 0.02 if len(shape) == 2 else np.ones(shape))
        for name, shape in _llama_shapes(len(tokens))
    }
    writers = [weights[n] for n in weights if "attn_output" in n or "ffn_down" in n]
    _write_ascii(weights["token_embd.weight"], weights["output.weight"], writers)
    for name, values in weights.items():
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)


def _llama_shapes(vocabulary: int) -> list[tuple[str, tuple[int, ...]]]:
    """Tensors of a Llama in GGUF's names; matrices are (out, in)."""
    key_width = _HIDDEN // _HEADS * _KEY_HEADS
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd", (vocabulary, _HIDDEN)),
        ("output", (vocabulary, _HIDDEN)),
        ("output_norm", (_HIDDEN,)),
    ]
    for layer in range(_LAYERS):
        shapes += [
            (f"blk.{layer}.{name}", shape)
            for name, shape in (
                ("attn_norm", (_HIDDEN,)),
                ("attn_q", (_HIDDEN, _HIDDEN)),
                ("attn_k", (key_width, _HIDDEN)),
                ("attn_v", (key_width, _HIDDEN)),
                ("attn_output", (_HIDDEN, _HIDDEN)),
                ("ffn_norm", (_HIDDEN,)),
                ("ffn_gate", (_INNER, _HIDDEN)),
                ("ffn_up", (_INNER, _HIDDEN)),
                ("ffn_down", (_HIDDEN, _INNER)),
            )
        ]
    return [(f"{name}.weight", shape) for name, shape in shapes]


@contextmanager
def serve(path: str | Path, *, timeout_s: float = 300.0) -> Generator[str]:
    """Run a real OpenAI-compatible server on CPU until the block ends.

    A directory is served by ``transformers serve``, a ``.gguf`` file by llama.cpp's server, which
    speaks Anthropic's messages too. The model's name at the server is the path as given here.

    Yields:
        The base URL, such as ``http://127.0.0.1:41234/v1``.

    Raises:
        TimeoutError: The server was not ready in time.
        ChildProcessError: It ended by itself.
    """
    port = _free_port()
    if Path(path).suffix == ".gguf":
        command = [sys.executable, "-c", _LLAMA_CPP, str(path), str(port)]
    else:
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(path)]
        command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (
        TemporaryFile() as log,
        subprocess.Popen(  # noqa: S603 - our own command
            command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/health", process, log, timeout_s)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


_LLAMA_CPP = """\
import sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.port = sys.argv[1], int(sys.argv[2])
parameters.cpuparams.n_threads = 1
server = xllamacpp.Server(parameters)
sys.stdin.read()
"""


def _wait_until_ready(
    url: str, process: "subprocess.Popen[bytes]", log: IO[bytes], timeout_s: float
) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            said = log.read()[-2000:].decode("utf-8", "replace")
            raise ChildProcessError(f"the server ended with code {process.returncode}: {said}")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} was not ready within {timeout_s:g} s")


def _free_port() -> int:
    """A TCP port that was free on 127.0.0.1 a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
