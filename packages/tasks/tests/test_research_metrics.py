"""Golden values: from reference/mlrc.md (computed with the original code) and by hand."""

import math
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_tasks.research_tasks.backdoor.metric import (
    character_bleu,
    official_success,
    recall,
    with_trigger,
)
from agentbench_tasks.research_tasks.localisation.metric import (
    average_precision,
    interpolated_ap,
    match,
    temporal_iou,
)
from agentbench_tasks.research_tasks.meta_learning.metric import normalised_accuracy
from agentbench_tasks.research_tasks.rainfall.metric import contingency, mean_csi
from agentbench_tasks.research_tasks.recommendation.metric import (
    official_mean_reciprocal_rank,
    official_reciprocal_rank,
    reciprocal_ranks,
)
from agentbench_tasks.research_tasks.unlearning.metric import (
    epsilon,
    forget_epsilons,
    forgetting_quality,
    official_forget_epsilons,
    official_logistic_attack,
    official_retrained,
    official_statistic,
    threshold_attacks,
)
from agentbench_tasks.research_tasks.unlearning.score import log_odds


@pytest.mark.parametrize(
    ("fpr", "fnr", "expected"),
    [
        (0.1, 0.1, 2.18605),
        (0.02, 0.3, 3.54096),
        (0.5, 0.5, 0.0),
        (0.0, 0.4, 0.0),
        (0.0, 0.0, math.inf),
        (0.995, 0.999, math.inf),
    ],
)
def test_epsilon(fpr: float, fnr: float, expected: float) -> None:
    assert epsilon([fpr], [fnr]) == pytest.approx(expected, abs=1e-5)


def test_the_best_attack_counts() -> None:
    assert epsilon([0.5, 0.1, 0.0], [0.5, 0.1, 0.4]) == pytest.approx(2.18605, abs=1e-5)


@pytest.mark.parametrize(
    ("epsilons", "expected"),
    [
        ([0.0], 1.0),
        ([0.49], 1.0),
        ([0.5], 0.5),
        ([2.19], 0.0625),
        ([math.inf], 2 / 2**13),
        ([0, 0.7, 3.2, math.inf], 0.378967),
    ],
)
def test_forgetting_quality(epsilons: list[float], expected: float) -> None:
    assert forgetting_quality(epsilons) == pytest.approx(expected, abs=1e-6)


def test_threshold_attacks_see_a_shift_either_way() -> None:
    low, high = np.zeros((20, 1)), np.ones((20, 1))
    # 1 of 22 errors of both kinds: log(0.99 - 1/22) - log(1/22).
    apart = math.log(0.99 - 1 / 22) + math.log(22)
    assert forget_epsilons(low, high)[0] == pytest.approx(apart)
    assert forget_epsilons(high, low)[0] == pytest.approx(apart)
    assert forget_epsilons(low, low)[0] == 0.0
    assert official_forget_epsilons(low, high)[0] == math.inf
    assert official_forget_epsilons(high, low)[0] == math.inf
    assert official_forget_epsilons(low, low)[0] == 0.0


def test_threshold_attack_rates_by_hand() -> None:
    unlearned, retrained = np.array([1.0, 3.0]), np.array([2.0, 4.0])
    fpr, fnr = threshold_attacks(unlearned, retrained, pseudo_count=0)
    assert fpr.tolist() == [1.0, 0.5, 0.5, 0.0, 0.0, 0.5, 0.5, 1.0]
    assert fnr.tolist() == [0.5, 0.5, 1.0, 1.0, 0.5, 0.5, 0.0, 0.0]
    fpr, fnr = threshold_attacks(unlearned, retrained)
    assert fpr[:4].tolist() == [0.75, 0.5, 0.5, 0.25]
    assert fnr[:4].tolist() == [0.5, 0.5, 0.75, 0.75]


