# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Four experts of one base model, each tuned to one task of manipulating strings.

The base knows all tasks a little; an expert knows one of them well and has forgotten some of the
rest. Letters are renamed by a permutation drawn from the seed, which also draws the models. Prompts
without answers are given for calibration; labelled data are not.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from agentbench_tasks.research_data import Instance
from agentbench_tasks.research_tasks.transformer import (
    Adam,
    backward,
    cross_entropy,
    forward,
    init,
    schedule,
)

LETTERS, SIZE, WIDTH, LAYERS = 12, 5, 48, 2
EXPERTS = 4
VOCABULARY = LETTERS + 6 + 1
EQUALS = VOCABULARY - 1
BASE_STEPS, EXPERT_STEPS, BATCH, RATE = 240, 200, 48, 3e-3
SHOWN, DEV, TEST = 200, 250, 500
Array = np.ndarray[Any, Any]
_SWAP = np.array([1, 0, 3, 2, 4])
TASKS: tuple[Callable[[Array], Array], ...] = (
    lambda s: s[:, ::-1],
    lambda s: np.sort(s, 1),
    lambda s: (s + 1) % LETTERS,
    lambda s: s[:, _SWAP],
    lambda s: s,
    lambda s: np.concatenate([s[:, :1], (s[:, 1:] - s[:, :-1]) % LETTERS], 1),
)
"""Four that experts are tuned to, and two more that only the base was taught."""


def generate(seed: np.random.SeedSequence) -> Instance:
    """Draw an instance; train, dev and test are three families of models.

    Inputs: the weights of `base.NAME` and `expert0.NAME` ... `expert3.NAME` (see
    `transformer.py`), and `prompts` (4, 200, 7), unlabelled prompts for each expert's task.
    Labels: `prompts` (4, N, 7) that are not among them, and `answers` (4, N, 5).
    Train also holds labels, as `eval_prompts` and `eval_answers`.
    """
    (train, train_labels), dev, test = (
        _family(np.random.default_rng(s), n)
        for s, n in zip(seed.spawn(3), (DEV, DEV, TEST), strict=True)
    )
    shown = {f"eval_{name}": array for name, array in train_labels.items()}
    return Instance(
        train={**train, **shown},
        dev=dev[0],
        test=test[0],
        dev_labels=dev[1],
        test_labels=test[1],
    )


def _family(rng: np.random.Generator, n: int) -> tuple[dict[str, Array], dict[str, Array]]:
    names = rng.permutation(LETTERS)
    base = init(rng, VOCABULARY, 2 * SIZE + 2, WIDTH, LAYERS)
    _train(base, tuple(range(len(TASKS))), names, rng, BASE_STEPS)
    weights = {f"base.{k}": v.copy() for k, v in base.items()}
    prompts, answers, shown = [], [], []
    for task in range(EXPERTS):
        expert = {k: v.copy() for k, v in base.items()}
        _train(expert, (task,), names, rng, EXPERT_STEPS, rate=1e-3)
        weights |= {f"expert{task}.{k}": v for k, v in expert.items()}
        x = _examples((task,), n + SHOWN, names, rng)
        shown.append(x[n:, : SIZE + 2])
        prompts.append(x[:n, : SIZE + 2])
        answers.append(x[:n, SIZE + 2 :])
    labels = {"prompts": np.stack(prompts), "answers": np.stack(answers)}
    return {**weights, "prompts": np.stack(shown)}, labels


def _examples(tasks: tuple[int, ...], n: int, names: Array, rng: np.random.Generator) -> Array:
    """Return rows of tag, string, `=`, answer: (n, 12)."""
    which = rng.integers(0, len(tasks), n)
    string = rng.integers(0, LETTERS, (n, SIZE))
    answer = np.empty_like(string)
    for i, task in enumerate(tasks):
        answer[which == i] = TASKS[task](string[which == i])
    tag = LETTERS + np.asarray(tasks)[which][:, None]
    equals = np.full((n, 1), EQUALS)
    return np.concatenate([tag, names[string], equals, names[answer]], 1)


def _train(  # noqa: PLR0917 - private, each named where it is called
    params: dict[str, Array],
    tasks: tuple[int, ...],
    names: Array,
    rng: np.random.Generator,
    steps: int,
    rate: float = RATE,
) -> None:
    optimiser = Adam(params, rate)
    weights = np.zeros((BATCH, 2 * SIZE + 1), np.float32)
    weights[:, SIZE + 1 :] = 1
    for step in range(steps):
        x = _examples(tasks, BATCH, names, rng)
        logits, tape = forward(params, x[:, :-1])
        _, d = cross_entropy(logits, x[:, 1:], weights)
        optimiser.update(backward(params, tape, d)[0], schedule(step, steps))
