"""ML2021Spring-hw2: speech frames and phonemes in two arrays to one table."""

from pathlib import Path

import numpy as np
import polars as pl

from agentbench_tasks.errors import PreparationError


def convert(raw: Path) -> None:
    """Write `frames.parquet` (Id, frame, ClassId) from `timit_11/train_11.npy` and its labels."""
    folder = next(iter(sorted(raw.rglob("timit_11"))), raw / "timit_11")
    paths = [folder / "train_11.npy", folder / "train_label_11.npy"]
    for path in paths:
        if not path.is_file():
            raise PreparationError(f"raw file {path.name} is missing from {folder}")
    frames, labels = (np.load(path, allow_pickle=False) for path in paths)
    table = pl.DataFrame(
        {"Id": np.arange(len(labels)), "frame": frames, "ClassId": labels.astype(np.int64)}
    )
    table.with_columns(pl.col("frame").arr.to_list()).write_parquet(raw / "frames.parquet")


def disguise(raw: Path) -> None:
    """The reverse of `convert`, for stand-ins: `frames.parquet` into the two arrays."""
    folder = raw / "timit_11"
    folder.mkdir()
    table = pl.read_parquet(raw / "frames.parquet")
    np.save(folder / "train_11.npy", np.array(table["frame"].to_list(), dtype=np.float32))
    np.save(folder / "train_label_11.npy", table["ClassId"].to_numpy())
    (raw / "frames.parquet").unlink()
