# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Rain that drifts, grows and decays, seen by a coarse, noisy satellite.

A Gaussian random field (power spectrum k^-beta) is advected with a velocity of its own for each
scene, refreshed by AR(1) noise, and turned to rain rates by a threshold and an exponential. The
satellite sees block means through four channels with different noise; the rain radar sees the
centre at four times the resolution. All constants are drawn from the seed.
"""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Instance

SIZE, COARSE, CROP = 64, 4, slice(16, 48)
FRAMES_IN, FRAMES_OUT = 4, 16
SCENES = {"train": 120, "dev": 150, "test": 400}
Array = np.ndarray[Any, Any]


def generate(seed: np.random.SeedSequence) -> Instance:
    """Draw an instance: satellite (N, 4, 4, 16, 16) and rain (N, 16, 32, 32) in mm/h, float32."""
    world, *parts = (np.random.default_rng(s) for s in seed.spawn(4))
    climate = Climate(world)
    drawn = {name: climate.draw(rng, SCENES[name]) for name, rng in zip(SCENES, parts, strict=True)}
    return Instance(
        train={"satellite": drawn["train"][0], "rain": drawn["train"][1]},
        dev={"satellite": drawn["dev"][0]},
        test={"satellite": drawn["test"][0]},
        dev_labels={"rain": drawn["dev"][1]},
        test_labels={"rain": drawn["test"][1]},
    )


class Climate:
    """The constants of one instance, and scenes drawn with them."""

    def __init__(self, rng: np.random.Generator) -> None:
        ky, kx = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij")
        self.ky, self.kx = ky, kx
        k = np.hypot(ky, kx) * SIZE
        k[0, 0] = np.inf
        self.spectrum = k ** (-rng.uniform(3.0, 3.4) / 2)
        self.gain = rng.uniform(1.8, 2.0)
        self.threshold = rng.uniform(0.95, 1.05)
        self.noise = rng.uniform(0.1, 0.2, 4) * np.array([1.0, 0.7, 2.0, 1.3])
        self.slope = rng.uniform(0.9, 1.3)

    def field(self, rng: np.random.Generator) -> Array:
        """Return the spectrum of a field of mean 0 and variance 1."""
        f = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) * self.spectrum
        return f / np.fft.irfft2(f).std()

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        """Draw n scenes: what the satellite sees and the rain that follows."""
        scenes = [self.scene(rng) for _ in range(n)]
        return np.stack([s for s, _ in scenes]), np.stack([r for _, r in scenes])

    def scene(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw one scene."""
        vx, vy = rng.uniform(-1.3, 1.3, 2)
        rho, drift = rng.uniform(0.955, 0.985), rng.uniform(-0.012, 0.012)
        phase = np.exp(-2j * np.pi * (self.kx * vx + self.ky * vy))
        z, level, frames = self.field(rng), 0.0, []
        for t in range(FRAMES_IN + FRAMES_OUT):
            if t:
                z = rho * z * phase + np.sqrt(1 - rho**2) * self.field(rng)
                level += drift
            excess = np.fft.irfft2(z) + level - self.threshold
            frames.append(np.where(excess > 0, np.exp(self.gain * np.minimum(excess, 3)) - 0.75, 0))
        rain = np.clip(np.stack(frames), 0, 60)
        half = SIZE // COARSE
        seen = rain[:FRAMES_IN].reshape(FRAMES_IN, half, COARSE, half, COARSE).mean((2, 4))
        log = np.log1p(seen)
        clean = np.stack([log, np.tanh(log), -self.slope * log, np.zeros_like(log)], 1)
        noisy = clean + self.noise[None, :, None, None] * rng.standard_normal(clean.shape)
        return noisy.astype(np.float32), rain[FRAMES_IN:, CROP, CROP].astype(np.float32)
