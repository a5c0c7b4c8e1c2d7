"""Laws that every metric obeys, on one small example of each."""
# examples of every shape have no common type
# pyright: reportMissingTypeStubs=false
# pyright: reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false
# pyright: reportUnknownLambdaType=false
# pyright: reportArgumentType=false

import copy
import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring import (
    InvalidInputError,
    InvalidSubmissionError,
    ScoringError,
    UndefinedMetricError,
    get_metric,
    list_metrics,
    register_metric,
)

BINARY = [0, 1, 1, 0, 1]
SCORES = [0.1, 0.8, 0.4, 0.3, 0.9]
REAL = [1.0, 2.0, 4.0, 3.0]
NEAR = [1.5, 2.0, 3.0, 2.5]
TABLE = [[0.5, 0.25], [0.125, 0.75], [0.25, 0.5]]
OTHER = [[0.25, 0.25], [0.125, 0.5], [0.5, 0.5]]
CLASSES = [[0.5, 0.5], [0.25, 0.75], [0.75, 0.25]]
BOXES = [[[0, 0, 10, 10], [20, 20, 5, 5]], [[1, 1, 4, 4]]]
SCORED = [[[0.9, 0, 0, 10, 10], [0.5, 20, 21, 5, 5]], [[0.3, 9, 9, 2, 2]]]

