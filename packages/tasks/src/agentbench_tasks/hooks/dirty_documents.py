"""Denoising dirty documents: clean pages as pixels, the answers of a task that hands in pixels."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from agentbench_tasks.errors import MissingExtraError, PreparationError


def convert(raw: Path) -> None:
    """Write `pages.parquet` (image, pixels): grey rows from 0 to 1."""
    try:
        image: Any = import_module("PIL.Image")
    except ImportError:
        raise MissingExtraError(
            "this competition's answers are pixels: pip install 'agentbench-tasks[images]'"
        ) from None
    paths = sorted((raw / "train_cleaned").glob("*.png"))
    if not paths:
        raise PreparationError(f"no raw file fits 'train_cleaned/*.png' under {raw}")
    pages: list[list[list[float]]] = []
    for path in paths:
        with image.open(path) as picture:
            pages.append((np.asarray(picture.convert("L")) / 255).round(6).tolist())
    table = pl.DataFrame({"image": [path.stem for path in paths], "pixels": pages})
    table.write_parquet(raw / "pages.parquet")


def disguise(raw: Path) -> None:
    """For stand-ins: the clean pages are dirty ones without their specks."""
    image: Any = import_module("PIL.Image")
    rng = np.random.default_rng(0)
    for path in sorted((raw / "train").glob("*.png")):
        page = np.where(rng.random((12, 12)) < 0.3, 30, 255).astype(np.uint8)
        stains = rng.integers(0, 90, page.shape).astype(np.uint8)
        image.fromarray(page).save(raw / "train_cleaned" / path.name)
        image.fromarray(np.maximum(page, 90) - stains).save(path)
