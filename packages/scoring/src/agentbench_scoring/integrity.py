"""What looks odd about a submission or its code; findings are data, not verdicts."""

from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.metrics.inputs import Values
from agentbench_scoring.metrics.spec import MetricSpec


class Finding(BaseModel):
    """One oddity.

    Args:
        code: What was seen.
        message: One sentence for people.
        value: The figure behind it, if there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Literal[
        "perfect",
        "better_than_best_human",
        "identical_to_answers",
        "constant",
        "near_duplicate",
        "close_to_sample",
        "similar_code",
    ]
    message: str
    value: float | None = None


def examine(spec: MetricSpec, value: float, y_true: Values, y_pred: Values) -> list[Finding]:
    """Perfect value, predictions equal to the truth, constant predictions."""
    findings: list[Finding] = []
    if spec.best is not None and value == spec.best:
        message = f"{spec.name} is {value}: no better value exists"
        findings.append(Finding(code="perfect", message=message, value=value))
    if _equal(y_true, y_pred):
        message = "the predictions equal the answers in every row"
        findings.append(Finding(code="identical_to_answers", message=message))
    if _constant(y_pred):
        findings.append(Finding(code="constant", message="all rows have the same prediction"))
    return findings


def _equal(y_true: Values, y_pred: Values) -> bool:
    if isinstance(y_true, np.ndarray) and isinstance(y_pred, np.ndarray):
        return np.array_equal(cast("NDArray[Any]", y_true), cast("NDArray[Any]", y_pred))
    return isinstance(y_true, list) and isinstance(y_pred, list) and y_true == y_pred


def _constant(y_pred: Values) -> bool:
    if isinstance(y_pred, dict):
        return all(_constant(column) for column in cast("dict[str, Values]", y_pred).values())
    if isinstance(y_pred, np.ndarray):
        column = cast("NDArray[Any]", y_pred)
        return len(column) > 1 and bool((column == column[0]).all())
    rows = cast("list[Any]", y_pred)
    return len(rows) > 1 and all(row == rows[0] for row in rows)
