"""Computations that several graders share; each departs from the metric in one stated way."""

from collections.abc import Callable, Sequence

import numpy as np

from agentbench_scoring.errors import InvalidSubmissionError
from agentbench_scoring.metrics import get_metric
from agentbench_scoring.metrics.correlation import inversions
from agentbench_scoring.metrics.inputs import Floats, Values
from agentbench_scoring.metrics.rle import intersection, parse_rle

_EPS = 1e-15


def _floats(values: Values) -> Floats:
    """Float64 with NaN and infinity let through."""
    return np.asarray(values, dtype=np.float64)


def skipping_nan(error: Callable[[Floats, Floats], Floats], *, root: bool) -> Callable[..., float]:
    """A mean error whose NaN terms are left out, as the mean of a pandas column does.

    The result of no term at all is 0.0, as those graders report it.
    """

    def metric(y_true: Values, y_pred: Values) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):
            terms = error(_floats(y_true), _floats(y_pred))
        columns = terms.reshape(len(terms), -1).T
        means = [float(np.mean(c[~np.isnan(c)])) if (~np.isnan(c)).any() else 0.0 for c in columns]
        return float(np.mean(np.sqrt(means) if root else means))

    return metric


def absolute(true: Floats, pred: Floats) -> Floats:
    """|p - y|."""
    return np.abs(pred - true)


def squared(true: Floats, pred: Floats) -> Floats:
    """(p - y)²."""
    return (pred - true) ** 2


def squared_log(true: Floats, pred: Floats) -> Floats:
    """(ln(1 + p) - ln(1 + y))², NaN below -1."""
    return (np.log1p(pred) - np.log1p(true)) ** 2


def kappa_of_label_indices(y_true: Values, y_pred: Values) -> float:
    """Quadratic kappa over positions among the ratings that are present."""
    true, pred = np.asarray(y_true), np.asarray(y_pred)
    _, index = np.unique(np.concatenate([true, pred]), return_inverse=True)
    return get_metric("quadratic_weighted_kappa")(index[: len(true)], index[len(true) :])


def log_loss_without_normalising(y_true: Values, y_pred: Values) -> float:
    """Multiclass log loss of rows taken as they are: all ones is nearly perfect."""
    table, true = _floats(y_pred), np.asarray(y_true)
    chosen = np.clip(table[np.arange(len(true)), true], _EPS, 1 - _EPS)
    return float(-np.log(chosen).mean())


def log_loss_at_float_eps(y_true: Values, y_pred: Values) -> float:
    """Binary log loss clipped at the float64 epsilon in place of 1e-15."""
    return get_metric("log_loss")(y_true, y_pred, eps="auto")


def micro_f1_over_true_labels(y_true: Sequence[str], y_pred: Sequence[str]) -> float:
    """Micro F1 of word sets in which labels that are never true cost nothing."""
    known = {word for row in y_true for word in row.split()}
    kept = [" ".join(word for word in row.split() if word in known) for row in y_pred]
    return get_metric("f1_micro_multilabel")(y_true, kept)


def micro_f1(y_true: Sequence[str], y_pred: Sequence[str]) -> float:
    """Micro F1 of word sets where the competition averages over rows."""
    return get_metric("f1_micro_multilabel")(y_true, y_pred)


def mean_squared_error(y_true: Values, y_pred: Values) -> float:
    """MSE where the competition says RMSE."""
    return get_metric("mse")(y_true, y_pred)


def accuracy_in_percent(y_true: Values, y_pred: Values) -> float:
    """Accuracy times 100, for a board of shares."""
    return 100 * get_metric("accuracy")(y_true, y_pred)


def mean_average_precision_of_columns(y_true: Values, y_pred: Values) -> float:
    """Mean over columns of the average precision, in place of label-weighted LRAP."""
    columns = zip(np.asarray(y_true).T, _floats(y_pred).T, strict=True)
    return float(np.mean([get_metric("average_precision")(a, b) for a, b in columns]))


def map_at_12_counting_repeats(
    y_true: Sequence[Sequence[str]], y_pred: Sequence[Sequence[str]]
) -> float:
    """MAP@12 in which a repeated right guess is right again: the value may exceed 1."""
    scores: list[float] = []
    for true, pred in zip(y_true, y_pred, strict=True):
        wanted, hits, total = set(true), 0, 0.0
        for place, guess in enumerate(pred[:12], start=1):
            if guess in wanted:
                hits += 1
                total += hits / place
        scores.append(total / min(len(wanted), 12))
    return float(np.mean(scores))


