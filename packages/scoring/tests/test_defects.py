"""One test for each verified defect of MLE-Dojo's and mle-bench's graders that concerns a metric.

Each shows the right value here and, where `compat` reproduces it, the other grader's value.
"""

# values of every shape have no common type
# pyright: reportUnknownMemberType=false
import math
from fractions import Fraction

import numpy as np
import pytest

from agentbench_scoring import (
    DegenerateLeaderboardError,
    InvalidSubmissionError,
    Leaderboard,
    SubmissionSpec,
    TargetSpec,
    UndefinedMetricError,
    get_metric,
    score_submission,
)
from agentbench_scoring.compat import mlebench, mledojo

NAN = math.nan


@pytest.mark.parametrize(
    "slug", ["commonlitreadabilityprize", "ventilator-pressure-prediction", "yelp-recsys-2013"]
)
def test_nan_is_not_a_perfect_score(slug: str) -> None:
    assert mledojo.get_metric(slug)([1, 2, 3], [1, NAN, NAN]) == 0.0
    for name in ("rmse", "mae"):
        with pytest.raises(InvalidSubmissionError, match="NaN"):
            get_metric(name)([1, 2, 3], [1, NAN, NAN])


def test_negatives_are_not_dropped_from_rmsle() -> None:
    slug = "santander-value-prediction-challenge"
    assert mledojo.get_metric(slug)([1e6, 1, 2, 3], [1e6, -5, -5, -5]) == 0.0
    with pytest.raises(InvalidSubmissionError, match="below"):
        get_metric("rmsle")([1e6, 1, 2, 3], [1e6, -5, -5, -5])


def test_taxi_fares_are_scored_by_rmse_and_not_mse() -> None:
    assert mledojo.get_metric("new-york-city-taxi-fare-prediction")([0, 0], [4, 4]) == 16
    assert get_metric("rmse")([0, 0], [4, 4]) == 4


def test_allstate_accuracy_is_a_share() -> None:
    true, pred = ["a"] * 10, ["a"] + ["b"] * 9
    assert mledojo.get_metric("allstate-purchase-prediction-challenge")(true, pred) == 10
    assert get_metric("accuracy")(true, pred) == pytest.approx(0.1)


def test_alaska2_normaliser_is_1_4() -> None:
    metric = get_metric("weighted_auc")
    bands = {"tpr_thresholds": [0, 0.4, 1], "weights": [2, 1]}
    assert metric([0, 1] * 10, [0.5] * 20, **bands) == pytest.approx(
        # the diagonal: areas .4 - .08 and .18 below it, weighted 2 and 1, over 1.4
        (2 * (0.4 - 0.08) + 0.18) / 1.4
    )
    assert metric([0, 0, 1, 1], [4, 3, 2, 1], **bands) == 0
    assert metric([0, 0, 1, 1], [1, 2, 3, 4], **bands) == 1


def test_flavours_bands_weigh_4_3_2_1_0() -> None:
    bands = {"tpr_thresholds": [0, 0.2, 0.4, 0.6, 0.8, 1], "weights": [4, 3, 2, 1, 0]}
    # on the diagonal the band [b, b + .2] has the area .2 (1 - b - .1)
    areas = [0.2 * (0.9 - 0.2 * k) for k in range(5)]
    expected = sum(w * a for w, a in zip((4, 3, 2, 1, 0), areas, strict=True)) / 2
    assert get_metric("weighted_auc")([0, 1], [1, 1], **bands) == pytest.approx(expected)


def test_freesound_is_lwlrap_and_not_macro_average_precision() -> None:
    true, pred = [[1, 0], [0, 1], [1, 1]], [[0.3, 0.2], [0.9, 0.8], [0.1, 0.2]]
    assert get_metric("lwlrap")(true, pred) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    theirs = mledojo.get_metric("freesound-audio-tagging-2019")(true, pred)
    assert theirs == pytest.approx((7 / 12 + 5 / 6) / 2)


def test_repeated_guesses_do_not_raise_map() -> None:
    true, pred = [["a", "b", "c"]], [["a"] * 12]
    slug = "h-and-m-personalized-fashion-recommendations"
    assert mledojo.get_metric(slug)(true, pred) == 4.0
    assert get_metric("map_at_k")(true, pred, k=12) == pytest.approx(1 / 3)


