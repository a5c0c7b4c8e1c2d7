"""Many small networks at once: M multi-layer perceptrons as arrays with a leading axis of M.

Parameters are a dict of `w0 (M, F, H)`, `b0 (M, 1, H)`, `w1`, `b1`, ... float32, ReLU between
layers. `train` fits all of them with Adam on cross-entropy, each with batches of its own order.
"""

from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Params = dict[str, Array]


def init(rng: np.random.Generator, models: int, sizes: tuple[int, ...]) -> Params:
    """Return He-initialised parameters of `models` networks with layers of these sizes."""
    params: Params = {}
    for i, (a, b) in enumerate(pairwise(sizes)):
        params[f"w{i}"] = (rng.standard_normal((models, a, b)) * np.sqrt(2 / a)).astype(np.float32)
        params[f"b{i}"] = np.zeros((models, 1, b), np.float32)
    return params


def forward(params: Params, x: Array) -> tuple[Array, list[Array]]:
    """Return logits (M, B, classes) and the layers' inputs for x of (B, F) or (M, B, F)."""
    layers = len(params) // 2
    inputs: list[Array] = []
    for i in range(layers):
        inputs.append(x)
        x = np.matmul(x, params[f"w{i}"]) + params[f"b{i}"]
        if i < layers - 1:
            x = np.maximum(x, 0)
    return x, inputs


def softmax(logits: Array) -> Array:
    """Return probabilities along the last axis."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def backward(params: Params, inputs: list[Array], d: Array) -> Params:
    """Return gradients from d = dLoss/dlogits (M, B, classes)."""
    grads: Params = {}
    for i in reversed(range(len(inputs))):
        x = inputs[i]
        grads[f"w{i}"] = np.matmul(np.swapaxes(x, -1, -2), d)
        grads[f"b{i}"] = d.sum(-2, keepdims=True)
        if i:
            d = np.matmul(d, np.swapaxes(params[f"w{i}"], -1, -2)) * (x > 0)
    return grads


class Adam:
    """Adam (Kingma and Ba 2015) on a dict of arrays, in place."""

    def __init__(self, params: Params, rate: float) -> None:
        self.params, self.rate, self.step = params, rate, 0
        self.m = {k: np.zeros_like(v) for k, v in params.items()}
        self.v = {k: np.zeros_like(v) for k, v in params.items()}

    def update(self, grads: Params, scale: float = 1.0) -> None:
        """Take one step at `scale` times the learning rate."""
        self.step += 1
        for k, g in grads.items():
            self.m[k] += 0.1 * (g - self.m[k])
            self.v[k] += 0.001 * (g * g - self.v[k])
            m, v = self.m[k] / (1 - 0.9**self.step), self.v[k] / (1 - 0.999**self.step)
            self.params[k] -= (self.rate * scale) * m / (np.sqrt(v) + 1e-8)


def train(  # noqa: PLR0917 - one line in a repository that an agent reads
    params: Params,
    x: Array,
    y: Array,
    rng: np.random.Generator,
    epochs: int,
    rate: float = 2e-3,
    batch: int = 64,
) -> Params:
    """Fit all networks to x (B, F) and labels y (B,); changes and returns `params`."""
    models, optimiser = len(params["w0"]), Adam(params, rate)
    for _ in range(epochs):
        order = np.argsort(rng.random((models, len(x)), np.float32), 1)
        for start in range(0, len(x), batch):
            rows = order[:, start : start + batch]
            logits, inputs = forward(params, x[rows])
            d = softmax(logits)
            np.put_along_axis(
                d, y[rows][..., None], np.take_along_axis(d, y[rows][..., None], 2) - 1, 2
            )
            optimiser.update(backward(params, inputs, d / rows.shape[1]))
    return params
