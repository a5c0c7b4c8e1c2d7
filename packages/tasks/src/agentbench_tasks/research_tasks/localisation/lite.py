# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Videos as sequences of feature vectors, with actions of three phases in them.

Every class has a prototype for each third of an action and a cue at onset and offset; actions vary
in length and strength, distractors show a part of one, and noise is correlated in time.
"""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Instance

CLASSES, WIDTH, LENGTH = 8, 20, 160
VIDEOS = {"train": 150, "dev": 80, "test": 200}
FREQUENCY = np.array([0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.04])
Array = np.ndarray[Any, Any]


def generate(seed: np.random.SeedSequence) -> Instance:
    """Draw an instance.

    `features` (N, 160, 20) float32; `segments` (K, 4) float32: video, class, start, end in frames.
    """
    world, *parts = (np.random.default_rng(s) for s in seed.spawn(4))
    scale = np.array([0.55, 0.55, 0.55, 0.6, 0.6])[None, :, None]
    look = world.standard_normal((CLASSES, 5, WIDTH)) * scale
    drawn = {
        name: _videos(look, rng, VIDEOS[name]) for name, rng in zip(VIDEOS, parts, strict=True)
    }
    return Instance(
        train={"features": drawn["train"][0], "segments": drawn["train"][1]},
        dev={"features": drawn["dev"][0]},
        test={"features": drawn["test"][0]},
        dev_labels={"segments": drawn["dev"][1]},
        test_labels={"segments": drawn["test"][1]},
    )


def _videos(look: Array, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    features, segments = [], []
    for i in range(n):
        x, found = _video(look, rng)
        features.append(x)
        segments += [(i, *segment) for segment in found]
    return np.stack(features).astype(np.float32), np.array(segments, np.float32)


def _video(look: Array, rng: np.random.Generator) -> tuple[Array, list[tuple[int, int, int]]]:
    x = np.zeros((LENGTH, WIDTH))
    segments: list[tuple[int, int, int]] = []
    t = int(rng.integers(3, 20))
    while t < LENGTH - 8:
        c = int(rng.choice(CLASSES, p=FREQUENCY))
        if rng.random() < 0.75:
            length = int(np.clip(rng.lognormal(2.7, 0.5), 5, 60))
            end = min(LENGTH - 1, t + length)
            phase = np.linspace(0, 2.999, end - t).astype(int)
            x[t:end] += look[c, phase] * rng.uniform(0.6, 1.3)
            x[t] += look[c, 3]
            x[end - 1] += look[c, 4]
            segments.append((c, t, end))
            t = end + int(rng.integers(0, 12))
        else:
            length = int(rng.integers(5, 25))
            x[t : t + length] += 0.7 * look[c, int(rng.integers(3))] * (rng.random() < 0.5)
            t += length
    drift = rng.standard_normal((LENGTH + 8, WIDTH))
    cumulative = np.cumsum(np.pad(drift, ((1, 0), (0, 0))), 0)
    slow = (cumulative[9:] - cumulative[:-9]) / 9
    return x + rng.standard_normal((LENGTH, WIDTH)) + 1.7 * slow, segments
