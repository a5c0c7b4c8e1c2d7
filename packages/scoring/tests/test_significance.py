"""Tests of differences against scipy and statsmodels."""

import itertools
import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.significance import (
    adjust_pvalues,
    friedman,
    mcnemar,
    mid_ranks,
    nemenyi_critical_difference,
    paired_difference,
    sign_test,
    wilcoxon_signed_rank,
)

stats = pytest.importorskip("scipy.stats")
multitest = pytest.importorskip("statsmodels.stats.multitest")
pairs = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=40)


@given(pairs=pairs)
def test_paired_t(pairs: list[tuple[int, int]]) -> None:
    table = np.array(pairs, dtype=np.float64)
    a, b = table[:, 0], table[:, 1]
    assume(np.unique(a - b).size > 1)
    found = paired_difference(a, b)
    expected = stats.ttest_rel(a, b)
    assert found.mean == pytest.approx(float(np.mean(a - b)))
    assert found.se == pytest.approx(stats.sem(a - b))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b"),
    [([1.0], [0.0]), ([1.0, 2.0], [1.0, 2.0]), ([0.3, 0.5, 0.8], [0.2, 0.4, 0.7])],
    ids=["one task", "equal", "constant shift"],
)
def test_paired_t_needs_variation(a: list[float], b: list[float]) -> None:
    with pytest.raises(UndefinedMetricError):
        paired_difference(a, b)


def test_pairs_must_match() -> None:
    with pytest.raises(InvalidInputError, match="a has 2 tasks"):
        paired_difference([1.0, 2.0], [1.0])


@given(pairs=st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=9))
def test_wilcoxon_exact_with_ties_is_the_permutation_law(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=float).T
    d = (a - b)[a != b]
    assume(d.size > 0)
    found = wilcoxon_signed_rank(a, b)
    ranks: list[float] = stats.rankdata(np.abs(d)).tolist()
    plus = [sum(s) for s in itertools.product(*((0.0, r) for r in ranks))]
    smaller = np.minimum(plus, sum(ranks) - np.array(plus))
    assert found.statistic == pytest.approx(stats.wilcoxon(a, b, method="asymptotic").statistic)
    assert found.p == pytest.approx(np.mean(smaller <= found.statistic + 1e-9))


@pytest.mark.parametrize("n", [6, 20, 50, 51, 300])
def test_wilcoxon_without_ties_is_scipys(n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=n) + 0.2, rng.normal(size=n)
    expected = stats.wilcoxon(a, b)
    found = wilcoxon_signed_rank(a, b)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-8)


def test_wilcoxon_large_with_ties_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 200).astype(float), rng.integers(0, 5, 200).astype(float)
    assert wilcoxon_signed_rank(a, b).p == pytest.approx(stats.wilcoxon(a, b).pvalue, rel=1e-8)


def test_wilcoxon_of_equal_scores_is_undefined() -> None:
    with pytest.raises(UndefinedMetricError):
        wilcoxon_signed_rank([1.0, 2.0], [1.0, 2.0])


@given(wins=st.integers(0, 200), losses=st.integers(0, 200))
def test_sign_test_and_mcnemar_are_binomial(wins: int, losses: int) -> None:
    n = wins + losses
    expected = stats.binomtest(wins, n, 0.5).pvalue if n else 1.0
    assert sign_test(wins, losses).p == pytest.approx(expected, rel=1e-8)
    assert mcnemar(wins, losses).p == pytest.approx(expected, rel=1e-8)


def test_mcnemar_rejects_negative_counts() -> None:
    with pytest.raises(InvalidInputError, match="negative"):
        mcnemar(-1, 2)


@given(
    table=st.integers(3, 6).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(0, 6), min_size=k, max_size=k), min_size=3, max_size=20
        )
    )
)
def test_friedman_is_scipys(table: list[list[int]]) -> None:
    assume(any(len(set(row)) > 1 for row in table))
    expected = stats.friedmanchisquare(*np.array(table, dtype=float).T)
    found = friedman(table)
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-12)


def test_friedman_by_hand() -> None:
    """Demšar's form: 12 n / (k (k + 1)) (sum R^2 - k (k + 1)^2 / 4); all tasks agree: n (k - 1)."""
    found = friedman([[1, 2, 3]] * 4)
    assert found.statistic == pytest.approx(8.0)
    assert found.mean_ranks == (1.0, 2.0, 3.0)
    assert found.f_p == 0.0


@pytest.mark.parametrize("table", [[[1, 2, 3]], [[1, 2], [2, 1]], [[1, 1, 1], [2, 2, 2]]])
def test_friedman_is_undefined(table: list[list[float]]) -> None:
    with pytest.raises(UndefinedMetricError):
        friedman(table)


def test_nemenyi_of_demsar() -> None:
    """Demšar 2006, table 5: q_0.05 = 2.569 for four classifiers."""
    assert nemenyi_critical_difference(4, 14) == pytest.approx(2.569 * math.sqrt(20 / 84), abs=1e-3)


@settings(max_examples=25)
@given(
    p=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    method=st.sampled_from(["holm", "bh", "bonferroni"]),
)
def test_adjusted_p_values_are_statsmodels(
    p: list[float], method: Literal["holm", "bh", "bonferroni"]
) -> None:
    expected = multitest.multipletests(p, method="fdr_bh" if method == "bh" else method)[1]
    assert adjust_pvalues(p, method) == pytest.approx(list(expected), abs=1e-12)


def test_adjusting_nothing_and_nonsense() -> None:
    assert adjust_pvalues([], "holm") == []
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        adjust_pvalues([1.2], "holm")
    with pytest.raises(InvalidInputError, match="method must be"):
        adjust_pvalues([0.5], "sidak")  # pyright: ignore[reportArgumentType] # the point of the test


@given(x=st.lists(st.integers(-5, 5), min_size=1, max_size=30))
def test_mid_ranks(x: list[int]) -> None:
    assert mid_ranks(x).tolist() == stats.rankdata(x).tolist()
