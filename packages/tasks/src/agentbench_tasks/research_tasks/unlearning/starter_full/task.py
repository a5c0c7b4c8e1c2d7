"""How a method is called, and what becomes of its answer."""

import numpy as np
import torch
from resnet import from_weights
from safetensors.torch import load_file, save_file

MODELS = 10  # times that a method is run, from the same network with other seeds


def run(method, train, inputs, outputs, seed):
    weights = load_file(inputs / "model.safetensors")
    data = {p.stem: np.load(p) for p in inputs.glob("*.npy")}
    pairs = {name: (data[f"{name}_x"], data[f"{name}_y"]) for name in ("retain", "forget", "val")}
    for i in range(MODELS):
        torch.manual_seed(seed + i)
        net = from_weights({k: v.clone() for k, v in weights.items()})
        net.to("cuda" if torch.cuda.is_available() else "cpu")
        changed = method.run(net, **pairs, seed=seed + i).state_dict()
        save_file(
            {k: v.cpu().contiguous() for k, v in changed.items()}, outputs / f"model{i}.safetensors"
        )