def test_article_ids_keep_their_leading_zeros() -> None:
    spec = SubmissionSpec(
        id_columns=("id",), targets=(TargetSpec(name="p", dtype="str"),), metric="map_at_k",
        params={"k": 12},
    )  # fmt: skip
    truth = {"id": ["00a"], "p": ["0706016001"]}
    assert score_submission(spec, {"id": ["00a"], "p": ["0706016001  07"]}, truth).value == 1
    assert score_submission(spec, {"id": ["00a"], "p": ["706016001"]}, truth).value == 0


def test_a_row_of_ones_is_not_a_perfect_distribution() -> None:
    true, ones = [0, 1, 2], np.ones((3, 3))
    assert mledojo.get_metric("dog-breed-identification")(true, ones) < 1e-14
    assert get_metric("log_loss_multiclass")(true, ones) == pytest.approx(math.log(3))


def test_kl_divergence_refuses_negative_probabilities() -> None:
    true, pred = [[0.5, 0.5, 0, 0, 0, 0]], [[1.5, 1.5, -2, 0, 0, 0]]
    slug = "hms-harmful-brain-activity-classification"
    assert mledojo.get_metric(slug)(true, pred) == pytest.approx(-math.log(2))
    with pytest.raises(InvalidSubmissionError):
        get_metric("kl_divergence")(true, pred)


def test_kappa_weighs_ratings_and_not_label_indices() -> None:
    true, pred = [0, 4, 4, 0], [0, 4, 3, 3]
    # ratings 0, 3, 4: squared gaps 1, 9, 16; observed (0 + 0 + 1 + 9)/4, expected by margins
    observed = 10 / 4
    expected = (0 * 2 * 1 + 9 * 2 * 2 + 16 * 2 * 1 + 16 * 2 * 1 + 1 * 2 * 2 + 0 * 2 * 1) / 16
    right = get_metric("quadratic_weighted_kappa")(true, pred, min_rating=0, max_rating=4)
    assert right == pytest.approx(1 - observed / expected)
    theirs = mledojo.get_metric("aptos2019-blindness-detection")(true, pred)
    assert theirs == mlebench.get_metric("aptos2019-blindness-detection")(true, pred) != right


def test_constant_predictions_have_gini_zero() -> None:
    true = [1, 1, 0, 0, 0]
    assert get_metric("gini_normalized")(true, [0.5] * 5) == pytest.approx(0)
    assert get_metric("gini_normalized")(true, [0.5] * 5, ties="order") == pytest.approx(1)


def test_a_perfect_detection_is_exactly_one() -> None:
    true = [[[0, 0, 0, 10, 10]], [[1, 5, 5, 9, 9], [0, 0, 0, 3, 3]]]
    pred = [[[box[0], 0.5, *box[1:]] for box in image] for image in true]
    assert get_metric("voc_map")(true, pred) == 1.0


@pytest.mark.parametrize(
    ("shared", "iou"), [(1, Fraction(1, 2)), (7, Fraction(7, 10)), (3, Fraction(3, 5))], ids=str
)
def test_iou_at_a_threshold_is_no_hit(shared: int, iou: Fraction) -> None:
    # prediction inside the truth: IoU is exactly shared / size
    size = iou.denominator * shared // iou.numerator
    params = {"heights": size, "widths": 1}
    got = get_metric("mask_map_iou")([f"1 {size}"], [f"1 {shared}"], **params)
    below = sum(Fraction(p, 100) < iou for p in range(50, 100, 5))
    assert got == pytest.approx(below / 10)
    theirs = mledojo.get_metric("tgs-salt-identification-challenge")
    reached = {Fraction(1, 2): 1, Fraction(7, 10): 4}  # .5 counts; .7 as float32 is below its step
    if iou in reached:
        assert theirs([f"1 {size}"], [f"1 {shared}"]) == pytest.approx(reached[iou] / 10)


def test_wheat_boxes_at_the_threshold_are_no_hit() -> None:
    true, pred = [[[0, 0, 10, 10]]], [[[0.9, 0, 0, 7, 10]]]
    assert get_metric("box_precision_map")(true, pred, thresholds=[0.7]) == 0
    assert get_metric("box_precision_map")(true, pred, thresholds=[0.69]) == 1