def kl_checking_the_sum_only(y_true: Values, y_pred: Values) -> float:
    """KL divergence of rows that sum to 1 and may hold anything: it can be below 0."""
    true, pred = _floats(y_true), _floats(y_pred)
    if (np.abs(pred.sum(axis=1) - 1) > 1e-6).any():
        raise InvalidSubmissionError("y_pred: rows must sum to 1")
    clipped = np.clip(pred, _EPS, 1 - _EPS)
    terms = np.where(true > 0, true * np.log(np.where(true > 0, true, 1) / clipped), 0)
    return float(terms.sum(axis=1).mean())


def correlation_or_zero(y_true: Values, y_pred: Values) -> float:
    """Mean column-wise Spearman in which a constant column counts 0."""
    total: list[float] = []
    for a, b in zip(_floats(y_true).T, _floats(y_pred).T, strict=True):
        constant = a.min() == a.max() or b.min() == b.max()
        total.append(0.0 if constant else get_metric("spearman")(a, b))
    return float(np.mean(total))


def accuracy_with_equal_missing_words(y_true: Sequence[str], y_pred: Sequence[str]) -> float:
    """Accuracy of texts in which "null", "NA", "nan" and "" are one and the same."""
    missing = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "n/a", "<NA>", "#N/A"}
    same = [a == b or {a, b} <= missing for a, b in zip(y_true, y_pred, strict=True)]
    return sum(same) / len(same)


def auc_of_thresholded_scores(y_true: Values, y_pred: Values) -> float:
    """AUC of predictions cut at 0.5 before ranking."""
    return get_metric("roc_auc")(y_true, (_floats(y_pred) > 0.5).astype(float))


def auc_within_unit_interval(y_true: Values, y_pred: Values) -> float:
    """AUC that refuses scores outside [0, 1], which Kaggle accepts."""
    scores = _floats(y_pred)
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InvalidSubmissionError("y_pred: scores outside [0, 1]")
    return get_metric("roc_auc")(y_true, scores)


def grouped_log_mae_without_floor(y_true: Values, y_pred: Values) -> float:
    """Mean over groups of ln MAE without the floor of 1e-9: a perfect group gives -inf."""
    values, groups = _floats(y_true["value"]), np.array([str(g) for g in y_true["type"]])
    errors = np.abs(values - _floats(y_pred))
    with np.errstate(divide="ignore"):
        return float(np.mean([np.log(errors[groups == g].mean()) for g in np.unique(groups)]))


def kendall_of_any_order(y_true: Sequence[Sequence[str]], y_pred: Sequence[Sequence[str]]) -> float:
    """Pooled Kendall tau of rows that hold the right set of items, however often each."""
    swaps, pairs = 0, 0
    for row, (true, pred) in enumerate(zip(y_true, y_pred, strict=True)):
        if set(true) != set(pred):
            raise InvalidSubmissionError(f"y_pred: row {row} holds other items")
        place = {item: number for number, item in enumerate(true)}
        swaps += inversions(np.array([place[item] for item in pred], dtype=np.intp))
        pairs += len(true) * (len(true) - 1)
    return 1 - 4 * swaps / pairs


def mask_precision_at_rounded_iou(y_true: Sequence[str], y_pred: Sequence[str]) -> float:
    """Mean share of thresholds .5, .55 ... .95 that a float32 IoU reaches, as float64 steps."""
    thresholds = np.arange(0.5, 1, 0.05)
    scores: list[float] = []
    for row, (true, pred) in enumerate(zip(y_true, y_pred, strict=True)):
        a = parse_rle(true, size=None, role="y_true", row=row)
        b = parse_rle(pred, size=None, role="y_pred", row=row)
        shared = intersection(a, b)
        union = a.area + b.area - shared
        iou = np.float32(shared / union) if union else np.float32(1)
        scores.append(float(np.mean(np.float64(iou) >= thresholds)))
    return float(np.mean(scores))


def jaccard_dividing_by_zero(y_true: Sequence[str], y_pred: Sequence[str]) -> float:
    """Mean word Jaccard in which two empty texts raise `ZeroDivisionError`."""
    scores: list[float] = []
    for true, pred in zip(y_true, y_pred, strict=True):
        a, b = set(true.lower().split()), set(pred.lower().split())
        scores.append(len(a & b) / len(a | b))
    return float(np.mean(scores))
