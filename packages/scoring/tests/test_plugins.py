"""Metrics of other packages, found by entry point."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

import agentbench_scoring.metrics as metrics_module
from agentbench_scoring import InvalidInputError, Metric, UnknownMetricError, get_metric
from agentbench_scoring.metrics.spec import metric


@metric("worst_case", higher_is_better=False, bounds=(0, None), truth="real", prediction="real")
def worst_case(y_true: list[float], y_pred: list[float]) -> float:
    """Largest absolute error."""
    return max(abs(a - b) for a, b in zip(y_true, y_pred, strict=True))


not_a_metric = 3


def _with_points(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    class Point(EntryPoint):
        def load(self) -> Any:
            return found

    points = EntryPoints([Point(name="worst_case", value="x:y", group="agentbench.metrics")])
    monkeypatch.setattr(metrics_module, "entry_points", points.select)


def test_an_entry_point_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownMetricError):
        get_metric("worst_case")
    _with_points(monkeypatch, worst_case)
    found = get_metric("worst_case")
    assert isinstance(found, Metric)
    assert found([1, 2], [1, 5]) == 3
    assert "worst_case" in [spec.name for spec in metrics_module.list_metrics()]


def test_what_is_no_metric_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_points(monkeypatch, not_a_metric)
    with pytest.raises(InvalidInputError, match="is not a metric"):
        get_metric("worst_case")
