"""Metrics of ranked guesses: lists of ids per row, best first, or scores of the columns."""

import math
from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.metrics.inputs import (
    Floats,
    Values,
    binary_matrix,
    fault,
    matrix,
    require_same_length,
    tokens,
)
from agentbench_scoring.metrics.kernels import kernels
from agentbench_scoring.metrics.spec import metric

_SHARE = (0.0, 1.0)


def _ranked(y_true: Values, y_pred: Values) -> tuple[list[list[Any]], list[list[Any]]]:
    """True items and guesses of every row, without repeats and in order."""
    true = [_distinct(row) for row in tokens(y_true, "y_true")]
    pred = tokens(y_pred, "y_pred")
    require_same_length(true, pred)
    for row, items in enumerate(true):
        if not items:
            raise _nothing_relevant(row)
    return true, pred


def _nothing_relevant(row: int) -> InvalidInputError:
    return fault("y_true", f"row {row} has no relevant item; leave such rows out")


def _distinct(items: list[Any]) -> list[Any]:
    return list(dict.fromkeys(items)) if len(items) > 1 else items


def _check_k(k: int | None) -> None:
    if k is not None and k < 1:
        raise InvalidInputError(f"k must be at least 1, not {k}")


def _mean(y_true: Values, y_pred: Values, value: Callable[[list[Any], list[Any]], float]) -> float:
    true, pred = _ranked(y_true, y_pred)
    return sum(map(value, true, pred)) / len(true)


@metric("map_at_k", higher_is_better=True, bounds=_SHARE, truth="tokens", prediction="tokens")
def map_at_k(y_true: Values, y_pred: Values, *, k: int) -> float:
    """Mean over rows of Σ_{i<=k} P(i) rel(i) / min(|T|, k), over the distinct true items T.

    Only the first k guesses count. A repeated guess keeps its place and is never relevant twice.
    """
    _check_k(k)
    mean = _compiled_map(y_true, y_pred, k)
    if mean is not None:
        return mean
    texts = _texts(y_true), _texts(y_pred)
    if texts[0] is not None and texts[1] is not None:
        return _map_of_texts(texts[0], texts[1], k)

    def of_row(true: list[Any], pred: list[Any]) -> float:
        return _average_precision(true, pred, k)

    return _mean(y_true, y_pred, of_row)


def _average_precision(true: list[Any], pred: list[Any], k: int) -> float:
    """Of one row: distinct true items, and guesses of which the first k count."""
    if len(true) == 1:  # the common case: one item to find
        guesses = pred[:k]
        return 1 / (guesses.index(true[0]) + 1) if true[0] in guesses else 0.0
    left = set(true)
    hits, total = 0, 0.0
    for place, guess in enumerate(pred[:k], start=1):
        if guess in left:
            left.remove(guess)
            hits += 1
            total += hits / place
    return total / min(len(true), k)


def _texts(column: Values) -> list[str] | None:
    """A column that holds nothing but text, as a list; None of any other."""
    if isinstance(column, str) or not hasattr(column, "__iter__"):
        return None
    cells: list[Any] = list(column)
    return cells if set(map(type, cells)) == {str} else None


def _map_of_texts(true: list[str], pred: list[str], k: int) -> float:
    require_same_length(true, pred)
    total = 0.0
    for row, (wanted, guessed) in enumerate(zip(true, pred, strict=True)):
        words = wanted.split()
        if not words:
            raise _nothing_relevant(row)
        for word in words:  # a word that is nowhere in the text need not be looked for in its words
            if word in guessed:
                total += _average_precision(_distinct(words), guessed.split(), k)
                break
    return total / len(true)


def _compiled_map(y_true: Values, y_pred: Values, k: int) -> float | None:
    """MAP@k of two long columns of ASCII text, never parted into objects; None of others."""
    if isinstance(y_true, str) or isinstance(y_pred, str) or not hasattr(y_pred, "__len__"):
        return None
    compiled = kernels(16 * len(y_pred))  # letters, at a guess
    if compiled is None:
        return None
    try:
        joined = ["\n".join([compiled.PAD, *column, compiled.PAD]) for column in (y_true, y_pred)]
    except TypeError:  # a cell is no text
        return None
    if not (joined[0].isascii() and joined[1].isascii()):
        return None
    mean = compiled.map_at_k(*(compiled.words_of(text.encode()) for text in joined), len(y_pred), k)
    if math.isnan(mean):
        return None  # a cell holds a newline, or the lengths differ
    if mean < 0:
        raise _nothing_relevant(int(-mean) - 1)
    return mean


