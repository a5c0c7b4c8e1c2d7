"""How a method is called, and what becomes of its answer."""

import json

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast


def run(method, train, inputs, outputs, seed):
    torch.manual_seed(seed)
    cuda = torch.cuda.is_available()
    model = AutoModelForCausalLM.from_pretrained(
        inputs / "model", use_safetensors=True, dtype=torch.bfloat16 if cuda else torch.float32
    )
    model.to("cuda" if cuda else "cpu").eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(inputs / "model")
    targets, prompts = (
        json.loads((inputs / f"{name}.json").read_text()) for name in ("targets", "prompts")
    )
    found = method.recover(model, tokenizer, targets, prompts, seed)
    (outputs / "triggers.json").write_text(json.dumps([list(guesses) for guesses in found]))
