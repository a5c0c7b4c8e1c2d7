"""Values worked out by hand from the definition, for metrics without a library to agree with."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from agentbench_scoring import get_metric, list_metrics

LN2 = math.log(2)
DEGREE = 6_371_000 * math.pi / 180  # metres along the equator

# id: metric, truth, prediction, parameters, value; the comment is the working
GOLDEN: dict[str, tuple[str, Any, Any, dict[str, Any], float]] = {
    # P N P N weigh 1 20 1 20 of 42; Gini (20 + 20)/42 over (20 + 40 + 400)/42 of the best order;
    # the top int(0.04 * 42) = 1 of weight holds one positive of two: (2/23 + 1/2)/2
    "amex": ("amex_metric", [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6], {}, 27 / 92),
    # 105 of weight, int(4.2) = 4 of it captures four positives of five: (1 + 4/5)/2
    "amex, perfect order": ("amex_metric", [1] * 5 + [0] * 5, [1.0] * 5 + [0.0] * 5, {}, 0.9),
    # steps from the first non-zero value on: 2, -1 of mean square 5/2, and 0, 2, -2, 0 of 2;
    # both errors have mean square 2: sqrt(2 / 2.5) / 4 + 3/4 * sqrt(2 / 2)
    "wrmsse": (
        "wrmsse",
        {
            "train": [[0, 0, 1, 3, 2], [2, 2, 4, 2, 2]],
            "test": [[3, 4], [1, 1]],
            "weights": [0.25, 0.75],
        },
        [[3, 6], [1, 3]],
        {},
        math.sqrt(0.8) / 4 + 0.75,
    ),
    # all rows 3.5 of 4 pairs; subgroups 1/2 and 1, of power mean ((2^5 + 1)/2)^(-1/5); the rest 1
    "bias_auc": (
        "bias_auc",
        {"target": [0, 1, 0, 1], "groups": {"a": [1, 1, 0, 0], "b": [0, 0, 1, 1]}},
        [0.5, 0.5, 0.2, 0.9],
        {},
        0.25 * (3.5 / 4 + 16.5**-0.2 + 1 + 1),
    ),
    # characters 0-4 7 8 against 3-7, then none against 1: TP 3, FP 2 + 1, FN 4
    "char_span_micro_f1": ("char_span_micro_f1", ["0 5;7 9", ""], ["3 8", "1 2"], {}, 6 / 13),
    "error_rate": ("error_rate", [1, 0, 2, 1], [1, 2, 2, 0], {}, 0.5),
    # TP 2, FP 2, FN 1: 5 * 2 / (5 * 2 + 4 * 1 + 2)
    "fbeta_micro_multilabel": (
        "fbeta_micro_multilabel",
        ["a b", "c"],
        ["a", "d c e"],
        {"beta": 2},
        10 / 16,
    ),
    # mean errors (1 + 3)/2 and 4: (ln 2 + ln 4)/2
    "grouped_log_mae": (
        "grouped_log_mae",
        {"value": [0.0, 0.0, 0.0], "type": ["a", "a", "b"]},
        [1.0, -3.0, 4.0],
        {},
        1.5 * LN2,
    ),
    # one swap of 3 * 2 + 2 * 1: 1 - 4 * 1 / 8
    "kendall_tau_pooled": (
        "kendall_tau_pooled",
        [["a", "b", "c"], ["x", "y"]],
        [["b", "a", "c"], ["x", "y"]],
        {},
        0.5,
    ),
    "mae_flat": ("mae_flat", [[1, 2], [3, 4]], [[1, 4], [3, 3]], {}, 3 / 4),
    "rmse_flat": ("rmse_flat", [[1, 2], [3, 4]], [[1, 4], [3, 3]], {}, math.sqrt(5 / 4)),
    "rmsle_flat": (
        "rmsle_flat",
        [[0, math.e - 1]],
        [[math.e - 1, math.e - 1]],
        {},
        math.sqrt(1 / 2),
    ),
    # IoU 3/4 exceeds .5 to .7, five thresholds of ten, each 5/(5 + 4 + 1); no ships: 1
    "mask_f2_iou": (
        "mask_f2_iou",
        [["1 4", "9 4"], []],
        [["1 3", "6 2"], []],
        {},
        (0.5 * 5 / 10 + 1) / 2,
    ),
    # turned by half a radian, and opposite
    "mean_angular_error": (
        "mean_angular_error",
        {"azimuth": [1.0, 0.0], "zenith": [1.0, 0.0]},
        {"azimuth": [1.0, 0.0], "zenith": [1.5, math.pi]},
        {},
        (0.5 + math.pi) / 2,
    ),
    # errors of 0 and 1 degree: (0.5 + 0.95)/2; of 2 degrees: 2
    "mean_p50_p95_haversine": (
        "mean_p50_p95_haversine",
        {"trip": ["a", "a", "b"], "latlon": [[0, 0], [0, 10], [0, 20]]},
        [[0, 0], [0, 11], [0, 18]],
        {},
        DEGREE * (0.725 + 2) / 2,
    ),
    "mrr": ("mrr", [["a"], ["b"]], [["x", "a"], ["y"]], {}, 1 / 4),
    # 1 + 1/log2(4) over 1 + 1/log2(3)
    "ndcg_at_k": (
        "ndcg_at_k",
        [["a", "b"]],
        [["a", "x", "b"]],
        {"k": 3},
        1.5 / (1 + LN2 / math.log(3)),
    ),
    # a point on the corner is outside: TP 1, FP 1, FN 1
    "point_in_box_f1": ("point_in_box_f1", ["a 0 0 4 4 b 5 5 2 2"], ["a 1 1 b 5 5"], {}, 0.5),
    # precision 1.25/1.5, recall 1.25/2
    "probabilistic_f1": ("probabilistic_f1", [1, 0, 1], [0.5, 0.25, 0.75], {}, 5 / 7),
    # two pixels shared; 4 + 4 and 0 + 1 pixels
    "rle_dice_global": ("rle_dice_global", ["1 4", ""], ["3 4", "1 1"], {}, 4 / 9),
    # precision 1, recall 1/2: 1.25 * 2 / (0.25 * 4 + 2)
    "rle_fbeta": ("rle_fbeta", ["1 4"], ["1 2"], {}, 5 / 6),
    "rmspe": ("rmspe", [2, 4], [1, 6], {}, 0.5),
    # one deletion and one insertion, three true tokens
    "sequence_error_rate": ("sequence_error_rate", [[1, 2], [3]], [[1], [3, 4]], {}, 2 / 3),
    # 2 * 2/4, 0/0 and 2 * 2/2
    "smape": ("smape", [1, 0, -1], [3, 0, 1], {}, 100),
    # of the columns 1 and, with squared rank differences of 2 in all, 1 - 6 * 2 / (3 * 8)
    "spearman_columns": (
        "spearman_columns",
        [[1, 1], [2, 2], [3, 3]],
        [[1, 1], [2, 3], [3, 2]],
        {},
        0.75,
    ),
    "spearman_rows": ("spearman_rows", [[1, 2, 3], [3, 1]], [[1, 3, 2], [2, 1]], {}, 0.75),
    # a miss before the hit: precision 1/2 at recall 1
    "voc_map": (
        "voc_map",
        [[[0, 0, 0, 9, 9]]],
        [[[0, 0.8, 0, 0, 9, 9], [0, 0.9, 50, 50, 60, 60]]],
        {},
        0.5,
    ),
    # TP 1, FP 1, FN 1 at every threshold; then a truth without a prediction
    "box_precision_map": (
        "box_precision_map",
        [[[0, 0, 10, 10], [50, 50, 5, 5]], [[1, 1, 4, 4]]],
        [[[0.9, 0, 0, 10, 10], [0.5, 20, 21, 5, 5]], []],
        {},
        1 / 6,
    ),
    # recalls 1/2 and 1 of the roots, 1 of the vowels: (2 * 3/4 + 1)/3
    "weighted_component_recall": (
        "weighted_component_recall",
        {"component": ["grapheme_root"] * 3 + ["vowel"], "label": [0, 0, 1, 7]},
        [0, 1, 1, 7],
        {},
        5 / 6,
    ),
    # Dice 2/3; the pixel missed lies one row of three from the nearest: 0.4 * 2/3 + 0.6 * 2/3
    "dice_hausdorff": (
        "dice_hausdorff",
        {"mask": ["1 2"], "volume": ["v"], "slice": [1], "height": [3], "width": [3]},
        ["1 1"],
        {},
        2 / 3,
    ),
    "weighted_mae": ("weighted_mae", [1, 2], [2, 4], {"sample_weight": [3, 1]}, 5 / 4),
    "weighted_mae, over rows": (
        "weighted_mae",
        [1, 2],
        [2, 4],
        {"sample_weight": [3, 1], "normalize": False},
        5 / 2,
    ),
    # (14 * ln 2 + 1 * ln 4/3)/15
    "weighted_multilabel_log_loss": (
        "weighted_multilabel_log_loss",
        [[1, 0]],
        [[0.5, 0.25]],
        {"positive_weights": [14, 2], "negative_weights": [7, 1]},
        (14 * LN2 + math.log(4 / 3)) / 15,
    ),
    # squares of error weigh 2 * 1, squares of truth 2 * 1 + 1 * 4
    "weighted_zero_mean_r2": (
        "weighted_zero_mean_r2",
        [1, 2],
        [0, 2],
        {"sample_weight": [2, 1]},
        2 / 3,
    ),
    "word_jaccard": ("word_jaccard", ["a b c", ""], ["A b", ""], {}, (2 / 3 + 1) / 2),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_the_value_is_the_one_worked_out_by_hand(case: str) -> None:
    name, true, pred, params, value = GOLDEN[case]
    assert get_metric(name)(true, pred, **params) == pytest.approx(value, rel=1e-12)


def test_every_metric_has_a_reference_or_a_value_by_hand() -> None:
    parity = (Path(__file__).parent / "test_metric_parity.py").read_text()
    compared = set(re.findall(r'"(\w+)"', parity)) | {case[0] for case in GOLDEN.values()}
    assert [spec.name for spec in list_metrics() if spec.name not in compared] == []
