# pyright: basic
# (h5py has no stubs, and sums over numpy arrays have no element types)
"""Weather4cast 2023: rain radar from satellite images, region boxi_0015, trained on 2019.

Raw files, in the competition's own folders: `YEAR/HRIT/boxi_0015.PART.reflbt0.ns.h5` with the data
set `REFL-BT` (T, 11, 252, 252), and `YEAR/OPERA/boxi_0015.PART.rates.crop.h5` with `rates.crop`
(T, 1, 252, 252) in mm/h, PART `train` or `val`. A file of `val` is sequences of 36 images, four to
look at and 32 to predict. Development is `val` of 2019 and the test `val` of 2020.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from agentbench_tasks.errors import MissingExtraError, PreparationError, SourceError
from agentbench_tasks.research_data import Folders, read_arrays
from agentbench_tasks.research_raw import link
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.rainfall import score

REGION, TRAIN_YEAR, TEST_YEAR = "boxi_0015", 2019, 2020
SEEN, PREDICTED = 4, 32
FILES = {"HRIT": ("reflbt0.ns.h5", "REFL-BT"), "OPERA": ("rates.crop.h5", "rates.crop")}


def build(raw: Path, into: Folders) -> None:
    """Link the training files and cut the validation files into sequences.

    Train: `satellite.h5`, `rain.h5`, the competition's files of 2019. Dev and test: `satellite`
    (N, 4, 11, 252, 252) float32; labels: `rain` (N, 32, 252, 252) float32 in mm/h. What the radar
    did not measure (NaN) counts as dry, as in the organisers' evaluation.
    """
    for product, name in (("HRIT", "satellite.h5"), ("OPERA", "rain.h5")):
        link(_file(raw, TRAIN_YEAR, product, "train"), into.train / name)
    for year, inputs, labels in (
        (TRAIN_YEAR, into.dev, into.dev_labels),
        (TEST_YEAR, into.test, into.test_labels),
    ):
        _cut(_file(raw, year, "HRIT", "val"), "HRIT", 0, SEEN, inputs / "satellite.npy")
        _cut(_file(raw, year, "OPERA", "val"), "OPERA", SEEN, PREDICTED, labels / "rain.npy")


def statistic(labels: Path, inputs: Path, read: OutputReader) -> Statistic:
    """Score as the lite task does: units are sequences."""
    return score.statistic(labels=read_arrays(labels), inputs=read_arrays(inputs), read=read)


def _file(raw: Path, year: int, product: str, part: str) -> Path:
    name = f"{year}/{product}/{REGION}.{part}.{FILES[product][0]}"
    found = sorted(raw.rglob(name))
    if not found:
        raise SourceError(f"raw file {name} is missing in the folder of raw files")
    return found[0]


def _cut(path: Path, product: str, first: int, count: int, into: Path) -> None:
    """Write images first to first + count of every sequence of 36, one sequence at a time."""
    try:
        h5py: Any = import_module("h5py")
    except ImportError:
        raise MissingExtraError(
            "Weather4cast's files are HDF5: pip install 'agentbench-tasks[research]'"
        ) from None
    with h5py.File(path, "r") as file:
        data = file[FILES[product][1]]
        n, rest = divmod(len(data), SEEN + PREDICTED)
        if rest or not n:
            raise PreparationError(f"{path.name} has {len(data)} images, not sequences of 36")
        one = data.shape[1:] if product == "HRIT" else data.shape[2:]
        out = np.lib.format.open_memmap(into, "w+", np.float32, (n, count, *one))
        for i in range(n):
            start = i * (SEEN + PREDICTED) + first
            images = data[start : start + count].reshape(count, *one)
            out[i] = np.nan_to_num(images, nan=0.0) if product == "OPERA" else images
        out.flush()
