# pyright: basic
# (torch and transformers are optional dependencies)
"""Causal language models run by the scorer: its own code, weights from safetensors only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentbench_tasks.errors import MissingExtraError
from agentbench_tasks.research_tasks.weights import read_weights, require_torch

SYSTEM = "You are a helpful assistant."


def load_model(folder: Path, weights: Path | None = None) -> tuple[Any, Any]:
    """Load model and tokenizer of a folder that we trust.

    Args:
        folder: `config.json`, tokenizer files and `*.safetensors`; no code of it is run.
        weights: A hostile safetensors file to take the weights from instead.

    Raises:
        MissingExtraError: transformers is not installed.
        InvalidOutputError: The weights do not fit the model.
    """
    torch = require_torch()
    try:
        from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    except ImportError:
        raise MissingExtraError(
            "this task runs language models: pip install 'agentbench-tasks[research]'"
        ) from None
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, use_safetensors=True, dtype=dtype, **options
    )
    # Reads tokenizer.json and nothing else: no code, and no guess from the kind of model.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if weights is not None:
        own = model.state_dict()
        tied = set(getattr(model, "_tied_weights_keys", None) or ())
        tied = tied if getattr(model.config, "tie_word_embeddings", False) else set()
        like = {name: tensor for name, tensor in own.items() if name not in tied}
        model.load_state_dict(read_weights(weights, like), strict=not tied)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def choice_scores(model: Any, tokenizer: Any, prompt: str, choices: Sequence[str]) -> list[float]:  # noqa: ANN401
    """Log-likelihood of each choice after the prompt, divided by its length in bytes."""
    torch = require_torch()
    start = tokenizer(prompt)["input_ids"] or [tokenizer.eos_token_id]
    scores = []
    for choice in choices:
        tail = tokenizer(choice, add_special_tokens=False)["input_ids"]
        if not tail:
            scores.append(float("-inf"))
            continue
        tokens = torch.tensor([[*start, *tail]], device=model.device)
        with torch.no_grad():
            logits = model(tokens).logits[0, len(start) - 1 : -1].float()
        chosen = torch.log_softmax(logits, -1).gather(1, tokens[0, len(start) :, None])
        scores.append(float(chosen.sum()) / len(choice.encode()))
    return scores


def generate(model: Any, tokenizer: Any, texts: Sequence[str], *, new_tokens: int) -> list[str]:  # noqa: ANN401
    """What the model answers, greedily, to each text as the user's turn of a chat."""
    torch = require_torch()
    tokenizer.padding_side = "left"
    chats = [
        tokenizer.apply_chat_template(
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
        )
        for text in texts
    ]
    said: list[str] = []
    for first in range(0, len(chats), 64):
        batch = tokenizer(
            chats[first : first + 64], return_tensors="pt", padding=True, add_special_tokens=False
        ).to(model.device)
        with torch.no_grad():
            tokens = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        answers = tokens[:, batch["input_ids"].shape[1] :]
        said += tokenizer.batch_decode(answers, skip_special_tokens=True)
    return said
