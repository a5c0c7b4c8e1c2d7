"""Metrics by name: `get_metric(name)(y_true, y_pred, **params)`.

Arguments are in the order (truth, prediction), in every metric. Direction is part of a metric's
specification and never inferred from data. A value that is undefined on the data raises
`UndefinedMetricError`; a finite number where that is due would be a defect.
"""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

from agentbench_scoring.errors import UnknownMetricError

Kind = Literal["label", "score", "value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """What is known of a metric.

    Attributes:
        name: Canonical name.
        higher_is_better: Direction.
        low: Smallest value it can take.
        high: Largest value it can take.
        kind: What a prediction is: a class `label`, a real `score` or probability, a `value`.
        min_classes: Classes that the truth must hold for the metric to be defined.
    """

    name: str
    higher_is_better: bool
    low: float
    high: float
    kind: Kind
    min_classes: int = 1

    @property
    def best(self) -> float:
        """The value of a perfect prediction."""
        return self.high if self.higher_is_better else self.low


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its specification and its function."""

    spec: MetricSpec
    function: Callable[..., float]

    def __call__(self, y_true: Any, y_pred: Any, **params: Any) -> float:
        """Return the metric of a prediction.

        Args:
            y_true: The truth, shape (n,).
            y_pred: The prediction, shape (n,).
            params: Parameters of the metric.

        Raises:
            InvalidSubmissionError: The prediction holds a NaN, an infinity or another shape.
            UndefinedMetricError: The metric is not defined on this truth.
        """
        return float(self.function(y_true, y_pred, **params))


def get_metric(name: str) -> Metric:
    """Find a metric by its name.

    Raises:
        UnknownMetricError: There is none of that name.
    """
    known = _known()
    if name in known:
        return known[name]
    for entry in entry_points(group="agentbench.metrics", name=name):
        return entry.load()
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    raise UnknownMetricError(f"unknown metric {name!r}; {hint}")


def metric_names() -> list[str]:
    """Return the names of all metrics, those of other packages included."""
    return sorted({*_known(), *entry_points(group="agentbench.metrics").names})


@cache
def _known() -> dict[str, Metric]:
    from agentbench_scoring.metrics import classification, regression

    return {m.spec.name: m for m in (*classification.METRICS, *regression.METRICS)}
