"""What a metric is: a function with a record that says how to read its value and its inputs."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError

Kind = Literal[
    "label",
    "binary",
    "score",
    "probability",
    "real",
    "class",
    "matrix",
    "binary_matrix",
    "probability_matrix",
    "text",
    "tokens",
    "integers",
    "key",
    "groups",
    "rle",
    "rles",
    "boxes",
    "scored_boxes",
    "class_boxes",
    "scored_class_boxes",
    "voxels",
]
"""How one argument is read from a table.

`label`, `binary`, `score`, `probability`, `real`, `text`, `key`, `rle`: one column, one value a
row. `matrix` and its kin: several columns, shape (rows, columns). `class`: one label a row, or
one-hot columns. `tokens`, `integers`, `rles` (parted by semicolons): one list a row. `boxes`
(x y w h), `scored_boxes` (confidence x y w h), `class_boxes` (class x1 y1 x2 y2) and
`scored_class_boxes` (class confidence x1 y1 x2 y2): any number of boxes a row, written one after
the other. `groups`: several binary columns by name. `voxels`: arrays only, no table form.
"""

Layout = Kind | Mapping[str, Kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A keyword of a metric; `required` when it has no default."""

    name: str
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """What there is to know about a metric before calling it.

    Args:
        name: Canonical name.
        higher_is_better: Direction, stated and never inferred from data.
        bounds: Smallest and largest value; None where unbounded or where data decide.
        truth: How the true values are laid out (`Kind`, or fields by name).
        prediction: How the predictions are laid out.
        min_classes: Distinct classes that the truth must hold for the value to exist.
        parameters: Keywords of the metric.
        summary: First line of its docstring.
    """

    name: str
    higher_is_better: bool
    bounds: tuple[float | None, float | None]
    truth: Layout
    prediction: Layout
    min_classes: int
    parameters: tuple[Parameter, ...]
    summary: str

    @property
    def best(self) -> float | None:
        """The best value possible, None when unbounded."""
        return self.bounds[1] if self.higher_is_better else self.bounds[0]

    @property
    def worst(self) -> float | None:
        """The worst value possible, None when unbounded."""
        return self.bounds[0] if self.higher_is_better else self.bounds[1]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: call it with `(y_true, y_pred, **params)`; `spec` describes it."""

    spec: MetricSpec
    function: Callable[..., float]

    def __call__(self, y_true: object, y_pred: object, **params: object) -> float:
        """Value of the metric, a finite float.

        Raises:
            InvalidSubmissionError: `y_pred` holds what cannot be scored.
            InvalidInputError: `y_true` or a parameter is wrong.
            UndefinedMetricError: The metric has no value on these data.
        """
        self.check_params(params)
        value = float(self.function(y_true, y_pred, **params))
        if not math.isfinite(value):
            raise UndefinedMetricError(f"{self.spec.name} is {value} on these data")
        return value

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Refuse parameters that the metric does not have, and missing required ones."""
        known = {parameter.name for parameter in self.spec.parameters}
        unknown = sorted(set(params) - known)
        if unknown:
            allowed = ", ".join(sorted(known)) or "no parameters"
            raise InvalidInputError(
                f"{self.spec.name} has no parameter {unknown[0]!r}; it takes {allowed}"
            )
        missing = [p.name for p in self.spec.parameters if p.required and p.name not in params]
        if missing:
            raise InvalidInputError(f"{self.spec.name} needs the parameter {missing[0]!r}")


def metric(
    name: str,
    *,
    higher_is_better: bool,
    bounds: tuple[float | None, float | None],
    truth: Layout,
    prediction: Layout,
    min_classes: int = 1,
) -> Callable[[Callable[..., float]], Metric]:
    """Make a function `(y_true, y_pred, *, ...) -> float` a `Metric`."""

    def wrap(function: Callable[..., float]) -> Metric:
        keywords = list(inspect.signature(function).parameters.values())[2:]
        required = inspect.Parameter.empty
        spec = MetricSpec(
            name=name,
            higher_is_better=higher_is_better,
            bounds=bounds,
            truth=truth,
            prediction=prediction,
            min_classes=min_classes,
            parameters=tuple(
                Parameter(
                    name=p.name,
                    default=None if p.default is required else p.default,
                    required=p.default is required,
                )
                for p in keywords
            ),
            summary=(inspect.getdoc(function) or name).splitlines()[0],
        )
        return Metric(spec, function)

    return wrap
