"""Score what a method wrote, in the host process: numbers in, numbers out, no agent code.

A task's `score.py` turns labels and outputs into a `Statistic`: a number of units (sessions,
videos, samples, triggers) and the metric over any subset of them. From that come the score and its
delete-a-group jackknife replicates (Kott 2001), which give standard errors for metrics that are no
means, such as CSI or mAP, and paired standard errors for the difference of two methods.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from agentbench_tasks.errors import TasksError
from agentbench_tasks.research import Phase
from agentbench_tasks.research_data import PreparedResearch, read_arrays, task_module

GROUPS = 20
_LONGEST_HEADER = 4096
_INTEGERS = tuple(kind + str(width) for kind in "iu" for width in (1, 2, 4, 8))
_DTYPES = {"int": _INTEGERS, "float": ("f2", "f4", "f8", *_INTEGERS)}
# What numpy.save writes for an array of at most 16 dimensions. numpy's own reader evaluates a
# header as Python text, and lets more than a dozen kinds of exception out if that is hostile.
_HEADER = re.compile(
    rb"\x93NUMPY(?:\x01\x00..|[\x02\x03]\x00....)"
    rb"\{'descr': '([<>|=]?)([A-Za-z?])(\d{0,9})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}, ?){0,16}(?:\d{1,18})?)\), \} *\n",
    re.DOTALL,
)


class InvalidOutputError(TasksError, ValueError):
    """What a method wrote cannot be scored: a missing, malformed, oversized or non-finite file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A metric as a function of the units it is computed on.

    Attributes:
        n: Number of units.
        value: Metric on the units with these indices.
    """

    n: int
    value: Callable[[np.ndarray[Any, np.dtype[np.intp]]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A score with its jackknife replicates.

    Attributes:
        value: The score.
        n: Units it was computed on.
        replicates: The score without each of the groups of units in turn.
    """

    value: float
    n: int
    replicates: tuple[float, ...]

    @property
    def se(self) -> float:
        """Standard error over units."""
        return jackknife_se(self.replicates)


def jackknife_se(replicates: Sequence[float]) -> float:
    """Delete-a-group jackknife: sqrt((G-1)/G * sum_g (t_g - mean t)^2); 0 for one group."""
    values = np.asarray(replicates, np.float64)
    g = len(values)
    return float(np.sqrt((g - 1) / g * np.sum((values - values.mean()) ** 2))) if g > 1 else 0.0


def difference_se(a: Evaluation, b: Evaluation) -> float:
    """Paired standard error of `a.value - b.value`, both scored on the same units.

    Raises:
        ValueError: They were not scored on the same number of units.
    """
    if a.n != b.n or len(a.replicates) != len(b.replicates):
        raise ValueError(f"not paired: {a.n} and {b.n} units")
    return jackknife_se([x - y for x, y in zip(a.replicates, b.replicates, strict=True)])


def evaluate(statistic: Statistic) -> Evaluation:
    """Return the score on all units and its replicates (groups are every G-th unit)."""
    units = np.arange(statistic.n)
    groups = min(GROUPS, statistic.n)
    replicates = (
        tuple(float(statistic.value(units[units % groups != g])) for g in range(groups))
        if groups > 1
        else ()
    )
    return Evaluation(value=float(statistic.value(units)), n=statistic.n, replicates=replicates)


def score_outputs(prepared: PreparedResearch, phase: Phase, outputs: Path) -> Evaluation:
    """Score the files that a method wrote for a phase.

    Args:
        prepared: The task.
        phase: Whose inputs the method was given.
        outputs: Folder on the host with what it wrote; hostile.

    Raises:
        InvalidOutputError: They cannot be scored.
    """
    task = prepared.task
    labels, inputs = prepared.labels(phase), prepared.inputs(phase)
    read = OutputReader(outputs, max_bytes=task.resources.output_mib << 20)
    if task.lite:
        score: Callable[..., Statistic] = task_module(task, "score").statistic
        with threadpool_limits(1):
            evaluation = evaluate(
                score(labels=read_arrays(labels), inputs=read_arrays(inputs), read=read)
            )
    else:
        # Networks are run here: on what there is, with as many threads as there are.
        evaluation = evaluate(task_module(task, "full").statistic(labels, inputs, read))
    if not all(map(math.isfinite, (evaluation.value, *evaluation.replicates))):
        raise InvalidOutputError(f"the score is {evaluation.value}: the outputs are degenerate")
    return evaluation


@dataclass(frozen=True, slots=True)
class OutputReader:
    """Reads hostile files: header checked before data, no pickle, no link, no surprise."""

    folder: Path
    max_bytes: int

    def __call__(
        self, name: str, shape: tuple[int | None, ...], kind: str = "float"
    ) -> np.ndarray[Any, Any]:
        """Return one output array.

        Args:
            name: File name without `.npy`.
            shape: Expected shape; None for a dimension of any length.
            kind: `float` (finite numbers, as float64) or `int` (as int64).

        Raises:
            InvalidOutputError: It is not what is expected.
        """
        array = self._load(self.file(f"{name}.npy"), name, shape, kind)
        if kind == "int":
            return array.astype(np.int64)
        values = array.astype(np.float64)
        if not np.isfinite(values).all():
            raise InvalidOutputError(f"{name}.npy holds NaN or infinite numbers")
        return values

    def file(self, name: str) -> Path:
        """Return the path of a regular file that is not too large.

        Raises:
            InvalidOutputError: There is none of this name.
        """
        path = self.folder / name
        if path.is_symlink() or not path.is_file():
            raise InvalidOutputError(f"the method wrote no {name}")
        size = path.stat().st_size
        if size > self.max_bytes:
            raise InvalidOutputError(f"{name} has {size} bytes; {self.max_bytes} are allowed")
        return path

    @staticmethod
    def _load(
        path: Path, name: str, shape: tuple[int | None, ...], wanted: str
    ) -> np.ndarray[Any, Any]:
        with path.open("rb") as file:
            head = _HEADER.match(file.read(_LONGEST_HEADER))
            if head is None:
                raise InvalidOutputError(f"{name}.npy is no array file as numpy.save writes them")
            order, kind, width, fortran, lengths = (part.decode() for part in head.groups())
            if kind == "O":
                raise InvalidOutputError(f"{name}.npy holds Python objects")
            if kind + width not in _DTYPES[wanted]:
                raise InvalidOutputError(f"{name}.npy holds {kind + width}, expected {wanted}")
            found = tuple(int(length) for length in lengths.split(",") if length.strip())
            fits = len(found) == len(shape) and all(
                want is None or have == want for have, want in zip(found, shape, strict=True)
            )
            if not fits:
                raise InvalidOutputError(f"{name}.npy has shape {found}, expected {shape}")
            dtype = np.dtype(order + kind + width)
            expected = math.prod(found) * dtype.itemsize + head.end()
            size = path.stat().st_size
            if expected != size:
                raise InvalidOutputError(f"{name}.npy has {size} bytes, its header says {expected}")
            file.seek(head.end())
            flat = np.fromfile(file, dtype)
        return flat.reshape(found, order="F" if fortran == "True" else "C")
