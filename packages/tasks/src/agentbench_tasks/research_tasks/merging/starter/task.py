"""How a method is called, and what becomes of its answer."""

import numpy as np


def models(folder):
    """Return the base model, the experts, and unlabelled prompts of each expert's task."""
    data = {p.stem: np.load(p) for p in folder.glob("*.npy")}

    def model(name):
        return {k.split(".", 1)[1]: v for k, v in data.items() if k.startswith(name + ".")}

    return model("base"), [model(f"expert{i}") for i in range(4)], data["prompts"]


def run(method, train, inputs, outputs, seed):
    base, experts, prompts = models(inputs)
    merged = method.merge(base, experts, prompts, np.random.default_rng(seed))
    for name in base:
        np.save(outputs / f"{name}.npy", np.asarray(merged[name], np.float32))