@metric("mrr", higher_is_better=True, bounds=_SHARE, truth="tokens", prediction="tokens")
def mrr(y_true: Values, y_pred: Values, *, k: int | None = None) -> float:
    """Mean reciprocal rank of the first relevant guess; 0 if there is none (in the first k)."""
    _check_k(k)

    def reciprocal_rank(true: list[Any], pred: list[Any]) -> float:
        wanted = set(true)
        places = (place for place, guess in enumerate(pred[:k], start=1) if guess in wanted)
        return 1 / next(places, float("inf"))

    return _mean(y_true, y_pred, reciprocal_rank)


@metric("ndcg_at_k", higher_is_better=True, bounds=_SHARE, truth="tokens", prediction="tokens")
def ndcg_at_k(y_true: Values, y_pred: Values, *, k: int) -> float:
    """Mean of DCG/ideal DCG with gain 1 for a relevant guess, discount 1/log₂(place + 1).

    Guesses count in the order given; a repeated guess gains nothing.
    """
    _check_k(k)
    discount = 1 / np.log2(np.arange(2, k + 2))

    def ndcg(true: list[Any], pred: list[Any]) -> float:
        left, gain = set(true), 0.0
        for place, guess in enumerate(pred[:k]):
            if guess in left:
                left.remove(guess)
                gain += float(discount[place])
        return gain / float(discount[: len(true)].sum())

    return min(1.0, _mean(y_true, y_pred, ndcg))


@metric("ndcg_graded", higher_is_better=True, bounds=_SHARE, truth="matrix", prediction="matrix")
def ndcg_graded(
    y_true: Values,
    y_pred: Values,
    *,
    k: int | None = None,
    gain: Literal["linear", "exponential"] = "linear",
) -> float:
    """Mean NDCG of graded relevance (n, m) ranked by scores (n, m).

    Gain is rel, or 2^rel - 1 with `gain="exponential"`. Columns of equal score share the mean gain
    of their places, as in scikit-learn. A row without relevance is undefined.
    """
    _check_k(k)
    relevance, score = matrix(y_true, "y_true"), matrix(y_pred, "y_pred")
    require_same_length(relevance, score)
    if relevance.min() < 0:
        raise InvalidInputError("y_true: relevance must not be negative")
    if gain not in ("linear", "exponential"):
        raise InvalidInputError(f"gain is 'linear' or 'exponential', not {gain!r}")
    gains: Floats = relevance
    if gain == "exponential":
        gains = cast("Floats", np.exp2(relevance) - 1)
    if not (gains.max(axis=1) > 0).all():
        raise UndefinedMetricError("ndcg_graded: a row has no relevant column")
    m = relevance.shape[1]
    discount = 1 / np.log2(np.arange(2, m + 2, dtype=np.float64))
    discount[m if k is None else k :] = 0
    ideal = np.sort(gains, axis=1)[:, ::-1] @ discount
    reached: Floats = np.empty(len(gains))
    for row, (row_gains, row_score) in enumerate(zip(gains, score, strict=True)):
        values, group = np.unique(-row_score, return_inverse=True)
        mean_gain = np.bincount(group, weights=row_gains) / np.bincount(group)
        places = np.bincount(np.sort(group), weights=discount, minlength=len(values))
        reached[row] = float(mean_gain @ places)
    return min(1.0, float((reached / ideal).mean()))


@metric("lwlrap", higher_is_better=True, bounds=_SHARE, truth="binary_matrix", prediction="matrix")
def lwlrap(y_true: Values, y_pred: Values) -> float:
    """Label-weighted label-ranking average precision: mean over all true labels of the precision
    at the label's rank; equal scores share the worst rank. Undefined without a true label.
    """  # noqa: D205 (the definition is one sentence)
    true, score = binary_matrix(y_true, "y_true"), matrix(y_pred, "y_pred")
    require_same_length(true, score)
    total = int(true.sum())
    if total == 0:
        raise UndefinedMetricError("lwlrap needs a true label")
    precision = 0.0
    for row, row_score in zip(true, score, strict=True):
        lost: Floats = -row_score
        rank = np.searchsorted(np.sort(lost), lost[row], side="right")
        hits = np.searchsorted(np.sort(lost[row]), lost[row], side="right")
        precision += float(np.sum(hits / rank))
    return min(1.0, precision / total)
