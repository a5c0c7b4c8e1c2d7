# pyright: basic
# (torch is an optional dependency)
"""Machine unlearning, NeurIPS 2023, on CIFAR-10 and the organisers' ResNet-18.

Raw files: `cifar-10-binary.tar.gz` (records of a label and 3 x 32 x 32 bytes), the organisers'
`forget_idx.npy` and `weights_resnet18_cifar10.pth`. The competition's own test, faces of CASIA-SURF
on Kaggle, is not to be had: here the test is another forget set, drawn with a secret seed, for the
same original network. The reference distribution is real: when the task is prepared, networks are
trained without the forget set, from other seeds (MLRC-Bench adds noise to a single one).
"""

from pathlib import Path
from typing import Any

import numpy as np

from agentbench_tasks.errors import PreparationError
from agentbench_tasks.research_data import Folders, read_arrays, write_arrays
from agentbench_tasks.research_raw import find
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.unlearning.metric import forget_epsilons, forgetting_quality
from agentbench_tasks.research_tasks.unlearning.score import log_odds
from agentbench_tasks.research_tasks.weights import read_weights, require_torch

MODELS, EPOCHS, BATCH, RATE = 10, 30, 128, 0.1
RECORD, SIDE = 1 + 3 * 32 * 32, 32
Array = np.ndarray[Any, Any]


def build(raw: Path, into: Folders) -> None:
    """Lay out images, original network and forget sets, and retrain without each forget set.

    Inputs of a phase: `model.safetensors`, `retain_x` (N, 32, 32, 3) uint8, `retain_y`, `forget_x`,
    `forget_y`, `val_x`, `val_y` (half of CIFAR-10's test set). Labels: `retrained` (10, S)
    confidences, accuracies of the retrained networks, and the other half as `new_x`, `new_y`.
    """
    torch = require_torch()
    from safetensors.torch import save_file

    x, y = _records([find(raw, f"data_batch_{i}.bin") for i in range(1, 6)])
    held_x, held_y = _records([find(raw, "test_batch.bin")])
    # Tensors only: weights_only refuses a pickle that holds anything else.
    weights = torch.load(
        find(raw, "weights_resnet18_cifar10.pth"), map_location="cpu", weights_only=True
    )
    given = np.load(find(raw, "forget_idx.npy"), allow_pickle=False).astype(np.int64)
    if given.min() < 0 or given.max() >= len(x):
        raise PreparationError(f"forget_idx.npy points beyond the {len(x)} training images")
    draw, dev_seed, test_seed = (np.random.default_rng(s) for s in into.seed.spawn(3))
    drawn = draw.permutation(len(x))[: len(given)]
    half = draw.permutation(len(held_x))
    val, new = np.array_split(half, 2)
    for inputs, labels, forget, rng in (
        (into.dev, into.dev_labels, given, dev_seed),
        (into.test, into.test_labels, drawn, test_seed),
    ):
        retain = np.setdiff1d(np.arange(len(x)), forget)
        write_arrays(
            inputs,
            {
                "retain_x": x[retain],
                "retain_y": y[retain],
                "forget_x": x[forget],
                "forget_y": y[forget],
                "val_x": held_x[val],
                "val_y": held_y[val],
            },
        )
        save_file(weights, inputs / "model.safetensors")
        nets = [
            train_network(weights, x[retain], y[retain], int(rng.integers(2**31)))
            for _ in range(MODELS)
        ]
        parts = ((x[forget], y[forget]), (x[retain], y[retain]), (held_x[new], held_y[new]))
        logits = [[predict(net, images) for images, _ in parts] for net in nets]
        write_arrays(
            labels,
            {
                "retrained": np.stack([log_odds(f, y[forget]) for f, _, _ in logits]),
                "retain_accuracy": np.array(_accuracy([r for _, r, _ in logits], y[retain])),
                "new_accuracy": np.array(_accuracy([n for _, _, n in logits], held_y[new])),
                "new_x": held_x[new],
                "new_y": held_y[new],
            },
        )


