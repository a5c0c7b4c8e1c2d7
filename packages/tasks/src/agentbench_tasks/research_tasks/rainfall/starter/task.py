"""How a method is called, and what becomes of its answer."""

import numpy as np


def run(method, train, inputs, outputs, seed):
    method.fit(np.load(train / "satellite.npy"), np.load(train / "rain.npy"), seed)
    rain = method.predict(np.load(inputs / "satellite.npy"))
    np.save(outputs / "rain.npy", np.asarray(rain, np.float32))
