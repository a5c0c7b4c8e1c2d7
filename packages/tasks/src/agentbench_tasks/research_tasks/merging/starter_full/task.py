"""How a method is called, and what becomes of its answer."""

import numpy as np
import torch
from safetensors.torch import load_file, save_file


def model(folder):
    """Return the weights of a model, parameter name -> tensor."""
    return {k: v for p in sorted(folder.glob("*.safetensors")) for k, v in load_file(p).items()}


def run(method, train, inputs, outputs, seed):
    base, experts = model(inputs / "base"), [model(p) for p in sorted(inputs.glob("expert*"))]
    torch.manual_seed(seed)
    merged = method.merge(base, experts, None, np.random.default_rng(seed))
    tensors = {k: merged[k].to(v.dtype).contiguous().clone() for k, v in base.items()}
    save_file(tensors, outputs / "model.safetensors")
