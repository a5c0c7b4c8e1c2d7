"""pass@k, best of k, IQM, win rates: by enumeration, by hand, and against scipy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.estimators import (
    best_of_k,
    iqm,
    mean_win_rate,
    normalized_regret,
    optimality_gap,
    pass_at_k,
    pass_hat_k,
    probability_of_improvement,
)

scores = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=8)


@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=8), data=st.data())
def test_pass_at_k_is_the_share_of_subsets(outcomes: list[bool], data: st.DataObject) -> None:
    n, c = len(outcomes), sum(outcomes)
    k = data.draw(st.integers(1, n))
    subsets = list(itertools.combinations(outcomes, k))
    assert pass_at_k(n, c, k) == pytest.approx(np.mean([any(s) for s in subsets]))
    assert pass_hat_k(n, c, k) == pytest.approx(np.mean([all(s) for s in subsets]))


@given(values=scores, data=st.data())
def test_best_of_k_is_the_mean_over_subsets(values: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    subsets = list(itertools.combinations(values, k))
    assert best_of_k(values, k) == pytest.approx(np.mean([max(s) for s in subsets]))
    lowest = best_of_k(values, k, higher_is_better=False)
    assert lowest == pytest.approx(np.mean([min(s) for s in subsets]))


@pytest.mark.parametrize(
    ("n", "c", "k", "at", "hat"),
    [
        pytest.param(10, 3, 1, 0.3, 0.3, id="k=1 is the rate"),
        pytest.param(10, 3, 5, 1 - 21 / 252, 0.0, id="codex paper form"),
        pytest.param(4, 4, 2, 1.0, 1.0, id="always"),
        pytest.param(4, 0, 4, 0.0, 0.0, id="never"),
    ],
)
def test_pass_at_k_by_hand(n: int, c: int, k: int, at: float, hat: float) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(at)
    assert pass_hat_k(n, c, k) == pytest.approx(hat)


def test_fewer_runs_than_k_is_undefined() -> None:
    for call in (
        lambda: pass_at_k(3, 1, 4),
        lambda: pass_hat_k(3, 1, 4),
        lambda: best_of_k([1], 2),
    ):
        with pytest.raises(UndefinedMetricError, match="runs do not determine"):
            call()


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 0)])
def test_impossible_counts_are_invalid(n: int, c: int, k: int) -> None:
    with pytest.raises(InvalidInputError, match="0 <= c <= n"):
        pass_at_k(n, c, k)


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=60))
def test_iqm_is_the_trimmed_mean(values: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-12)
    assert iqm(np.array(values).reshape(1, -1)) == iqm(values)


def test_iqm_by_hand() -> None:
    """Eight values: two are cut on each side."""
    assert iqm([[0, 1, 2, 3], [4, 5, 6, 100]]) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_optimality_gap_ignores_what_exceeds_gamma() -> None:
    assert optimality_gap([[0.5, 1.5], [1.0, 0.0]], 1.0) == pytest.approx(1 - (0.5 + 1 + 1 + 0) / 4)


@given(x=scores, y=scores)
def test_probability_of_improvement_is_mann_whitney(x: list[float], y: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats")
    u = stats.mannwhitneyu(x, y, method="asymptotic").statistic if len({*x, *y}) > 1 else None
    found = probability_of_improvement(np.array(x)[:, None], np.array(y)[:, None])
    assert found == pytest.approx(0.5 if u is None else u / (len(x) * len(y)))
    reverse = probability_of_improvement(np.array(y)[:, None], np.array(x)[:, None])
    assert found + reverse == pytest.approx(1.0)


def test_win_rate_by_hand() -> None:
    """Task 1 (higher): A > B = C; task 2 (lower): C < A < B."""
    found = mean_win_rate({"A": [3, 2], "B": [1, 3], "C": [1, 1]}, [True, False])
    assert found == pytest.approx({"A": (1 + 0.5) / 2, "B": (0.25 + 0) / 2, "C": (0.25 + 1) / 2})
    assert sum(found.values()) == pytest.approx(1.5)


def test_win_rate_of_one_agent_is_undefined() -> None:
    with pytest.raises(UndefinedMetricError):
        mean_win_rate({"A": [1.0]}, [True])
    with pytest.raises(InvalidInputError, match="has 1 scores for 2 tasks"):
        mean_win_rate({"A": [1.0], "B": [1.0]}, [True, False])


def test_normalized_regret() -> None:
    assert normalized_regret(0.7, 0.9, 0.5, higher_is_better=True) == pytest.approx(0.5)
    assert normalized_regret(3.0, 1.0, 2.0, higher_is_better=False) == pytest.approx(2.0)
    for best, worst in [(0.5, 0.5), (0.4, 0.5), (math.inf, 0.0)]:
        with pytest.raises(UndefinedMetricError, match="best better than worst"):
            normalized_regret(0.5, best, worst, higher_is_better=True)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_are_never_averaged(bad: float) -> None:
    for call in (
        lambda: iqm([1.0, bad]),
        lambda: best_of_k([1.0, bad], 1),
        lambda: optimality_gap([bad]),
        lambda: probability_of_improvement([[bad]], [[1.0]]),
        lambda: mean_win_rate({"A": [bad], "B": [1.0]}, [True]),
    ):
        with pytest.raises(InvalidInputError, match="NaN or an infinity"):
            call()
    with pytest.raises(UndefinedMetricError, match="empty"):
        iqm([])
