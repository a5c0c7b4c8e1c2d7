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


def _wine() -> pl.DataFrame:
    data = _sklearn().load_wine()
    names = [str(name).replace("/", "_per_") for name in data.feature_names]
    return _rows({**dict(zip(names, data.data.T, strict=True)), "cultivar": data.target}, seed=4)


def _grades() -> pl.DataFrame:
    """Ten uniform features, five of them used (Friedman 1991, example 1), cut into five grades."""
    rng = np.random.default_rng(5)
    x = rng.random((900, 10))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y = y + 10 * x[:, 3] + 5 * x[:, 4] + rng.normal(0, 1.5, len(x))
    grade = np.digitize(y, np.quantile(y, [0.15, 0.4, 0.7, 0.9])) + 1
    features = {f"test_{i + 1}": x[:, i].round(4) for i in range(10)}
    return _rows({**features, "grade": grade}, seed=5)


_TOPICS = {
    "water": [
        "pipe",
        "leak",
        "pressure",
        "valve",
        "drain",
        "tap",
        "flood",
        "meter",
        "pump",
        "basin",
    ],
    "power": [
        "cable",
        "fuse",
        "outage",
        "voltage",
        "meter",
        "lamp",
        "socket",
        "breaker",
        "panel",
        "pole",
    ],
    "roads": [
        "pothole",
        "lamp",
        "drain",
        "asphalt",
        "sign",
        "crossing",
        "kerb",
        "bridge",
        "lane",
        "pole",
    ],
    "waste": [
        "bin",
        "collection",
        "smell",
        "bag",
        "recycling",
        "drain",
        "rats",
        "truck",
        "litter",
        "lane",
    ],
}
_COMMON = [
    "the",
    "a",
    "near",
    "our",
    "street",
    "again",
    "since",
    "monday",
    "please",
    "broken",
    "old",
    "house",
    "corner",
    "is",
    "was",
]


def _reports() -> pl.DataFrame:
    """Short complaints to a city: words of one office, of the others, and of none."""
    rng = np.random.default_rng(6)
    names = list(_TOPICS)
    office = rng.integers(0, len(names), 1200)
    texts: list[str] = []
    for number in office:
        words = [_COMMON[int(i)] for i in rng.integers(0, len(_COMMON), int(rng.integers(5, 12)))]
        for _ in range(int(rng.integers(2, 5))):
            topic = number if rng.random() < 0.65 else rng.integers(0, len(names))
            words.append(str(rng.choice(_TOPICS[names[int(topic)]])))
        texts.append(" ".join(words[int(i)] for i in rng.permutation(len(words))))
    return _rows({"text": texts, "office": [names[int(i)] for i in office]}, seed=6)


def _demand() -> pl.DataFrame:
    """Daily sales of twelve products: weekly season, yearly season, trend, promotions, noise."""
    rng = np.random.default_rng(7)
    first = np.datetime64("2023-01-01")
    tables: list[pl.DataFrame] = []
    day = np.arange(540)
    for product in range(12):
        week = 1 + 0.35 * np.sin(2 * np.pi * (day + product) / 7)
        year = 1 + 0.25 * np.cos(2 * np.pi * (day - 20 * product) / 365)
        promotion = rng.random(len(day)) < 0.08
        level = (30 + 8 * product) * week * year * (1 + 0.0006 * day) * (1 + 0.6 * promotion)
        columns = {
            "date": (first + day).astype(str),
            "product": np.full(len(day), product),
            "promotion": promotion.astype(np.int64),
            "sold": rng.poisson(level),
        }
        tables.append(pl.DataFrame(columns))
    return pl.concat(tables).sort("date", "product").with_row_index("id")


def _symptoms() -> pl.DataFrame:
    """Twenty counts that five hidden conditions, alone or together, bring about."""
    make = _sklearn().make_multilabel_classification
    x, y = make(900, n_features=20, n_classes=5, n_labels=2, length=30, random_state=8)
    features = {f"sign_{i + 1}": x[:, i].astype(np.int64) for i in range(20)}
    labels = {f"condition_{i + 1}": y[:, i] for i in range(5)}
    return _rows({**features, **labels}, seed=8)


def _preference() -> pl.DataFrame:
    """Two documents found for one query; people preferred the first or the second."""
    rng = np.random.default_rng(9)
    n = 1000
    query = rng.normal(0, 1, (n, 4)).round(3)
    pair = rng.normal(0, 1, (n, 2, 4)).round(3)
    fit = -((pair - query[:, None, :]) ** 2).sum(axis=2) + rng.gumbel(0, 1.2, (n, 2))
    columns = {f"query_{i + 1}": query[:, i] for i in range(4)}
    for side, name in enumerate(("first", "second")):
        columns |= {f"{name}_{i + 1}": pair[:, side, i] for i in range(4)}
    return _rows({**columns, "first_preferred": (fit[:, 0] > fit[:, 1]).astype(int)}, seed=9)


DATASETS: dict[str, Callable[[], pl.DataFrame]] = {
    "digits": _digits,
    "breast-cancer": _breast_cancer,
    "diabetes": _diabetes,
    "wine": _wine,
    "grades": _grades,
    "reports": _reports,
    "demand": _demand,
    "symptoms": _symptoms,
    "preference": _preference,
}