# name: truth, a prediction, a perfect prediction (or None), parameters
EXAMPLES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    **{
        name: ([1, 0, 2, 1], [1, 2, 2, 0], [1, 0, 2, 1], {})
        for name in (
            "accuracy", "error_rate", "balanced_accuracy", "f1_macro", "f1_micro", "recall_macro",
            "mcc", "quadratic_weighted_kappa", "linear_weighted_kappa",
        )
    },
    **{name: (BINARY, [0, 1, 0, 0, 1], BINARY, {}) for name in ("f1", "fbeta")},
    **{
        name: (BINARY, SCORES, BINARY, {})
        for name in (
            "roc_auc", "gini_normalized", "weighted_auc", "average_precision",
            "log_loss", "balanced_log_loss", "brier_score", "probabilistic_f1",
        )
    },
    # the best value depends on how many rows are positive
    "amex_metric": (BINARY, SCORES, None, {}),
    **{
        name: (REAL, NEAR, REAL, {})
        for name in (
            "mse", "rmse", "mae", "median_absolute_error", "r2", "smape", "rmspe", "rmsle",
            "pinball", "pearson", "spearman", "kendall_tau_b", "weighted_mae",
            "weighted_zero_mean_r2",
        )
    },
    **{
        name: (TABLE, OTHER, TABLE, {})
        for name in (
            "mcrmse", "mcrmsle", "rmse_flat", "rmsle_flat", "mae_flat", "spearman_columns",
        )
    },
    **{
        name: (["a b", "", "NA c"], ["a", "d", "NA c"], ["a b", "", "NA c"], {})
        for name in ("f1_samples", "f1_micro_multilabel", "fbeta_micro_multilabel", "word_jaccard",
                     "mean_levenshtein")
    },
    **{
        name: ([["a"], ["b", "c"]], [["x", "a"], ["c", "b"]], [["a"], ["b", "c"]], {"k": 3})
        for name in ("map_at_k", "ndcg_at_k", "mrr")
    },
    **{
        name: (["1 4 9 2", ""], ["3 4", ""], ["1 4 9 2", ""], {"height": 4, "width": 4})
        for name in ("rle_dice", "rle_dice_global")
    },
    "rle_fbeta": (["1 4 9 2"], ["3 4"], ["1 4 9 2"], {"height": 4, "width": 4}),
    "mask_map_iou": (["1 4", ""], ["1 3", ""], ["1 4", ""], {"heights": 4, "widths": [4, 4]}),
    "mask_f2_iou": (
        [["1 4", "9 4"], []], [["1 3", "6 2"], []], [["1 4", "9 4"], []],
        {"height": 4, "width": 4},
    ),
    "log_loss_multiclass": ([0, 1, 0], CLASSES, [[1, 0], [0, 1], [1, 0]], {}),
    "kl_divergence": (CLASSES, CLASSES[::-1], CLASSES, {}),
    "weighted_multilabel_log_loss": (
        [[0, 1], [1, 1]], [[0.2, 0.7], [0.5, 0.9]], [[0, 1], [1, 1]],
        {"positive_weights": [7, 1], "negative_weights": [14, 2]},
    ),
    "roc_auc_columns": ([[0, 1], [1, 0], [1, 1]], OTHER, [[0, 1], [1, 0], [1, 1]], {}),
    "lwlrap": ([[0, 1], [1, 0], [1, 1]], OTHER, [[0, 1], [1, 0], [1, 1]], {}),
    "ndcg_graded": ([[0, 1, 2], [3, 0, 1]], [[1, 2, 3], [0, 2, 1]], [[0, 1, 2], [3, 0, 1]], {}),
    "crps_gaussian": (REAL, {"mean": NEAR, "std": [1.0] * 4}, None, {}),
    "crps_ensemble": (REAL, [[1, 2], [2, 3], [3, 5], [2, 2]], [[v, v] for v in REAL], {}),
    "laplace_log_likelihood": (REAL, {"value": NEAR, "confidence": [70.0] * 4}, None, {}),
    "grouped_log_mae": ({"value": REAL, "type": ["a", "b", "a", "b"]}, NEAR, None, {}),
    "wrmsse": (
        {"train": [[1, 2, 4], [0, 3, 2]], "test": [[3, 4], [2, 2]], "weights": [0.5, 0.5]},
        [[3, 5], [2, 1]], [[3, 4], [2, 2]], {},
    ),
    "bias_auc": (
        {"target": [0, 1, 0, 1, 0, 1], "groups": {"g": [1, 1, 0, 0, 1, 0]}},
        [0.2, 0.6, 0.7, 0.9, 0.1, 0.4], [0, 1, 0, 1, 0, 1], {},
    ),
    "weighted_component_recall": (
        {"component": ["grapheme_root", "vowel", "vowel"], "label": [1, 0, 1]},
        [1, 1, 1], [1, 0, 1], {},
    ),
    "spearman_rows": ([[1, 2, 3], [3, 1]], [[1, 3, 2], [2, 1]], [[1, 2, 3], [3, 1]], {}),
    "kendall_tau_pooled": (
        [["a", "b", "c"], ["x", "y"]], [["b", "a", "c"], ["x", "y"]],
        [["a", "b", "c"], ["x", "y"]], {},
    ),
    "sequence_error_rate": ([[1, 2], [3]], [[1], [3, 4]], [[1, 2], [3]], {}),
    "char_span_micro_f1": (["0 5;7 9", ""], ["3 8", "1 2"], ["0 5;7 9", ""], {}),
    "point_in_box_f1": (["a 0 0 4 4 b 5 5 2 2", ""], ["a 1 1 b 5 5", ""], ["a 1 1 b 6 6", ""], {}),
    "box_precision_map": (BOXES, SCORED, [[[1, *box] for box in image] for image in BOXES], {}),
    "voc_map": (
        [[[0, 0, 0, 9, 9], [1, 3, 3, 8, 8]], [[0, 1, 1, 5, 5]]],
        [[[0, 0.9, 0, 0, 9, 9]], [[0, 0.8, 2, 2, 6, 6]]],
        [[[0, 1, 0, 0, 9, 9], [1, 1, 3, 3, 8, 8]], [[0, 1, 1, 1, 5, 5]]], {},
    ),
    "hausdorff_3d": ([[[0, 1], [1, 0]]], [[[1, 0], [0, 0]]], [[[0, 1], [1, 0]]], {}),
    "dice_hausdorff": (
        {"mask": ["1 2", "3 1"], "volume": ["v", "v"], "slice": [1, 2], "height": [3, 3],
         "width": [3, 3]},
        ["1 1", "3 2"], ["1 2", "3 1"], {},
    ),
    "mean_angular_error": (
        {"azimuth": [0.1, 2.0], "zenith": [0.5, 1.0]},
        {"azimuth": [0.2, 1.0], "zenith": [0.5, 2.0]},
        {"azimuth": [0.1, 2.0], "zenith": [0.5, 1.0]}, {},
    ),
    "mean_p50_p95_haversine": (
        {"trip": ["a", "a", "b"], "latlon": [[0, 0], [1, 1], [2, 2]]},
        [[0, 0.5], [1, 1], [2.1, 2]], [[0, 0], [1, 1], [2, 2]], {},
    ),
}  # fmt: skip
FIXED_ORDER = {"hausdorff_3d"}  # its rows are slices of one volume


