"""HDF5 files of the names, data sets and axes of Weather4cast 2023, small and drawn."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 24


def write(raw: Path, rng: np.random.Generator) -> None:
    """Write the raw files of two sequences per year, images of 24 x 24."""
    h5py: Any = import_module("h5py")
    for year, part, images in ((2019, "train", 50), (2019, "val", 72), (2020, "val", 72)):
        rain = rng.gamma(0.2, 4.0, (images, 1, SIDE, SIDE)).astype(np.float32)
        rain[rng.random(rain.shape) < 0.02] = np.nan
        seen = rng.normal(0.5, 0.1, (images, 11, SIDE, SIDE)).astype(np.float32)
        for product, suffix, key, data in (
            ("HRIT", "reflbt0.ns.h5", "REFL-BT", seen),
            ("OPERA", "rates.crop.h5", "rates.crop", rain),
        ):
            folder = raw / "w4c23" / str(year) / product
            folder.mkdir(parents=True, exist_ok=True)
            with h5py.File(folder / f"boxi_0015.{part}.{suffix}", "w") as file:
                file[key] = data
