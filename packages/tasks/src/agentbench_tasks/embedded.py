"""Raw files of the embedded tasks: data that ship inside scikit-learn, and seeded generators."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from agentbench_tasks.errors import MissingExtraError, SourceError


def write_dataset(name: str, folder: Path) -> None:
    """Write the raw files of an embedded data set.

    Args:
        name: A key of `DATASETS`.
        folder: Where to write.

    Raises:
        SourceError: There is no embedded data set of that name.
        MissingExtraError: scikit-learn is not installed.
    """
    if name not in DATASETS:
        raise SourceError(f"no embedded data set {name!r}; there are: {', '.join(DATASETS)}")
    DATASETS[name]().write_csv(folder / "data.csv")


def _sklearn() -> Any:  # noqa: ANN401 - scikit-learn is untyped
    try:
        sklearn_datasets = import_module("sklearn.datasets")
    except ImportError:
        raise MissingExtraError(
            "this task's data ship inside scikit-learn: pip install 'agentbench-tasks[embedded]'"
        ) from None
    return sklearn_datasets


def _rows(columns: dict[str, Any], *, seed: int) -> pl.DataFrame:
    """A table with its rows shuffled and then numbered, so that order and id say nothing."""
    frame = pl.DataFrame(columns)
    order = np.random.default_rng(seed).permutation(frame.height)
    return frame[order].with_row_index("id")


def _digits() -> pl.DataFrame:
    data = _sklearn().load_digits()
    pixels = {f"pixel_{i // 8}_{i % 8}": data.data[:, i].astype(np.int64) for i in range(64)}
    return _rows({**pixels, "digit": data.target}, seed=1)


def _breast_cancer() -> pl.DataFrame:
    data = _sklearn().load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in data.feature_names]
    features = dict(zip(names, data.data.T, strict=True))
    return _rows({**features, "malignant": 1 - data.target}, seed=2)


def _diabetes() -> pl.DataFrame:
    data = _sklearn().load_diabetes(scaled=False)
    features = dict(zip(data.feature_names, data.data.T, strict=True))
    return _rows({**features, "progression": data.target}, seed=3)


DATASETS: dict[str, Callable[[], pl.DataFrame]] = {
    "digits": _digits,
    "breast-cancer": _breast_cancer,
    "diabetes": _diabetes,
}
