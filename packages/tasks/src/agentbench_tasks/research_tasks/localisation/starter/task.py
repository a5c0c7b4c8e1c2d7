"""How a method is called, and what becomes of its answer."""

import numpy as np


def run(method, train, inputs, outputs, seed):
    method.fit(np.load(train / "features.npy"), np.load(train / "segments.npy"), seed)
    found = method.predict(np.load(inputs / "features.npy"))
    np.save(outputs / "detections.npy", np.asarray(found, np.float64).reshape(-1, 5))