@pytest.mark.parametrize("word", ["NA", "", "null", "None", "nan"])
def test_missing_looking_words_are_text(word: str) -> None:
    assert get_metric("word_jaccard")([word], [word]) == 1
    assert get_metric("word_jaccard")([word], ["other"]) == 0
    slug = "text-normalization-challenge-english-language"
    assert mledojo.get_metric(slug)(["NA"], ["null"]) == 1
    assert get_metric("accuracy")(["NA"], ["null"]) == 0


def test_integers_beyond_64_bits_are_exact() -> None:
    huge = 3**80
    assert get_metric("accuracy")([1, huge, 5], [1, huge, 6]) == pytest.approx(2 / 3)
    assert get_metric("accuracy")([huge], [huge + 1]) == 0
    spec = SubmissionSpec(
        id_columns=("id",), targets=(TargetSpec(name="p", dtype="int"),), metric="accuracy"
    )
    sent, truth = [str(huge), "1.0", "2"], [str(huge), "1", "3"]
    ids = ["1", "2", "3"]
    got = score_submission(spec, {"id": ids, "p": sent}, {"id": ids, "p": truth})
    assert got.value == pytest.approx(2 / 3)


def test_ai4code_orders_must_be_permutations() -> None:
    for pred in (["a", "a", "a"], ["a", "b"], ["a", "b", "x"]):
        with pytest.raises(InvalidSubmissionError, match="permutation"):
            get_metric("kendall_tau_pooled")([["a", "b", "c"]], [pred])
    # nine swaps of six ordered pairs: 1 - 4 * 9 / 6
    assert mledojo.get_metric("AI4Code")([["a", "b", "c"]], [list("ccccba")]) == -5


def test_log_loss_clips_where_kaggle_clips() -> None:
    assert get_metric("log_loss")([0, 1], [1.0, 1.0]) == pytest.approx(-math.log(1e-15) / 2, 1e-12)
    assert mledojo.get_metric("bioresponse")([0, 1], [1.0, 1.0]) == pytest.approx(18.02, abs=0.01)
    assert get_metric("log_loss")([0, 1], [1.0, 1.0]) == pytest.approx(17.27, abs=0.01)


def test_log_loss_of_one_class_exists() -> None:
    assert get_metric("log_loss")([1, 1], [0.5, 0.5]) == pytest.approx(math.log(2))


def test_a_constant_column_makes_spearman_undefined() -> None:
    true, pred = [[1, 1], [2, 2], [3, 3]], [[1, 5], [2, 5], [3, 5]]
    assert mledojo.get_metric("google-quest-challenge")(true, pred) == pytest.approx(0.5)
    with pytest.raises(UndefinedMetricError):
        get_metric("spearman_columns")(true, pred)


def test_false_labels_are_not_free() -> None:
    true, pred = ["1 2"], ["1 2 8 9"]
    for grader in (mledojo, mlebench):
        assert grader.get_metric("imet-2020-fgvc7")(true, pred) == 1
    assert get_metric("f1_micro_multilabel")(true, pred) == pytest.approx(2 / 3)


def test_mean_f1_is_not_micro_f1() -> None:
    true, pred = ["a", "b c d"], ["x", "b c d"]
    assert get_metric("f1_samples")(true, pred) == 0.5
    assert mlebench.get_metric("plant-pathology-2021-fgvc8")(true, pred) == 0.75


def test_jigsaw_scores_are_ranked_as_they_are() -> None:
    true, pred = [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]
    slug = "jigsaw-unintended-bias-in-toxicity-classification"
    assert mlebench.get_metric(slug)(true, pred) == 0.5
    groups = {"a": [1, 0, 1, 0]}
    assert get_metric("bias_auc")({"target": true, "groups": groups}, pred) == 1


def test_corner_boxes_are_not_read_as_sizes() -> None:
    true, pred = [[[0, 50, 50, 60, 60]]], [[[0, 0.9, 60, 60, 70, 70]]]
    assert get_metric("voc_map")(true, pred, iou=0.4) == 0


def test_nothing_right_is_zero_in_voc_map() -> None:
    assert get_metric("voc_map")([[[0, 0, 0, 5, 5]]], [[[0, 0.9, 20, 20, 30, 30]]]) == 0


