"""What looks odd about a submission or its code; findings are data, not verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.leaderboard import Leaderboard
from agentbench_scoring.metrics.inputs import Values
from agentbench_scoring.metrics.spec import MetricSpec
from agentbench_scoring.similarity import code_similarity


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a submission is held against to find oddities.

    Args:
        board: Scores of people, as its metric gives them.
        sample: The sample submission: path of a CSV file, or a table.
        others: Submissions of others by name, likewise. One that is not valid itself, or whose
            code is too short, is left out.
        code: Python file or folder that made the submission.
        other_code: Files or folders to look for its code in, by name.
    """

    board: Leaderboard | None = None
    sample: object = None
    others: Mapping[str, object] = field(default_factory=dict[str, object])
    code: str | Path | None = None
    other_code: Mapping[str, str | Path] = field(default_factory=dict[str, str | Path])


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


def better_than_people(score: float, board: Leaderboard) -> Finding | None:
    """Whether a score beats the best team of a board."""
    if board.position(score).position_worst > 1:
        return None
    message = f"{score:g} is better than the best of {board.n} teams, {board.best:g}"
    return Finding(code="better_than_best_human", message=message, value=score)


def near_duplicate(
    first: Values,
    second: Values,
    *,
    threshold: float = 0.999,
    name: str = "another submission",
    sample: bool = False,
) -> Finding | None:
    """Whether aligned predictions are nearly the same.

    Args:
        first: Predictions, shape (n,), or several columns, each by its name.
        second: Predictions for the same rows: another submission, or the sample submission.
        threshold: Numbers: correlation above which they count as the same (or equal in every
            row, where one is constant). Text: share of equal rows. Of several columns each must
            exceed it.
        name: Whose `second` is, for the message.
        sample: Whether `second` is the sample submission.

    Raises:
        InvalidInputError: Different lengths or columns.
    """
    value = min(_agreement(a, b) for a, b in _column_pairs(first, second))
    if value <= threshold:
        return None
    if sample:
        message = f"the predictions are close to the sample submission ({value:.4f})"
        return Finding(code="close_to_sample", message=message, value=value)
    message = f"the predictions nearly equal those of {name} ({value:.4f})"
    return Finding(code="near_duplicate", message=message, value=value)


def _column_pairs(first: Values, second: Values) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    one, two = (
        cast("Mapping[str, Any]", side) if isinstance(side, Mapping) else {"": side}
        for side in (first, second)
    )
    if not one or one.keys() != two.keys():
        raise InvalidInputError(f"columns {[*one]} and {[*two]} cannot be compared")
    pairs = [(np.asarray(one[name]), np.asarray(two[name])) for name in one]
    for a, b in pairs:
        if a.shape != b.shape or a.ndim != 1 or not a.size:
            raise InvalidInputError(f"columns of shapes {a.shape} and {b.shape} cannot be compared")
    return pairs


def _agreement(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Correlation of numbers; share of equal rows of text, or where a side is constant."""
    equal = int(np.count_nonzero(a == b)) / len(a)
    if a.dtype.kind not in "iufb" or b.dtype.kind not in "iufb" or equal == 1:
        return equal
    x, y = a.astype(np.float64), b.astype(np.float64)
    if x.min() == x.max() or y.min() == y.max():
        return equal
    return float(np.corrcoef(x, y)[0, 1])


def similar_code(
    code: str | Path, other: str | Path, *, threshold: float = 0.6, name: str = "the other tree"
) -> Finding | None:
    """Whether most of a code tree is found in another, by winnowing.

    Args:
        code: Python file or folder.
        other: File or folder to look for it in.
        threshold: Share of the fingerprints of `code` from which on it counts as found.
        name: Whose `other` is, for the message.

    Raises:
        InvalidInputError: A path that does not exist.
        UndefinedMetricError: A tree with too little code for a fingerprint.
    """
    found = code_similarity(code, other)
    if found.contained < threshold:
        return None
    message = f"{found.contained:.0%} of the code's fingerprints occur in {name}"
    return Finding(code="similar_code", message=message, value=found.contained)


def compare_code(evidence: Evidence) -> list[Finding]:
    """A finding for each tree of the evidence that holds most of the submission's code."""
    if evidence.code is None:
        return []
    findings: list[Finding] = []
    for name, tree in evidence.other_code.items():
        try:
            found = similar_code(evidence.code, tree, name=name)
        except UndefinedMetricError:
            continue
        if found is not None:
            findings.append(found)
    return findings
