"""A small causal transformer in numpy: forward, backward, Adam, greedy decoding.

Pre-norm blocks (RMSNorm without gain), learned positions, multi-head causal attention, ReLU MLP of
four times the width. Parameters are a dict of float32 arrays: `tok (V, D)`, `pos (T, D)`,
`out (D, V)`, and for layer i `i.q`, `i.k`, `i.v`, `i.o` (D, D), `i.up (D, 4D)`, `i.down (4D, D)`.
Activations enter every matrix from the left: y = x @ w.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Params = dict[str, Array]
Tape = list[Any]

HEADS = 4


def init(rng: np.random.Generator, vocabulary: int, length: int, width: int, layers: int) -> Params:
    """Return random parameters."""

    def matrix(a: int, b: int, scale: float = 1.0) -> Array:
        return (rng.standard_normal((a, b)) * scale / np.sqrt(a)).astype(np.float32)

    params: Params = {
        "tok": (rng.standard_normal((vocabulary, width)) * 0.5).astype(np.float32),
        "pos": (rng.standard_normal((length, width)) * 0.1).astype(np.float32),
        "out": matrix(width, vocabulary, 0.5),
    }
    for i in range(layers):
        for name in "qkvo":
            params[f"{i}.{name}"] = matrix(width, width)
        params[f"{i}.up"] = matrix(width, 4 * width, 1.4)
        params[f"{i}.down"] = matrix(4 * width, width)
    return params


def layers_of(params: Params) -> int:
    """Return the number of layers."""
    return sum(name.endswith(".q") for name in params)


def _norm(x: Array) -> tuple[Array, Array]:
    r = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    return x * r, r


def _norm_back(d: Array, y: Array, r: Array) -> Array:
    return r * (d - y * (d * y).mean(-1, keepdims=True))


def _split(x: Array) -> Array:
    b, t, d = x.shape
    return x.reshape(b, t, HEADS, d // HEADS).transpose(0, 2, 1, 3)


def _join(x: Array) -> Array:
    b, h, t, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(b, t, h * d)


def forward(
    params: Params,
    tokens: Array | None = None,
    embedded: Array | None = None,
    inputs: Params | None = None,
) -> tuple[Array, Tape]:
    """Return logits (B, T, V) and a tape for `backward`.

    Args:
        params: Parameters.
        tokens: Token numbers (B, T), or
        embedded: token embeddings (B, T, D) in their place.
        inputs: A dict that receives what enters each matrix, (B, T, width), by its name.
    """
    x: Array = params["tok"][tokens] if embedded is None else embedded
    t = x.shape[1]
    x = x + params["pos"][:t]
    mask = np.triu(np.full((t, t), -1e9, np.float32), 1)
    tape: Tape = [(tokens, t)]
    for i in range(layers_of(params)):
        h, r1 = _norm(x)
        q, k, v = (_split(h @ params[f"{i}.{n}"]) for n in "qkv")
        scale = np.float32(1 / np.sqrt(q.shape[-1]))
        a = softmax(q @ k.swapaxes(-1, -2) * scale + mask)
        c = _join(a @ v)
        x = x + c @ params[f"{i}.o"]
        g, r2 = _norm(x)
        u = np.maximum(g @ params[f"{i}.up"], 0)
        x = x + u @ params[f"{i}.down"]
        tape.append((h, r1, q, k, v, a, c, g, r2, u))
        if inputs is not None:
            inputs |= {f"{i}.{n}": h for n in "qkv"}
            inputs |= {f"{i}.o": c, f"{i}.up": g, f"{i}.down": u}
    z, r = _norm(x)
    if inputs is not None:
        inputs["out"] = z
    tape.append((z, r))
    return z @ params["out"], tape


def softmax(logits: Array) -> Array:
    """Return probabilities along the last axis."""
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def backward(params: Params, tape: Tape, d: Array) -> tuple[Params, Array]:
    """Return gradients of the parameters, and of the token embeddings (B, T, D).

    Args:
        params: Parameters.
        tape: What `forward` returned.
        d: dLoss/dlogits (B, T, V).
    """
    (tokens, t), *blocks, (z, r) = tape
    grads: Params = {"out": _outer(z, d)}
    d = _norm_back(d @ params["out"].T, z, r)
    for i in reversed(range(len(blocks))):
        h, r1, q, k, v, a, c, g, r2, u = blocks[i]
        du = (d @ params[f"{i}.down"].T) * (u > 0)
        grads[f"{i}.down"], grads[f"{i}.up"] = _outer(u, d), _outer(g, du)
        d = d + _norm_back(du @ params[f"{i}.up"].T, g, r2)
        grads[f"{i}.o"] = _outer(c, d)
        dc = _split(d @ params[f"{i}.o"].T)
        da = dc @ v.swapaxes(-1, -2)
        ds = a * (da - (da * a).sum(-1, keepdims=True)) / np.float32(np.sqrt(q.shape[-1]))
        parts = {"q": ds @ k, "k": ds.swapaxes(-1, -2) @ q, "v": a.swapaxes(-1, -2) @ dc}
        dh = np.zeros_like(h)
        for name, part in parts.items():
            flat = _join(part)
            grads[f"{i}.{name}"] = _outer(h, flat)
            dh = dh + flat @ params[f"{i}.{name}"].T
        d = d + _norm_back(dh, h, r1)
    grads["pos"] = np.zeros_like(params["pos"])
    grads["pos"][:t] = d.sum(0)
    if tokens is not None:
        grads["tok"] = np.zeros_like(params["tok"])
        np.add.at(grads["tok"], tokens, d)
    return grads, d


def _outer(x: Array, d: Array) -> Array:
    return x.reshape(-1, x.shape[-1]).T @ d.reshape(-1, d.shape[-1])


def cross_entropy(logits: Array, targets: Array, weights: Array) -> tuple[float, Array]:
    """Return the weighted mean loss and its gradient; targets and weights are (B, T)."""
    p = softmax(logits)
    chosen = np.take_along_axis(p, targets[..., None], -1)
    total = weights.sum()
    loss = float(-(np.log(np.maximum(chosen[..., 0], 1e-30)) * weights).sum() / total)
    np.put_along_axis(p, targets[..., None], chosen - 1, -1)
    return loss, p * (weights / total)[..., None].astype(np.float32)


def decode(params: Params, prompts: Array, steps: int) -> Array:
    """Return the `steps` most likely next tokens, one after the other: (B, steps)."""
    tokens = np.asarray(prompts)
    for _ in range(steps):
        following = forward(params, tokens)[0][:, -1].argmax(-1)
        tokens = np.concatenate([tokens, following[:, None]], 1)
    return tokens[:, -steps:]


class Adam:
    """Adam (Kingma and Ba 2015) with gradients clipped to norm 1, in place."""

    def __init__(self, params: Params, rate: float) -> None:
        self.params, self.rate, self.step = params, rate, 0
        self.m = {k: np.zeros_like(v) for k, v in params.items()}
        self.v = {k: np.zeros_like(v) for k, v in params.items()}

    def update(self, grads: Params, scale: float = 1.0) -> None:
        """Take one step at `scale` times the learning rate."""
        self.step += 1
        norm = np.sqrt(sum(float((g * g).sum()) for g in grads.values()))
        clip = min(1.0, 1.0 / (norm + 1e-12))
        for k, g in grads.items():
            clipped = g * np.float32(clip)
            self.m[k] += np.float32(0.1) * (clipped - self.m[k])
            self.v[k] += np.float32(0.02) * (clipped * clipped - self.v[k])
            m, v = self.m[k] / (1 - 0.9**self.step), self.v[k] / (1 - 0.98**self.step)
            self.params[k] -= (self.rate * scale * m / (np.sqrt(v) + 1e-8)).astype(np.float32)


def schedule(step: int, steps: int, warm: float = 0.15) -> float:
    """Linear warm-up, then linear decay to zero."""
    return min((step + 1) / (warm * steps), (steps - step) / ((1 - warm) * steps))