def test_an_empty_mask_does_not_match_a_nearly_full_one() -> None:
    assert get_metric("mask_map_iou")(["1 90"], [""], heights=10, widths=10) == 0


def test_blank_answers_earn_no_f1() -> None:
    true, pred = [1, 0, 0, 1], [0, 0, 0, 0]
    assert mlebench.get_metric("tensorflow2-question-answering")(true, pred) == 0.5
    assert get_metric("f1")(true, pred) == 0


def test_a_perfect_group_is_floored() -> None:
    true = {"value": [1.0, 2.0], "type": ["a", "a"]}
    assert mlebench.get_metric("champs-scalar-coupling")(true, [1, 2]) == -math.inf
    assert get_metric("grouped_log_mae")(true, [1, 2]) == pytest.approx(-20.723, abs=1e-3)


def test_two_empty_texts_agree() -> None:
    assert get_metric("word_jaccard")(["", "a"], ["", "a"]) == 1
    with pytest.raises(ZeroDivisionError):
        mlebench.get_metric("tweet-sentiment-extraction")(["", "a"], ["", "a"])


def test_double_spaces_do_not_shift_guesses() -> None:
    spec = SubmissionSpec(
        id_columns=("id",), targets=(TargetSpec(name="p", dtype="str"),), metric="map_at_k",
        params={"k": 2},
    )  # fmt: skip
    got = score_submission(spec, {"id": [1], "p": ["x  a"]}, {"id": [1], "p": ["a"]})
    assert got.value == 0.5


def test_auc_takes_logits() -> None:
    assert get_metric("roc_auc")([0, 1], [-3.0, 8.0]) == 1
    with pytest.raises(InvalidSubmissionError):
        mlebench.get_metric("histopathologic-cancer-detection")([0, 1], [-3.0, 8.0])


@pytest.mark.parametrize("code", ["8 100", "3 2 1 1", "1 3 2 2", "0 1", "1 0", "1", "1 -2", "a 1"])
def test_run_length_codes_must_be_sorted_disjoint_and_in_range(code: str) -> None:
    for name in ("rle_dice", "rle_fbeta"):
        with pytest.raises(InvalidSubmissionError):
            get_metric(name)(["1 3"], [code], height=3, width=3)


def test_uw_madison_dice_of_two_empty_masks_is_zero() -> None:
    assert get_metric("rle_dice")([""], [""], height=3, width=3, both_empty=0) == 0


def test_laplace_maximum_needs_every_row() -> None:
    perfect = {"value": [2000.0], "confidence": [70.0]}
    best = get_metric("laplace_log_likelihood")([2000.0], perfect)
    assert best == pytest.approx(-4.595, abs=1e-3)
    with pytest.raises(InvalidSubmissionError):
        get_metric("laplace_log_likelihood")([2000.0, 2500.0], perfect)


def test_winton_divides_by_the_row_count() -> None:
    true, pred, weight = [0, 0], [1, 1], [3, 5]
    metric = get_metric("weighted_mae")
    assert metric(true, pred, sample_weight=weight) == 1
    assert metric(true, pred, sample_weight=weight, normalize=False) == 4


def test_unscored_rows_do_not_count() -> None:
    spec = SubmissionSpec(
        id_columns=("id",), targets=(TargetSpec(name="p"),), metric="rmse", part_column="part"
    )
    truth = {"id": [1, 2], "p": [5.0, 0.0], "part": ["private", "ignored"]}
    assert score_submission(spec, {"id": [2, 1], "p": [9.0, 5.0]}, truth).value == 0


def test_all_zero_boards_rank_nobody() -> None:
    with pytest.raises(DegenerateLeaderboardError):
        Leaderboard([0.0] * 50, higher_is_better=True)
    with pytest.raises(DegenerateLeaderboardError):
        Leaderboard([0.9, NAN, 0.7], higher_is_better=True)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("gini_normalized", id="porto and liberty"),
        pytest.param("accuracy", id="eleven like accuracy"),
        "roc_auc",
    ],
)
def test_a_submission_with_nan_has_no_score(name: str) -> None:
    with pytest.raises(InvalidSubmissionError):
        get_metric(name)([0, 1, 1, 0], [0.0, NAN, 1.0, 0.0])


