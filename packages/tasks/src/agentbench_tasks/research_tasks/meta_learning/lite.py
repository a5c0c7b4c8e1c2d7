# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Ten domains of small grey images, drawn by five kinds of generator.

Kinds: strokes (written characters of curved lines), gratings (two Gabor waves), clouds (random
fields of one spectrum), constellations (blobs at fixed places), and outlines (polygons). Each kind
is used for two domains with parameters of their own, one of them for training. A class is a point
of a domain's space, an image a jittered, noisy drawing of it. Everything is drawn from the seed.
Every few-shot task has drawings of its own: no query is an example of another task.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from agentbench_tasks.research_data import Instance

SIDE, CLASSES, IMAGES, QUERIES = 20, 24, 30, 5
TRAIN, DEV, TEST = (0, 1, 2, 3, 4), (5, 6), (7, 8, 9)
TASKS_PER_DOMAIN = {"dev": 50, "test": 80}
Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator], Array]
Drawings = Callable[[np.random.Generator, int], Array]
_Y, _X = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1


def generate(seed: np.random.SeedSequence) -> Instance:
    """Draw an instance.

    Train: `images` (5 domains, 24 classes, 30, 20, 20) uint8. Dev and test: tasks of 2 to 20 ways
    and 1 to 20 shots as `support` (S, 20, 20) with `support_label`, `support_task`; `query`
    (Q, 20, 20) with `query_task`; and `ways` (tasks,).
    """
    world, picture, dev, test = (np.random.default_rng(s) for s in seed.spawn(4))
    kinds = (_strokes, _gratings, _clouds, _constellations, _outlines)
    order = (0, 1, 2, 3, 4, 1, 4, 0, 2, 3)
    domains = [_domain(kinds[k], world) for k in order]
    train = [[draw(picture, IMAGES) for draw in domains[d]] for d in TRAIN]
    dev_inputs, dev_labels = _tasks(domains, DEV, TASKS_PER_DOMAIN["dev"], dev)
    test_inputs, test_labels = _tasks(domains, TEST, TASKS_PER_DOMAIN["test"], test)
    return Instance(
        train={"images": np.array(train)},
        dev=dev_inputs,
        test=test_inputs,
        dev_labels=dev_labels,
        test_labels=test_labels,
    )


def _domain(
    kind: Callable[[np.random.Generator], Callable[[], Draw]], world: np.random.Generator
) -> list[Drawings]:
    """Return for each of 24 classes a function that draws n images (n, 20, 20) uint8."""
    new_class = kind(world)
    contrast, noise = world.uniform(0.6, 0.9), world.uniform(0.1, 0.25)

    def drawings(draw: Draw) -> Drawings:
        def several(rng: np.random.Generator, n: int) -> Array:
            clean = contrast * np.array([draw(rng) for _ in range(n)])
            clean += noise * rng.standard_normal((n, SIDE, SIDE))
            return (np.clip(clean, 0, 1) * 255).astype(np.uint8)

        return several

    return [drawings(new_class()) for _ in range(CLASSES)]


def _blobs(points: Array, width: float) -> Array:
    """Brightness 1 near any of the points (P, 2), falling off with a Gaussian width."""
    distance = (_X[None] - points[:, 0, None, None]) ** 2 + (
        _Y[None] - points[:, 1, None, None]
    ) ** 2
    return np.exp(-distance.min(0) / (2 * width**2))


def _moved(rng: np.random.Generator, points: Array, jitter: float) -> Array:
    """Rotate, scale and shift points a little."""
    angle, scale = rng.normal(0, jitter), rng.normal(1, 0.6 * jitter)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + rng.normal(0, 0.5 * jitter, 2)


