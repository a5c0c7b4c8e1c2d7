"""Rows of a stand-in: a hidden vector for each, of which every column is a noisy function."""

import re
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HIDDEN = 3


@dataclass(slots=True, kw_only=True)
class Rows:
    """A table under construction: its hidden vectors (n, 3) and the columns drawn so far."""

    hidden: Floats
    rng: np.random.Generator
    number: int
    main: "Rows | None" = None
    columns: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    groups: NDArray[np.int64] | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.hidden)

    @property
    def frame(self) -> pl.DataFrame:
        """The columns as a table."""
        return pl.DataFrame(self.columns, strict=False)

    def target(self, name: str) -> Floats:
        """A target's place among the rows, from 0 to 1: mostly the first hidden number."""
        mix = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.35, HIDDEN)
        mix[0] = 1.0
        score = self.hidden @ mix + self.rng.normal(0, 0.12, self.n)
        return (score.argsort().argsort() + 0.5) / self.n

    def ranks(self) -> list[int]:
        """Each row's place in its group, from 1."""
        groups = np.zeros(self.n, dtype=np.int64) if self.groups is None else self.groups
        starts = np.searchsorted(groups, groups)
        return [int(place) + 1 for place in np.arange(self.n) - starts]

    def feature(self, name: str) -> Floats:
        """A noisy mixture of the hidden numbers, about standard normal."""
        mix = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 1, HIDDEN)
        mix /= np.linalg.norm(mix)
        return 0.85 * (self.hidden @ mix) + self.rng.normal(0, 0.5, self.n)


def classes(argument: str) -> list[str]:
    """Class names of `a|b|c`, `s1..s9` or a number of classes."""
    if "|" in argument:
        return argument.split("|")
    match = re.fullmatch(r"(\D*?)(\d+)\.\.(\D*?)(\d+)", argument)
    if match is not None:
        width = len(match[2]) if match[2].startswith("0") else 0
        numbers = range(int(match[2]), int(match[4]) + 1)
        return [f"{match[1]}{number:0{width}d}" for number in numbers]
    return [str(number) for number in range(int(argument or 2))]


def typed(names: list[str]) -> list[Any]:
    """Names as integers where all of them are plain ones."""
    plain = all(re.fullmatch(r"-?(0|[1-9]\d*)", name) for name in names)
    return [int(name) for name in names] if plain else names


def pick(names: list[str], places: Floats) -> list[Any]:
    """Values for places from 0 to 1."""
    values = typed(names)
    return [values[min(int(place * len(values)), len(values) - 1)] for place in places]


def spread(numbers: Floats) -> Floats:
    """About standard normal numbers to (0, 1)."""
    return 1 / (1 + np.exp(-1.7 * numbers))
