"""From the columns of answers and submissions to the arguments that each metric takes.

Most metrics take one column, or one row of numbers per answer. The others are listed by name: the
shapes are those of agentbench-scoring's metric signatures.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from agentbench_tasks.task import Submission

Arguments = tuple[Any, Any, dict[str, Any]]
"""Truth, prediction, and parameters that come from the answers (weights, groups)."""


def metric_input(
    metric: str, submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame
) -> Arguments:
    """Arguments of a metric.

    Args:
        metric: Its name.
        submission: The columns that are predicted.
        truth: Answers, n rows: ids, predicted columns, extra columns.
        prediction: Predicted columns, n rows in the same order.
    """
    if metric in _SPECIAL:
        return _SPECIAL[metric](submission, truth, prediction)
    names = list(submission.columns)
    if metric in _FLAT:
        return _matrix(truth, names).ravel(), _matrix(prediction, names).ravel(), {}
    if len(names) > 1:
        return _matrix(truth, names), _matrix(prediction, names), {}
    name = names[0]
    if submission.columns[name].type == "str":
        return truth[name].cast(pl.String).to_list(), prediction[name].to_list(), {}
    kind = pl.Int64 if submission.columns[name].type == "int" else pl.Float64
    given = prediction[name].cast(pl.Float64).to_numpy()
    known = truth[name].cast(pl.Float64)
    if (known == known.round()).all():
        known = known.cast(pl.Int64)
    return known.to_numpy(), given.astype(np.int64) if kind == pl.Int64 else given, {}


_FLAT = {"mae", "rmse", "rmsle"}  # one error over all predicted columns, where there are several


def _matrix(frame: pl.DataFrame, names: list[str]) -> Any:  # noqa: ANN401 - a float array (n, k)
    return frame.select(pl.col(names).cast(pl.Float64)).to_numpy()


def _only(submission: Submission) -> str:
    return next(iter(submission.columns))


def _classes(submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame) -> Arguments:
    """One-hot answers to class numbers; predictions stay one row of probabilities per answer."""
    names = list(submission.columns)
    return _matrix(truth, names).argmax(axis=1), _matrix(prediction, names), {}


def _split(separator: str, kind: type[str | int]) -> Callable[..., Arguments]:
    def arguments(
        submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame
    ) -> Arguments:
        name = _only(submission)
        both = [
            [[kind(item) for item in str(cell or "").split(separator) if item] for cell in column]
            for column in (truth[name].cast(pl.String).to_list(), prediction[name].to_list())
        ]
        return both[0], both[1], {}

    return arguments


def _weighted(submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame) -> Arguments:
    name = _only(submission)
    weights = truth["weight"].cast(pl.Float64).to_numpy()
    return (
        truth[name].cast(pl.Float64).to_numpy(),
        prediction[name].cast(pl.Float64).to_numpy(),
        {"sample_weight": weights},
    )


def _by_type(submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame) -> Arguments:
    name = _only(submission)
    known = {
        "value": truth[name].cast(pl.Float64).to_list(),
        "type": truth["type"].cast(pl.String).to_list(),
    }
    return known, prediction[name].to_list(), {}


def _components(submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame) -> Arguments:
    name = _only(submission)
    known = {
        "component": truth["component"].cast(pl.String).to_list(),
        "label": truth[name].cast(pl.Int64).to_list(),
    }
    return known, prediction[name].cast(pl.Int64).to_list(), {}


def _identities(submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame) -> Arguments:
    name = _only(submission)
    groups = [column for column in truth.columns if column.startswith("is_")]
    known = {
        "target": truth[name].cast(pl.Int64).to_list(),
        "groups": {column: truth[column].cast(pl.Int64).to_list() for column in groups},
    }
    return known, prediction[name].to_list(), {}


def _named(**fields: str) -> Callable[..., Arguments]:
    """Columns under other names: truth and prediction as mappings of lists."""

    def arguments(
        submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame
    ) -> Arguments:
        del submission
        sides = [
            {to: frame[name].cast(pl.Float64).to_list() for to, name in fields.items()}
            for frame in (truth, prediction)
        ]
        return sides[0], sides[1], {}

    return arguments


def _laplace(submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame) -> Arguments:
    del submission
    given = {
        "value": prediction["FVC"].cast(pl.Float64).to_list(),
        "confidence": prediction["Confidence"].cast(pl.Float64).to_list(),
    }
    return truth["FVC"].cast(pl.Float64).to_list(), given, {}


def _trips(submission: Submission, truth: pl.DataFrame, prediction: pl.DataFrame) -> Arguments:
    names = list(submission.columns)
    known = {"trip": truth[submission.id[0]].to_list(), "latlon": _matrix(truth, names).tolist()}
    return known, _matrix(prediction, names).tolist(), {}


_SPECIAL: dict[str, Callable[..., Arguments]] = {
    "bias_auc": _identities,
    "grouped_log_mae": _by_type,
    "kendall_tau_pooled": _split(" ", str),
    "laplace_log_likelihood": _laplace,
    "log_loss_multiclass": _classes,
    "map_at_k": _split(" ", str),
    "mask_f2_iou": _split(";", str),
    "mean_angular_error": _named(azimuth="azimuth", zenith="zenith"),
    "mean_p50_p95_haversine": _trips,
    "ndcg_at_k": _split(" ", str),
    "sequence_error_rate": _split(" ", int),
    "spearman_rows": _split(" ", int),
    "weighted_component_recall": _components,
    "weighted_mae": _weighted,
}