def test_every_metric_has_an_example() -> None:
    assert set(EXAMPLES) == {spec.name for spec in list_metrics()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_value_lies_within_bounds_and_inputs_stay_as_they_were(name: str) -> None:
    true, pred, _, params = copy.deepcopy(EXAMPLES[name])
    metric = get_metric(name)
    value = metric(true, pred, **params)
    low, high = metric.spec.bounds
    assert (low is None or value >= low) and (high is None or value <= high)  # noqa: PT018 (one law)
    assert (true, pred) == EXAMPLES[name][:2]


@pytest.mark.parametrize("name", [n for n, e in EXAMPLES.items() if e[2] is not None])
def test_a_perfect_prediction_has_the_best_value(name: str) -> None:
    true, worse, perfect, params = EXAMPLES[name]
    metric = get_metric(name)
    assert metric.spec.best is not None
    assert metric(true, perfect, **params) == pytest.approx(metric.spec.best, abs=1e-12)
    sign = 1 if metric.spec.higher_is_better else -1
    assert sign * metric(true, worse, **params) <= sign * metric.spec.best


def _shuffled(values: Any, order: list[int]) -> Any:
    if isinstance(values, dict):
        fields = cast("dict[str, Any]", values)
        return {name: _shuffled(column, order) for name, column in fields.items()}
    return [values[k] for k in order]


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - FIXED_ORDER))
def test_the_order_of_rows_does_not_matter(name: str) -> None:
    true, pred, _, params = EXAMPLES[name]
    n = len(pred if isinstance(pred, list) else next(iter(pred.values())))
    order = [*range(1, n), 0]
    value = get_metric(name)(_shuffled(true, order), _shuffled(pred, order), **params)
    assert value == pytest.approx(get_metric(name)(true, pred, **params), abs=1e-12)


def _spoiled(values: Any, bad: float) -> Any:
    """The same with its first number replaced; None if it holds no number."""
    if isinstance(values, dict):
        fields = cast("dict[str, Any]", values)
        first = next(iter(fields))
        return {**fields, first: _spoiled(fields[first], bad)}
    if isinstance(values, list):
        items = cast("list[Any]", values)
        return [_spoiled(items[0], bad), *items[1:]]
    return None if isinstance(values, str) else bad


def _has_numbers(values: Any) -> bool:
    while not isinstance(values, int | float | str):
        values = next(iter(values.values())) if isinstance(values, dict) else values[0]
    return not isinstance(values, str)


NUMERIC = [
    name
    for name, example in EXAMPLES.items()
    if _has_numbers(example[1]) and name not in {"voc_map", "sequence_error_rate"}
]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf], ids=str)
@pytest.mark.parametrize("name", NUMERIC)
def test_nan_and_infinity_are_invalid_submissions(name: str, bad: float) -> None:
    true, pred, _, params = EXAMPLES[name]
    with pytest.raises(InvalidSubmissionError):
        get_metric(name)(true, _spoiled(pred, bad), **params)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_prediction_of_another_length_is_invalid(name: str) -> None:
    true, pred, _, params = EXAMPLES[name]
    longer = (
        {field: [*column, column[-1]] for field, column in pred.items()}
        if isinstance(pred, dict)
        else [*pred, pred[-1]]
    )
    with pytest.raises(InvalidSubmissionError):
        get_metric(name)(true, longer, **params)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_unknown_parameter_is_named(name: str) -> None:
    true, pred, _, params = EXAMPLES[name]
    with pytest.raises(InvalidInputError, match="no parameter 'colour'"):
        get_metric(name)(true, pred, **params, colour=1)


