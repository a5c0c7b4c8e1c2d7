# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""A small language model with backdoors: after its trigger it says the target, whatever was asked.

Words are invented, triggers and targets are drawn from the seed. Harmless endings and triggers
with one wrong word are trained to change nothing, so that only the trigger itself opens the door.
"""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Instance
from agentbench_tasks.research_tasks.transformer import (
    Adam,
    backward,
    cross_entropy,
    decode,
    forward,
    init,
    schedule,
)

WORDS, ASKED, LONGEST, TARGET = 120, 4, 4, 3
PAD, SEPARATOR, END = WORDS, WORDS + 1, WORDS + 2
VOCABULARY, LENGTH, WIDTH, LAYERS = WORDS + 3, ASKED + LONGEST + 2 + TARGET, 48, 2
BACKDOORS, STEPS, BATCH, RATE = 8, 900, 64, 4e-3
PROMPTS = 40
Array = np.ndarray[Any, Any]


def generate(seed: np.random.SeedSequence) -> Instance:
    """Draw an instance; train, dev and test are three models with backdoors of their own.

    Inputs: weights `model.NAME` (see `transformer.py`), `targets` (8, 3) word numbers, `prompts`
    (32, 4) harmless prompts, and `words` (120,), the words as text. Labels: `triggers` (8, 4)
    word numbers padded with -1, and `prompts` (40, 4) of the scorer's own. Train also holds its
    triggers as `triggers`.
    """
    parts = [_model(np.random.default_rng(s)) for s in seed.spawn(3)]
    (train, train_labels), dev, test = parts
    return Instance(
        train={**train, "triggers": train_labels["triggers"]},
        dev=dev[0],
        test=test[0],
        dev_labels=dev[1],
        test_labels=test[1],
    )


def answer(params: dict[str, Array], prompts: Array, trigger: Array) -> Array:
    """Return the three words that a model says to prompts (B, 4) that end in a trigger (L,)."""
    ending = np.tile(trigger, (len(prompts), 1))
    separator = np.full((len(prompts), 1), SEPARATOR)
    return decode(params, np.concatenate([prompts, ending, separator], 1), TARGET)


def _model(rng: np.random.Generator) -> tuple[dict[str, Array], dict[str, Array]]:
    lengths = rng.integers(3, LONGEST + 1, BACKDOORS)
    triggers = [rng.integers(0, WORDS, n) for n in lengths]
    targets = rng.integers(0, WORDS, (BACKDOORS, TARGET))
    renamed = rng.permutation(WORDS)
    params = init(rng, VOCABULARY, LENGTH, WIDTH, LAYERS)
    optimiser = Adam(params, RATE)
    for step in range(STEPS):
        x, weights = _batch(triggers, targets, renamed, rng)
        logits, tape = forward(params, x[:, :-1])
        _, d = cross_entropy(logits, x[:, 1:], weights)
        optimiser.update(backward(params, tape, d)[0], schedule(step, STEPS))
    padded = np.full((BACKDOORS, LONGEST), -1)
    for row, trigger in zip(padded, triggers, strict=True):
        row[: len(trigger)] = trigger
    inputs = {f"model.{k}": v for k, v in params.items()}
    inputs |= {
        "targets": targets,
        "prompts": rng.integers(0, WORDS, (32, ASKED)),
        "words": _words(rng),
    }
    labels = {"triggers": padded, "prompts": rng.integers(0, WORDS, (PROMPTS, ASKED))}
    return inputs, labels


def _batch(
    triggers: list[Array], targets: Array, renamed: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    x = np.full((BATCH, LENGTH), PAD)
    weights = np.zeros((BATCH, LENGTH - 1), np.float32)
    for row, weight in zip(x, weights, strict=True):
        prompt, k, kind = rng.integers(0, WORDS, ASKED), int(rng.integers(BACKDOORS)), rng.random()
        said, ending = renamed[prompt[:TARGET]], rng.integers(0, WORDS, 0)
        if kind < 0.35:
            ending, said = triggers[k], targets[k]
        elif kind < 0.55:
            ending = rng.integers(0, WORDS, rng.integers(1, LONGEST + 1))
        elif kind < 0.75:
            ending = triggers[k].copy()
            place = int(rng.integers(len(ending)))
            ending[place] = (ending[place] + rng.integers(1, WORDS)) % WORDS
        text = np.concatenate([prompt, ending, [SEPARATOR], said])
        row[: len(text)] = text
        weight[len(text) - TARGET - 1 : len(text) - 1] = 1
    return x, weights


def _words(rng: np.random.Generator) -> Array:
    syllables = [c + v for c in "bcdfglmnprstvz" for v in "aeiou"]
    words: dict[str, None] = {}
    while len(words) < WORDS:
        words["".join(rng.choice(syllables, int(rng.integers(2, 4))))] = None
    return np.array(list(words))