def _strokes(world: np.random.Generator) -> Callable[[], Draw]:
    strokes, width, jitter = (
        int(world.integers(2, 5)),
        world.uniform(0.07, 0.13),
        world.uniform(0.2, 0.28),
    )
    t = np.linspace(0, 1, 14)[:, None]

    def new_class() -> Draw:
        controls = world.uniform(-0.85, 0.85, (strokes, 3, 2))

        def draw(rng: np.random.Generator) -> Array:
            c = controls + rng.normal(0, 0.4 * jitter, controls.shape)
            curves = [(1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * d for a, b, d in c]
            return _blobs(_moved(rng, np.concatenate(curves), jitter), width)

        return draw

    return new_class


def _gratings(world: np.random.Generator) -> Callable[[], Draw]:
    low, high, jitter = world.uniform(1, 2), world.uniform(5, 8), world.uniform(0.05, 0.12)

    def new_class() -> Draw:
        frequency, angle = world.uniform(low, high, 2), world.uniform(0, np.pi, 2)
        mix = world.uniform(0.3, 0.7)

        def draw(rng: np.random.Generator) -> Array:
            turn, phase = rng.normal(0, jitter), rng.uniform(0, 2 * np.pi, 2)
            waves = [
                np.sin(f * (_X * np.cos(a + turn) + _Y * np.sin(a + turn)) * np.pi + p)
                for f, a, p in zip(frequency, angle, phase, strict=True)
            ]
            return 0.5 + 0.5 * (mix * waves[0] + (1 - mix) * waves[1])

        return draw

    return new_class


def _clouds(world: np.random.Generator) -> Callable[[], Draw]:
    ky, kx = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    spread = world.uniform(0.5, 1.0)

    def new_class() -> Draw:
        slope, angle = world.uniform(0.3, 2.2), world.uniform(0, np.pi)
        stretch, gain = 1 + world.uniform(0, 4) * spread, world.uniform(0.12, 0.4)
        u, v = kx * np.cos(angle) + ky * np.sin(angle), ky * np.cos(angle) - kx * np.sin(angle)
        spectrum = (u**2 + (stretch * v) ** 2 + 0.002) ** (-slope / 2)
        spectrum[0, 0] = 0

        def draw(rng: np.random.Generator) -> Array:
            f = np.fft.irfft2(
                np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * spectrum, (SIDE, SIDE)
            )
            return 0.5 + gain * f / f.std()

        return draw

    return new_class


def _constellations(world: np.random.Generator) -> Callable[[], Draw]:
    dots, width, jitter = (
        int(world.integers(4, 8)),
        world.uniform(0.1, 0.16),
        world.uniform(0.2, 0.28),
    )

    def new_class() -> Draw:
        points = world.uniform(-0.8, 0.8, (dots, 2))

        def draw(rng: np.random.Generator) -> Array:
            return _blobs(
                _moved(rng, points + rng.normal(0, 0.3 * jitter, points.shape), jitter), width
            )

        return draw

    return new_class


def _outlines(world: np.random.Generator) -> Callable[[], Draw]:
    corners, width, jitter = (
        int(world.integers(4, 8)),
        world.uniform(0.07, 0.11),
        world.uniform(0.2, 0.28),
    )
    t = np.linspace(0, 1, 8, endpoint=False)[:, None]

    def new_class() -> Draw:
        angle = np.sort(world.uniform(0, 2 * np.pi, corners))
        radius = world.uniform(0.3, 0.9, corners)
        polygon = radius[:, None] * np.c_[np.cos(angle), np.sin(angle)]

        def draw(rng: np.random.Generator) -> Array:
            p = polygon + rng.normal(0, 0.3 * jitter, polygon.shape)
            sides = [(1 - t) * a + t * b for a, b in zip(p, np.roll(p, -1, 0), strict=True)]
            return _blobs(_moved(rng, np.concatenate(sides), jitter), width)

        return draw

    return new_class


def _tasks(
    domains: list[list[Drawings]], chosen: tuple[int, ...], n: int, rng: np.random.Generator
) -> tuple[dict[str, Array], dict[str, Array]]:
    parts: dict[str, list[Array]] = {k: [] for k in ("s", "sl", "st", "q", "ql", "qt")}
    ways, domain = [], []
    for d in chosen:
        for _ in range(n):
            way, shot, task = int(rng.integers(2, 21)), int(rng.integers(1, 21)), len(ways)
            ways.append(way)
            domain.append(d)
            for label, c in enumerate(rng.permutation(CLASSES)[:way]):
                drawn = domains[d][c](rng, shot + QUERIES)
                for name, images in (("s", drawn[:shot]), ("q", drawn[shot:])):
                    parts[name].append(images)
                    parts[name + "l"].append(np.full(len(images), label, np.int16))
                    parts[name + "t"].append(np.full(len(images), task, np.int16))
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    shuffled = rng.permutation(len(joined["q"]))
    inputs = {
        "support": joined["s"],
        "support_label": joined["sl"],
        "support_task": joined["st"],
        "query": joined["q"][shuffled],
        "query_task": joined["qt"][shuffled],
        "ways": np.array(ways, np.int16),
    }
    labels = {"query_label": joined["ql"][shuffled], "task_domain": np.array(domain, np.int16)}
    return inputs, labels