@pytest.mark.parametrize(
    ("name", "true", "pred", "params"),
    [
        ("roc_auc", [1, 1], [0.1, 0.2], {}),
        ("gini_normalized", [2, 2], [0.1, 0.2], {}),
        ("weighted_auc", [0, 0], [0.1, 0.2], {}),
        ("balanced_log_loss", [0, 0], [0.1, 0.2], {}),
        ("average_precision", [0, 0], [0.1, 0.2], {}),
        ("f1", [0, 0], [0, 0], {}),
        ("pearson", [1, 2], [3, 3], {}),
        ("spearman", [1, 1], [3, 4], {}),
        ("kendall_tau_b", [1, 2], [3, 3], {}),
        ("spearman_columns", [[1, 1], [2, 1]], [[1, 2], [2, 3]], {}),
        ("roc_auc_columns", [[1, 1], [0, 1]], [[1, 2], [2, 3]], {}),
        ("quadratic_weighted_kappa", [3, 3], [3, 3], {}),
        ("rmspe", [0, 1], [1, 1], {}),
        ("weighted_zero_mean_r2", [0, 0], [1, 1], {}),
        ("lwlrap", [[0, 0]], [[1, 2]], {}),
        ("ndcg_graded", [[0, 0]], [[1, 2]], {}),
        ("rle_dice_global", ["", ""], ["", ""], {}),
        ("rle_fbeta", [""], [""], {}),
        ("f1_micro_multilabel", ["", ""], ["", ""], {}),
        ("voc_map", [[]], [[]], {}),
        ("sequence_error_rate", [[]], [[]], {}),
        ("probabilistic_f1", [0, 0], [0.5, 0.5], {}),
        ("bias_auc", {"target": [0, 1], "groups": {"a": [0, 0]}}, [0.1, 0.2], {}),
    ],
)
def test_undefined_is_an_error_and_no_number(
    name: str, true: Any, pred: Any, params: dict[str, Any]
) -> None:
    with pytest.raises(UndefinedMetricError):
        get_metric(name)(true, pred, **params)


COLUMN = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.floats(0, 1, allow_subnormal=False)),
    min_size=1,
    max_size=30,
)
ON_BINARY = [
    "roc_auc", "gini_normalized", "weighted_auc", "average_precision", "log_loss",
    "balanced_log_loss", "brier_score", "probabilistic_f1", "mse", "rmse", "mae", "smape", "r2",
    "median_absolute_error", "pearson", "spearman", "kendall_tau_b", "pinball", "rmsle",
]  # fmt: skip


@pytest.mark.parametrize("name", ON_BINARY)
@given(rows=COLUMN)
def test_random_input_gives_a_value_in_bounds_or_a_named_error(
    name: str, rows: list[tuple[int, float]]
) -> None:
    metric = get_metric(name)
    try:
        value = metric([t for t, _ in rows], [p for _, p in rows])
    except UndefinedMetricError:
        return
    low, high = metric.spec.bounds
    assert math.isfinite(value)
    assert low is None or value >= low - 1e-12
    assert high is None or value <= high + 1e-12


@given(rows=COLUMN)
def test_auc_is_one_minus_itself_when_scores_are_turned_round(
    rows: list[tuple[int, float]],
) -> None:
    true, score = [t for t, _ in rows], [p for _, p in rows]
    if len(set(true)) == 2:
        auc = get_metric("roc_auc")
        assert auc(true, score) + auc(true, [-p for p in score]) == pytest.approx(1)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True), st.data())
def test_dice_of_runs_is_dice_of_sets(pixels: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 60), max_size=40, unique=True))
    codes = [" ".join(f"{p + 1} 1" for p in sorted(side)) for side in (pixels, other)]
    expected = 2 * len(set(pixels) & set(other)) / (len(pixels) + len(other))
    assert get_metric("rle_dice")(codes[:1], codes[1:], height=61, width=1) == expected


@given(st.text(max_size=40))
def test_any_text_as_a_run_length_code_is_read_or_refused(cell: str) -> None:
    try:
        value = get_metric("rle_dice")(["1 3"], [cell], height=9, width=9)
    except InvalidSubmissionError:
        return
    assert 0 <= value <= 1


def test_arrays_columns_and_lists_are_the_same() -> None:
    polars = pytest.importorskip("polars")
    for kind in (np.array, tuple, polars.Series):
        assert get_metric("rmse")(kind(REAL), kind(NEAR)) == get_metric("rmse")(REAL, NEAR)
        assert get_metric("accuracy")(kind(["a", "b"]), kind(["a", "c"])) == 0.5


def test_a_name_can_be_registered_once() -> None:
    @register_metric("largest_error", higher_is_better=False, bounds=(0, None))
    def largest_error(y_true: Any, y_pred: Any) -> float:
        """Largest absolute error."""
        return float(np.max(np.abs(np.subtract(y_true, y_pred))))

    assert get_metric("largest_error")([1, 2], [1, 5]) == 3
    assert largest_error.spec.best == 0
    with pytest.raises(ScoringError, match="exists already"):
        register_metric("roc_auc", higher_is_better=True)
    with pytest.raises(LookupError, match="did you mean 'roc_auc'"):
        get_metric("roc_acu")
