"""Metrics by name: `get_metric("roc_auc")(y_true, y_pred)`."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from agentbench_scoring.errors import InvalidInputError, UnknownMetricError
from agentbench_scoring.metrics.spec import Layout, Metric, MetricSpec, metric

_MODULES = (
    "auc",
    "boxes",
    "classification",
    "correlation",
    "geometry",
    "masks",
    "multilabel",
    "probabilistic",
    "ranking",
    "regression",
    "text",
)
_registered: dict[str, Metric] = {}

__all__ = ["Metric", "MetricSpec", "get_metric", "list_metrics", "register_metric"]


@cache
def _built_in() -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for name in _MODULES:
        module = import_module(f"{__name__}.{name}")
        for value in vars(module).values():
            if isinstance(value, Metric):
                found[value.spec.name] = value
    return found


def get_metric(name: str) -> Metric:
    """The metric of this name: built in, registered, or of the entry-point group.

    Args:
        name: A canonical name such as "roc_auc"; `list_metrics` has them all.

    Returns:
        A `Metric`: call it with `(y_true, y_pred, **params)`; its `.spec` describes it.

    Raises:
        UnknownMetricError: No metric has this name.
    """
    for source in (_built_in(), _registered):
        if name in source:
            return source[name]
    for point in entry_points(group="agentbench.metrics", name=name):
        found = point.load()
        if not isinstance(found, Metric) or found.spec.name != name:
            raise InvalidInputError(
                f"entry point {point.value!r} of agentbench.metrics is not a metric {name!r}"
            )
        return found
    near = get_close_matches(name, [*_built_in(), *_registered], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`agentbench-score metrics` lists them all"
    raise UnknownMetricError(f"no metric {name!r}; {hint}")


def list_metrics() -> list[MetricSpec]:
    """Specs of all metrics, by name: built in, registered, and of the entry-point group."""
    found = {**_registered, **_built_in()}
    for point in entry_points(group="agentbench.metrics"):
        if point.name not in found:
            found[point.name] = get_metric(point.name)
    return [found[name].spec for name in sorted(found)]


def register_metric(
    name: str,
    *,
    higher_is_better: bool,
    bounds: tuple[float | None, float | None] = (None, None),
    truth: Layout = "real",
    prediction: Layout = "real",
    min_classes: int = 1,
) -> Callable[[Callable[..., float]], Metric]:
    """Decorator that makes a function `(y_true, y_pred, *, ...) -> float` a metric by name.

    Args:
        name: The name `get_metric` finds it by; one that exists is an error.
        higher_is_better: Direction.
        bounds: Smallest and largest value, None where unbounded.
        truth: How the true values are read from a table (see `MetricSpec`).
        prediction: How the predictions are read from a table.
        min_classes: Distinct classes that the truth must hold.

    Raises:
        InvalidInputError: The name is taken.
    """
    if name in _built_in() or name in _registered:
        raise InvalidInputError(f"a metric {name!r} exists already")
    make = metric(
        name,
        higher_is_better=higher_is_better,
        bounds=bounds,
        truth=truth,
        prediction=prediction,
        min_classes=min_classes,
    )

    def register(function: Callable[..., Any]) -> Metric:
        made = make(function)
        _registered[name] = made
        return made

    return register