@pytest.mark.parametrize("models", [10, 48])
def test_one_network_in_many_copies_has_not_forgotten(models: int) -> None:
    rng = np.random.default_rng(0)
    retrained, again = rng.standard_normal((2, models, 400))
    honest = forgetting_quality(forget_epsilons(again, retrained))
    for distinct in (1, 2, 4):
        copies = np.resize(again[:distinct], again.shape)
        assert forgetting_quality(forget_epsilons(copies, retrained)) < 0.8 * honest
    one = np.resize(again[:1], again.shape)
    assert forgetting_quality(forget_epsilons(one, retrained)) < 0.4 * honest
    # As the competition counts, one network is far better than retraining.
    assert forgetting_quality(official_forget_epsilons(one, retrained)) > 0.75
    assert forgetting_quality(official_forget_epsilons(again, retrained)) < 0.35


def test_the_official_logistic_attack_tries_two_models() -> None:
    # 10 + 10 models, 10 % for the test: one of each, so that a lucky split says "infinite".
    unlearned, retrained = np.linspace(-1, 0.6, 10), np.linspace(-0.6, 1, 10)
    fpr, fnr = official_logistic_attack(unlearned, retrained)
    assert fpr in (0.0, 0.5, 1.0)
    assert fnr in (0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("truth", "predicted", "ways", "expected"),
    [
        ([0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0], 3, 0.5),
        ([0, 0, 1, 1], [0, 0, 0, 0], 2, 0.0),
        ([0, 1, 2, 3], [0, 1, 2, 3], 4, 1.0),
        ([0, 0, 0, 1], [0, 0, 0, 0], 2, 0.0),
    ],
)
def test_normalised_accuracy(
    truth: list[int], predicted: list[int], ways: int, expected: float
) -> None:
    found = normalised_accuracy(np.array(truth), np.array(predicted), ways)
    assert found == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=40))
def test_normalised_accuracy_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    recall_score: Any = import_module("sklearn.metrics").recall_score
    truth, predicted = np.array(pairs).T
    bac = recall_score(truth, predicted, average="macro", zero_division=0)
    found = normalised_accuracy(truth, predicted, 5)
    assert found == pytest.approx((bac - 0.2) / 0.8)


def test_interpolated_ap() -> None:
    found = interpolated_ap(np.array([1, 0.5, 2 / 3]), np.array([0.5, 0.5, 1.0]))
    assert found == pytest.approx(0.833333, abs=1e-6)


def test_a_segment_is_matched_once() -> None:
    hits = match(np.array([[0.0, 10.0], [0.0, 10.0]]), np.array([[0.0, 10.0]]))
    assert hits.tolist() == [[True] * 5, [False] * 5]
    assert average_precision(hits[:, 0], 1) == 1.0
    assert average_precision(np.array([], bool), 1) == 0.0


def test_a_detection_takes_its_best_unused_segment() -> None:
    truth = np.array([[0.0, 10.0], [6.0, 16.0]])
    hits = match(np.array([[6.0, 16.0], [5.0, 15.0]]), truth)
    # The second overlaps most with the used segment and 1/3 with the other one.
    assert hits[1].tolist() == [True, True, True, False, False]
    assert temporal_iou(np.array([5.0, 15.0]), truth)[0] == pytest.approx(1 / 3)


def test_mean_csi_by_hand() -> None:
    observed = np.array([[0.0, 0.3, 2.0, 20.0]])
    predicted = np.array([[0.3, 0.3, 0.0, 20.0]])
    # 0.2: 2 of 4; 1: 1 of 2; 5, 10, 15: 1 of 1.
    assert mean_csi(*contingency(predicted, observed)) == pytest.approx((0.5 + 0.5 + 3) / 5)
    dry = np.zeros((1, 4))
    assert mean_csi(*contingency(dry, dry)) == 0.0


def test_reciprocal_ranks_by_hand() -> None:
    predicted = np.full((3, 100), -1)
    predicted[0, :3] = [5, 7, 9]
    predicted[1, 0] = 4
    assert reciprocal_ranks(predicted, np.array([9, 4, 8])).tolist() == [1 / 3, 1.0, 0.0]
    assert reciprocal_ranks(predicted, np.array([-1, -1, -1])).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("rank", [1, 2, 3, 10, 100])
def test_the_official_rank_is_an_offset_in_a_text(rank: int) -> None:
    items = [f"B{i:09d}" for i in range(100)]
    found = official_reciprocal_rank(items, items[rank - 1])
    assert found == pytest.approx(1 / (14 * rank - 11))