def statistic(labels: Path, inputs: Path, read: OutputReader) -> Statistic:
    """Units are the examples of the forget set; weights `model0.safetensors`, ... are loaded."""
    truth, data = read_arrays(labels), read_arrays(inputs)
    original = _state(inputs / "model.safetensors")
    found, kept, new = [], [], []
    for i in range(len(truth["retrained"])):
        net = _network(read_weights(read.file(f"model{i}.safetensors"), original))
        found.append(log_odds(predict(net, data["forget_x"]), data["forget_y"]))
        kept.append(predict(net, data["retain_x"]))
        new.append(predict(net, truth["new_x"]))
    epsilons = forget_epsilons(np.stack(found), truth["retrained"])
    utility = _accuracy(kept, data["retain_y"]) / float(truth["retain_accuracy"])
    utility *= _accuracy(new, truth["new_y"]) / float(truth["new_accuracy"])

    def value(units: Array) -> float:
        return forgetting_quality(epsilons[units]) * utility

    return Statistic(n=len(epsilons), value=value)


def train_network(like: dict[str, Any], x: Array, y: Array, seed: int) -> Any:  # noqa: ANN401
    """Train a network of the same shape: SGD with momentum, cosine schedule, flips and crops."""
    torch = require_torch()
    from agentbench_tasks.research_tasks.resnet import ResNet18, normalised

    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = ResNet18(len(like["fc.bias"]), len(like["bn1.weight"])).to(device).train()
    rng = np.random.default_rng(seed)
    steps = EPOCHS * -(-len(x) // BATCH)
    optimiser = torch.optim.SGD(net.parameters(), RATE, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(EPOCHS):
        for rows in np.array_split(rng.permutation(len(x)), -(-len(x) // BATCH)):
            images = normalised(torch.from_numpy(_moved(x[rows], rng)).to(device))
            target = torch.from_numpy(y[rows]).to(device)
            loss = torch.nn.functional.cross_entropy(net(images), target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def predict(net: Any, x: Array) -> Array:  # noqa: ANN401 - a module
    """Logits (N, classes) of images (N, 32, 32, 3) uint8."""
    torch = require_torch()
    from agentbench_tasks.research_tasks.resnet import normalised

    device = next(net.parameters()).device
    parts = np.array_split(np.arange(len(x)), -(-len(x) // 1000))
    with torch.no_grad():
        out = [net(normalised(torch.from_numpy(np.array(x[p])).to(device))).cpu() for p in parts]
    return torch.cat(out).numpy().astype(np.float64)


def _moved(x: Array, rng: np.random.Generator) -> Array:
    """Flip half of the images, and shift all of them by up to four pixels."""
    x = np.where(rng.random((len(x), 1, 1, 1)) < 0.5, x[:, :, ::-1], x)
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)))
    a, b = rng.integers(0, 9, 2)
    return np.ascontiguousarray(padded[:, a : a + SIDE, b : b + SIDE])


def _accuracy(logits: list[Array], y: Array) -> float:
    return float(np.mean([(part.argmax(1) == y).mean() for part in logits]))


def _records(paths: list[Path]) -> tuple[Array, Array]:
    data = np.concatenate([np.fromfile(path, np.uint8) for path in paths])
    if not len(data) or len(data) % RECORD:
        raise PreparationError(f"{paths[0].name} is not made of records of {RECORD} bytes")
    rows = data.reshape(-1, RECORD)
    images = rows[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), rows[:, 0].astype(np.int64)


def _state(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


def _network(weights: dict[str, Any]) -> Any:  # noqa: ANN401 - a module
    torch = require_torch()
    from agentbench_tasks.research_tasks.resnet import from_weights

    return from_weights(weights).to("cuda" if torch.cuda.is_available() else "cpu").eval()
