"""Distances between texts and between sequences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from agentbench_scoring.errors import InvalidInputError, MissingExtraError, UndefinedMetricError
from agentbench_scoring.metrics.inputs import Values, lists, require_same_length, text
from agentbench_scoring.metrics.spec import metric


def _distances(true: Sequence[Any], pred: Sequence[Any]) -> list[int]:
    """Levenshtein distance of every pair, over code points or over the items of lists."""
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise MissingExtraError(
            "edit distances need rapidfuzz: pip install 'agentbench-scoring[text]'"
        ) from error
    return [Levenshtein.distance(a, b) for a, b in zip(true, pred, strict=True)]


@metric(
    "mean_levenshtein", higher_is_better=False, bounds=(0.0, None), truth="text", prediction="text"
)
def mean_levenshtein(y_true: Values, y_pred: Values) -> float:
    """Mean edit distance in code points (insertions, deletions, substitutions)."""
    true, pred = text(y_true, "y_true"), text(y_pred, "y_pred")
    require_same_length(true, pred)
    return float(np.mean(_distances(true, pred)))


@metric(
    "sequence_error_rate",
    higher_is_better=False,
    bounds=(0.0, None),
    truth="integers",
    prediction="integers",
)
def sequence_error_rate(y_true: Values, y_pred: Values) -> float:
    """Σ edit distances over Σ lengths of the truth, sequences of integers; may exceed 1."""
    true, pred = lists(y_true, "y_true"), lists(y_pred, "y_pred")
    require_same_length(true, pred)
    length = sum(map(len, true))
    if length == 0:
        raise UndefinedMetricError("sequence_error_rate: every true sequence is empty")
    return sum(_distances(true, pred)) / length


@metric("word_jaccard", higher_is_better=True, bounds=(0.0, 1.0), truth="text", prediction="text")
def word_jaccard(y_true: Values, y_pred: Values, *, both_empty: float = 1.0) -> float:
    """Mean over rows of |A ∩ B|/|A ∪ B| of the sets of lower-case words; "NA" is a word."""
    if not 0 <= both_empty <= 1:
        raise InvalidInputError(f"both_empty lies in [0, 1], not {both_empty}")
    true, pred = text(y_true, "y_true"), text(y_pred, "y_pred")
    require_same_length(true, pred)
    total = 0.0
    for a, b in zip(true, pred, strict=True):
        left, right = set(a.lower().split()), set(b.lower().split())
        shared = len(left & right)
        union = len(left) + len(right) - shared
        total += shared / union if union else both_empty
    return total / len(true)
