"""How a method is called, and what becomes of its answer."""

import numpy as np


def run(method, train, inputs, outputs, seed):
    data = {p.stem: np.load(p) for p in inputs.glob("*.npy")}
    weights = {k: data.pop(k) for k in list(data) if k[0] in "wb"}
    names = sorted(weights)
    rng = np.random.default_rng(seed)
    changed = method.run(weights, **data, rng=rng)
    for name in names:
        np.save(outputs / f"{name}.npy", np.asarray(changed[name], np.float32))