def test_home_data_is_the_mean_absolute_error_of_its_board() -> None:
    true, pred = [100_000.0, 200_000.0], [110_000.0, 170_000.0]
    assert get_metric("mae")(true, pred) == 20_000
    logs = [math.log(100_001 / 110_001), math.log(200_001 / 170_001)]
    right = math.sqrt(sum(v * v for v in logs) / 2)
    assert get_metric("rmsle")(true, pred) == pytest.approx(right)


def test_airbus_ships_at_the_threshold_are_no_hit() -> None:
    assert get_metric("mask_f2_iou")([["1 2"]], [["1 1"]]) == 0  # IoU is exactly 1/2
    # IoU 7/10 exceeds .50 .55 .60 .65 and not .70
    assert get_metric("mask_f2_iou")([["1 10"]], [["1 7"]]) == pytest.approx(4 / 10)


@pytest.mark.parametrize(
    ("name", "true", "pred"),
    [
        ("gini_normalized", [1, 1], [0.2, 0.3]),  # DontGetKicked
        ("roc_auc", [0, 0], [0.2, 0.3]),  # playground-series-s3e18
        ("roc_auc_columns", [[0, 1], [1, 1]], [[0.2, 0.3], [0.4, 0.5]]),  # plant-pathology, ranzcr
    ],
)
def test_one_class_is_undefined_and_not_a_half(name: str, true: object, pred: object) -> None:
    with pytest.raises(UndefinedMetricError):
        get_metric(name)(true, pred)


def test_vinbigdata_a_single_right_box_counts() -> None:
    assert get_metric("voc_map")([[[3, 0, 0, 10, 10]]], [[[3, 0.9, 0, 0, 10, 10]]], iou=0.4) == 1


def test_vinbigdata_boxes_of_iou_16_percent_do_not_match() -> None:
    # corners (0, 0, 10, 10) and (0, 0, 4, 4): 16/100; read as sizes they would overlap more
    true, pred = [[[0, 50, 50, 60, 60]]], [[[0, 0.9, 50, 50, 54, 54]]]
    assert get_metric("voc_map")(true, pred, iou=0.4) == 0
    assert get_metric("voc_map")(true, pred, iou=0.15) == 1


def test_google_quest_scores_are_never_nan() -> None:
    spec = SubmissionSpec(
        id_columns=("id",),
        targets=(TargetSpec(name="a"), TargetSpec(name="b")),
        metric="spearman_columns",
    )
    truth = {"id": [1, 2, 3], "a": [1.0, 2.0, 3.0], "b": [1.0, 3.0, 2.0]}
    with pytest.raises(UndefinedMetricError, match="constant"):
        score_submission(spec, truth | {"b": [5.0, 5.0, 5.0]}, truth)


def test_amex_by_hand() -> None:
    # by falling score: 1 0 1 0 with weights 1 20 1 20 of 42; the top 4 % is int(1.68) = 1 row
    true, score = [0, 1, 1, 0], [0.1, 0.9, 0.3, 0.5]
    gini = ((1 / 2 - 1 / 42) * 1 + (1 / 2 - 21 / 42) * 20 + (1 - 22 / 42) * 1) / (
        (1 / 2 - 1 / 42) * 1 + (1 - 2 / 42) * 1 + (1 - 22 / 42) * 20  # of the order 1 1 0 0
    )
    assert gini == pytest.approx(2 / 23)
    assert get_metric("amex_metric")(true, score) == pytest.approx((2 / 23 + 1 / 2) / 2)
    assert get_metric("amex_metric")(true, [0, 1, 1, 0]) == pytest.approx((1 + 1 / 2) / 2)


def test_wrmsse_by_hand() -> None:
    truth = {
        # the first series starts at its 1: steps 2 and -1; the second has steps 0 2 0 0
        "train": [[0, 0, 1, 3, 2], [5, 5, 7, 7, 7]],
        "test": [[2, 4], [1, 1]],
        "weights": [0.75, 0.25],
    }
    expected = 0.75 * math.sqrt((1 / 2) / (5 / 2)) + 0.25 * math.sqrt(2 / 1)
    assert get_metric("wrmsse")(truth, [[3, 4], [1, 3]]) == pytest.approx(expected)
