"""One test for each verified defect of other graders about which row, column or team is which.

Tests are named after the competition whose grader has the defect; `docs/scoring-defects.md` lists
all of them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from agentbench_scoring import (
    DegenerateLeaderboardError,
    InvalidSubmissionError,
    Leaderboard,
    Medal,
    Score,
    SubmissionSpec,
    TargetSpec,
    score_submission,
    validate,
)

Table = Mapping[str, Sequence[Any]]


def _spec(metric: str, *targets: str, dtype: str = "float", **fields: Any) -> SubmissionSpec:
    columns = [TargetSpec.model_validate({"name": name, "dtype": dtype}) for name in targets]
    ids = fields.pop("id_columns", ("id",))
    return SubmissionSpec(id_columns=ids, targets=tuple(columns), metric=metric, **fields)


def _shuffled(table: Table, *, seed: int = 3) -> dict[str, list[Any]]:
    """The rows in another order, and the columns too."""
    length = len(next(iter(table.values())))
    order = np.random.default_rng(seed).permutation(length).tolist()
    assert order != sorted(order)
    return {name: [column[k] for k in order] for name, column in reversed(table.items())}


def _codes(spec: SubmissionSpec, sent: Table, truth: Table) -> set[str]:
    return {issue.code for issue in validate(spec, sent, truth)}


def test_ranzcr_rows_are_aligned_by_id() -> None:
    truth = {"id": list("abcdef"), "x": [0, 1, 0, 1, 1, 0], "y": [1, 1, 0, 0, 0, 1]}
    spec = _spec("roc_auc_columns", "x", "y")
    assert score_submission(spec, _shuffled(truth), truth).value == 1


def test_jigsaw_toxic_columns_are_taken_by_name() -> None:
    truth = {"id": [1, 2, 3, 4], "toxic": [0, 1, 0, 1], "insult": [1, 1, 0, 0]}
    sent = {"insult": truth["insult"], "id": truth["id"], "toxic": truth["toxic"]}
    assert score_submission(_spec("roc_auc_columns", "toxic", "insult"), sent, truth).value == 1


def test_detecting_insults_rows_and_columns_come_in_any_order() -> None:
    truth = {"id": [1, 2, 3, 4], "Insult": [0, 1, 1, 0]}
    sent = {"Comment": ["a", "b", "c", "d"], "Insult": [0.1, 0.7, 0.8, 0.2], "id": [1, 2, 3, 4]}
    assert score_submission(_spec("roc_auc", "Insult"), _shuffled(sent), truth).value == 1


def test_nomad2018_rows_are_aligned_by_id() -> None:
    truth = {"id": [1, 2, 3], "energy": [0.1, 5.0, 2.0], "gap": [3.0, 0.0, 1.0]}
    assert score_submission(_spec("mcrmsle", "energy", "gap"), _shuffled(truth), truth).value == 0


def test_vesuvius_rows_come_in_any_order() -> None:
    truth = {"id": ["a", "b", "c"], "p": ["1 3", "5 2", "2 4"]}
    spec = _spec("rle_fbeta", "p", dtype="str", params={"height": 3, "width": 3})
    assert score_submission(spec, _shuffled(truth), truth).value == 1


def test_stanford_covid_unscored_rows_follow_the_id_and_not_the_place() -> None:
    truth = {
        "id": [1, 2, 3, 4],
        "p": [5.0, 0.0, 7.0, 0.0],
        "part": ["private", "ignored", "private", "ignored"],
    }
    sent = _shuffled({"id": [1, 2, 3, 4], "p": [5.0, 9.0, 7.0, -9.0]})
    assert score_submission(_spec("rmse", "p", part_column="part"), sent, truth).value == 0


UW = {
    # two classes of one scan of two slices, 2 x 2 pixels each
    "id": ["s1", "s2", "s1", "s2"],
    "class": ["a", "a", "b", "b"],
    "mask": ["1 1", "", "4 1", ""],
    "volume": ["day1 a", "day1 a", "day1 b", "day1 b"],
    "slice": [1, 2, 1, 2],
    "height": [2, 2, 2, 2],
    "width": [2, 2, 2, 2],
}


def _uw(sent: Table) -> Score:
    fields = {name: name for name in ("mask", "volume", "slice", "height", "width")}
    spec = _spec(
        "dice_hausdorff", "mask", dtype="str", id_columns=("id", "class"), answer_columns=fields
    )
    return score_submission(spec, sent, UW)


def test_uw_madison_rows_are_aligned_by_id_and_class() -> None:
    sent = {name: UW[name] for name in ("id", "class", "mask")}
    # perfect: Dice is 1 on two of four slices, 0 on the two where both masks are empty
    assert _uw(sent).value == pytest.approx(0.4 * 0.5 + 0.6)
    assert _uw(_shuffled(sent)).value == pytest.approx(0.4 * 0.5 + 0.6)


def test_uw_madison_hausdorff_is_of_volumes_of_one_class() -> None:
    sent = {"id": UW["id"], "class": UW["class"], "mask": ["", "1 1", "4 1", ""]}
    # class a: the voxel (0, 0, 0) against (1, 0, 0) of a volume of shape (2, 2, 2) is 1/2 away;
    # class b: 0. Dice: 0, 0, 1, 0
    expected = 0.4 * (1 / 4) + 0.6 * (1 - (1 / 2 + 0) / 2)
    assert _uw(sent).value == pytest.approx(expected)
    assert _uw(_shuffled(sent)).value == pytest.approx(expected)


def test_uw_madison_every_row_is_asked_for() -> None:
    with pytest.raises(InvalidSubmissionError) as error:
        _uw({"id": ["s1"], "class": ["b"], "mask": ["4 1"]})
    assert [(issue.code, issue.count) for issue in error.value.issues] == [("missing_id", 3)]


def test_airbnb_guesses_keep_the_order_of_the_file() -> None:
    guesses = ["FR", "IT", "US", "ES", "GB"]
    sent = {"id": ["u", "v"] * 5, "country": [g for g in guesses for _ in "uv"]}
    spec = _spec("ndcg_at_k", "country", dtype="str", params={"k": 5}, repeat_ids=True)
    truth = {"id": ["u", "v"], "country": ["US", "US"]}
    assert score_submission(spec, sent, truth).value == pytest.approx(1 / math.log2(4))


OSIC = {
    "id": ["p1_1", "p1_2", "p1_3", "p1_4", "p1_5"],
    "FVC": [2000.0, 2100.0, 2200.0, 2300.0, 2400.0],
    "visit": ["ignored", "ignored", "private", "private", "private"],
}


def _osic(sent: Table) -> float:
    spec = _spec(
        "laplace_log_likelihood",
        "FVC",
        "Confidence",
        answer_columns={"y_true": "FVC"},
        part_column="visit",
    )
    return score_submission(spec, sent, OSIC).value


def test_osic_scores_the_last_three_visits_and_asks_for_all() -> None:
    sent = {
        "id": OSIC["id"],
        "FVC": [0.0, 9999.0, 2200.0, 2300.0, 2500.0],
        "Confidence": [70.0, 70.0, 70.0, 100.0, 200.0],
    }
    root = math.sqrt(2)
    # errors 0, 0 and 100 of the last three visits; the first two are far off and do not count
    right = -math.log(root * 70) - math.log(root * 100) - root * 100 / 200 - math.log(root * 200)
    assert _osic(sent) == pytest.approx(right / 3)
    assert _osic(_shuffled(sent)) == pytest.approx(right / 3)
    with pytest.raises(InvalidSubmissionError, match="missing"):
        _osic({name: column[3:4] for name, column in sent.items()})


def test_taxi_fare_keys_are_compared() -> None:
    truth = {"key": ["a", "b"], "fare": [1.0, 2.0]}
    spec = _spec("rmse", "fare", id_columns=("key",))
    assert _codes(spec, {"key": ["x", "y"], "fare": [1.0, 2.0]}, truth) == {
        "missing_id",
        "unknown_id",
    }


def test_volcanic_and_champs_easy_ids_do_not_repeat() -> None:
    truth = {"id": [1, 2], "p": [5.0, 9000.0]}
    sent = {"id": [1, 1, 1, 2], "p": [5.0, 5.0, 5.0, 0.0]}
    assert _codes(_spec("mae", "p"), sent, truth) == {"duplicate_id"}


def test_h_and_m_customers_do_not_repeat() -> None:
    truth = {"id": ["c1", "c2"], "p": ["a", "b"]}
    spec = _spec("map_at_k", "p", dtype="str", params={"k": 12})
    sent = {"id": ["c1", "c1", "c2"], "p": ["a", "x", "b"]}
    assert _codes(spec, sent, truth) == {"duplicate_id"}


def test_petfinder_scores_above_100_are_numbers() -> None:
    truth = {"id": [1, 2], "Pawpularity": [100.0, 50.0]}
    sent = {"id": [1, 2], "Pawpularity": [100.5, 50.5]}
    assert score_submission(_spec("rmse", "Pawpularity"), sent, truth).value == 0.5


@pytest.mark.parametrize("ids", [["NA", "null"], ["007", "7"], ["None", ""], ["1e3", "1000"]])
def test_ids_that_look_like_something_else_stay_text(ids: list[str]) -> None:
    truth = {"id": ids, "p": [1.0, 2.0]}
    codes = {"invalid_id"} if "" in ids else set[str]()
    assert _codes(_spec("rmse", "p", id_dtype="str"), truth, truth) <= codes
    if not codes:
        sent = {"id": ids[::-1], "p": [2.0, 1.0]}
        assert score_submission(_spec("rmse", "p"), sent, truth).value == 0


def test_jigsaw_bias_counts_the_identities_of_the_rules_only() -> None:
    truth = {
        "id": list(range(8)),
        "target": [0, 1, 0, 1, 0, 1, 0, 1],
        "male": [1, 1, 0, 0, 1, 1, 0, 0],
        "other_gender": [0, 0, 1, 1, 0, 0, 0, 0],  # a column of the data, not of the rules
    }
    sent = {"id": list(range(8)), "target": [0.1, 0.9, 0.8, 0.2, 0.3, 0.7, 0.4, 0.6]}
    spec = _spec("bias_auc", "target", answer_columns={"groups": ("male",)})
    # overall 13/16: of 16 pairs, the negative .8 loses to .9 only; subgroup 4/4; BPSN
    # (positives .2 .6 outside, negatives .1 .3 inside) 3/4; BNSP (.9 .7 against .8 .4) 3/4
    wins = sum(p > n for p in (0.9, 0.2, 0.7, 0.6) for n in (0.1, 0.8, 0.3, 0.4))
    expected = 0.25 * wins / 16 + 0.25 * (4 / 4 + 3 / 4 + 3 / 4)
    assert score_submission(spec, sent, truth).value == pytest.approx(expected)


@pytest.mark.parametrize("scores", [[0.5] * 60, [0.9, 0.8, math.nan], [math.nan, 0.9]], ids=str)
def test_the_direction_of_a_board_is_not_read_off_its_ends(scores: list[float]) -> None:
    with pytest.raises(DegenerateLeaderboardError):
        Leaderboard(scores, higher_is_better=True)
    board = [0.9, 0.1, 0.5]  # in no order
    assert Leaderboard(board, higher_is_better=True).position(0.95).position == 1
    assert Leaderboard(board, higher_is_better=False).position(0.95).position == 4


def test_a_float32_score_has_a_position() -> None:
    board = Leaderboard([0.9, 0.5, 0.1], higher_is_better=True)
    assert board.position(np.float32(0.5)).position == board.position(0.5).position == 2


def test_a_tied_gold_medal_is_above_the_median() -> None:
    board = Leaderboard([1.0] * 60 + [0.1 + k / 100 for k in range(40)], higher_is_better=True)
    assert board.medal(1.0) is Medal.GOLD
    assert board.human_rank(1.0) == (40 + 60 / 2) / 100
