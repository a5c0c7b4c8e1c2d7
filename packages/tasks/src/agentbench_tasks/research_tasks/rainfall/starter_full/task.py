"""How a method is called, and what becomes of its answer."""

import h5py
import numpy as np


def run(method, train, inputs, outputs, seed):
    with h5py.File(train / "satellite.h5") as s, h5py.File(train / "rain.h5") as r:
        method.fit(s["REFL-BT"], r["rates.crop"], seed)
    rain = method.predict(np.load(inputs / "satellite.npy", mmap_mode="r"))
    np.save(outputs / "rain.npy", np.asarray(rain, np.float32))
