"""Carry transforms out, in order."""

import polars as pl

from agentbench_tasks.column_transforms import COLUMNS
from agentbench_tasks.row_transforms import ROWS
from agentbench_tasks.transforms import Transform

_WAYS = COLUMNS | ROWS


def apply_all(transforms: tuple[Transform, ...], frame: pl.DataFrame) -> pl.DataFrame:
    """Apply transforms in order; columns read from CSV arrive as text."""
    for transform in transforms:
        frame = _WAYS[type(transform)](transform, frame)
    return frame
