# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Networks that learnt some labels by heart, and networks that never saw those examples.

Ten classes of three clusters each. A tenth of the training set must be forgotten; two thirds of
that carry a wrong label, so that having been trained on it shows. The reference distribution is
real: as many networks retrained without the forget set, from other seeds. The agent's method sees
only a part of what is retained, as in practice.
"""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Instance
from agentbench_tasks.research_tasks.ensemble import forward, init, train
from agentbench_tasks.research_tasks.unlearning.score import confidence

FEATURES, CLASSES, CLUSTERS, HIDDEN = 20, 10, 3, 48
RETAIN, SHOWN, FORGET, WRONG, NEW = 900, 600, 120, 80, 1000
MODELS, EPOCHS = 48, 40
Array = np.ndarray[Any, Any]


def generate(seed: np.random.SeedSequence) -> Instance:
    """Draw an instance; train, dev and test are three data sets with networks of their own.

    Inputs: `w0 (48, 20, 48) b0 w1 b1 w2 b2` of 48 trained networks, `retain_x (600, 20)`,
    `retain_y`, `forget_x (120, 20)`, `forget_y`. Train also holds `new_x`, `new_y` and the weights
    of networks retrained without the forget set as `retrained_w0`, ...
    """
    parts = [_case(np.random.default_rng(s)) for s in seed.spawn(3)]
    (train_inputs, train_labels, retrained), dev, test = parts
    shown = {k: train_labels[k] for k in ("new_x", "new_y")}
    models = {f"retrained_{k}": v for k, v in retrained.items()}
    return Instance(
        train={**train_inputs, **shown, **models},
        dev=dev[0],
        test=test[0],
        dev_labels=dev[1],
        test_labels=test[1],
    )


def _case(rng: np.random.Generator) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    centres = rng.standard_normal((CLASSES, CLUSTERS, FEATURES)) * 1.1

    def draw(n: int) -> tuple[Array, Array]:
        y = rng.integers(0, CLASSES, n)
        x = centres[y, rng.integers(0, CLUSTERS, n)] + rng.standard_normal((n, FEATURES))
        return x.astype(np.float32), y

    retain_x, retain_y = draw(RETAIN)
    forget_x, forget_y = draw(FORGET)
    forget_y[:WRONG] = (forget_y[:WRONG] + rng.integers(1, CLASSES, WRONG)) % CLASSES
    new_x, new_y = draw(NEW)
    sizes = (FEATURES, HIDDEN, HIDDEN, CLASSES)
    x, y = np.concatenate([retain_x, forget_x]), np.concatenate([retain_y, forget_y])
    original = train(init(rng, MODELS, sizes), x, y, rng, EPOCHS)
    retrained = train(init(rng, MODELS, sizes), retain_x, retain_y, rng, EPOCHS)
    order = rng.permutation(FORGET)
    forget_x, forget_y = forget_x[order], forget_y[order]
    inputs = {
        **original,
        "retain_x": retain_x[:SHOWN],
        "retain_y": retain_y[:SHOWN],
        "forget_x": forget_x,
        "forget_y": forget_y,
    }
    labels = {
        "retrained": confidence(retrained, forget_x, forget_y),
        "all_retain_x": retain_x,
        "all_retain_y": retain_y,
        "new_x": new_x,
        "new_y": new_y,
        "retain_accuracy": np.array(
            (forward(retrained, retain_x)[0].argmax(-1) == retain_y).mean()
        ),
        "new_accuracy": np.array((forward(retrained, new_x)[0].argmax(-1) == new_y).mean()),
    }
    return inputs, labels, retrained
