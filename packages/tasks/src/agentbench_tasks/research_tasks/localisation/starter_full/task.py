"""How a method is called, and what becomes of its answer."""

import numpy as np


def videos(folder):
    """Return a list of (video features (T, D), audio features (T', D'), duration in seconds)."""
    data = {p.stem: np.load(p, mmap_mode="r") for p in folder.glob("*_features.npy")}
    starts = {kind: np.load(folder / f"{kind}_start.npy") for kind in ("video", "audio")}
    parts = [
        [data[f"{kind}_features"][a:b] for a, b in zip(start[:-1], start[1:])]
        for kind, start in starts.items()
    ]
    return list(zip(*parts, np.load(folder / "duration.npy").tolist()))


def run(method, train, inputs, outputs, seed):
    method.fit(videos(train), np.load(train / "segments.npy"), seed)
    found = method.predict(videos(inputs))
    np.save(outputs / "detections.npy", np.asarray(found, np.float64).reshape(-1, 5))