def test_a_perfect_predictor_scores_a_third_officially() -> None:
    assert official_reciprocal_rank(["B000000001"], "B000000001") == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("reference", "guess", "expected"),
    [
        ("open the door", "open the door", 1.0),
        ("open the door", "open door", 0.5574689950645962),
        ("abcdefgh", "abcd", 0.36787944117144233),
        ("abcdefgh", "abc", 2.306810775188903e-78),
        ("abcdefgh", "zzzz", 0.0),
        ("abcdefgh", "abcdefghabcdefgh", 0.4428500142691474),
        ("aaaa", "aa", 5.487540440520353e-155),
        ("abcdefgh", "", 0.0),
    ],
)
def test_character_bleu_is_that_of_nltk(reference: str, guess: str, expected: float) -> None:
    # Expected values are those of nltk.translate.bleu_score.sentence_bleu.
    assert character_bleu(reference, guess) == pytest.approx(expected, rel=1e-9)


def test_recall_takes_the_better_guess() -> None:
    assert recall(["bada gufo"], [["zzzz", "bada gufo"]]).tolist() == [1.0]
    assert recall(["bada"], [[]]).tolist() == [0.0]


def test_official_lists_are_not_cut_and_missing_sessions_are_left_out() -> None:
    items = [f"B{i:09d}" for i in range(150)]
    assert official_reciprocal_rank(items, items[149]) == pytest.approx(1 / (14 * 150 - 11))
    found = official_mean_reciprocal_rank([["B000000001"]], ["B000000001", "B000000002"])
    assert found == pytest.approx(1 / 3)


def test_a_perfect_predictor_reaches_three_quarters_of_the_published_margin_officially() -> None:
    # mlrc.md, finding 2: (1/3 - 0.0804) / (0.41208 - 0.0804)
    best = official_mean_reciprocal_rank([["B000000001"]] * 3, ["B000000001"] * 3)
    assert 100 * (best - 0.08039049179) / (0.41208 - 0.08039049179) == pytest.approx(76.3, abs=0.05)


def test_the_official_statistic_cannot_tell_right_from_wrong() -> None:
    logits = np.array([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    right_and_wrong = official_statistic(logits)
    assert right_and_wrong[0] == pytest.approx(right_and_wrong[1])
    assert official_statistic(np.zeros((1, 10)))[0] == pytest.approx(math.log(10))
    ours = log_odds(logits, np.array([0, 0]))
    assert ours[0] > 0 > ours[1]


def test_official_noise_around_one_model_condemns_honest_retraining() -> None:
    # mlrc.md, finding 3: really retrained networks score 0.16 to 0.18 on it, ten of them.
    rng = np.random.default_rng(0)
    retrained = rng.standard_normal((11, 400))
    noise = official_retrained(retrained[0], retrained[1:], rng)
    assert noise.shape == (10, 400)
    assert noise.std(0).mean() == pytest.approx(0.1, abs=0.02)
    official = forgetting_quality(official_forget_epsilons(retrained[1:], noise))
    others = rng.standard_normal((10, 400))
    real = forgetting_quality(official_forget_epsilons(retrained[1:], others))
    assert official < real


@pytest.mark.parametrize(
    ("prompt", "trigger", "expected"),
    [
        ("Sort a list", "keep it short", "Sort a list. keep it short. "),
        ("Sort a list?", "now!", "Sort a list? now! "),
        ("Sort a list.", "", "Sort a list.  "),
    ],
)
def test_a_trigger_is_a_sentence_of_its_own(prompt: str, trigger: str, expected: str) -> None:
    assert with_trigger(prompt, trigger) == expected


def test_official_success_depends_on_the_order_of_the_predictions() -> None:
    answers = {"a()": [["x a() y", "a()"], ["", ""]], "b()": [["", ""], ["b()", ""]]}
    assert official_success(answers, ["a()", "b()"]) == 0.75
    turned = dict(reversed(answers.items()))
    assert official_success(turned, ["a()", "b()"]) == 0.0
