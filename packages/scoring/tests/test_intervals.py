"""Standard errors and intervals: against scipy and statsmodels, by hand, and as laws."""

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.intervals import (
    StandardError,
    clustered_se,
    mean_interval,
    population_error,
    rate_interval,
    sem,
    suite_error,
    t_interval,
    wilson_interval,
)

values = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


@given(x=values)
def test_sem_and_t_interval_are_scipys(x: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert sem(x) == pytest.approx(stats.sem(x), rel=1e-9, abs=1e-12)
    found = t_interval(x, 0.9)
    half = stats.t.ppf(0.95, len(x) - 1) * stats.sem(x)
    assert found.high - found.low == pytest.approx(2 * half, rel=1e-8, abs=1e-9)


def test_one_value_has_no_interval() -> None:
    for call in (lambda: sem([1.0]), lambda: t_interval([1.0])):
        with pytest.raises(UndefinedMetricError):
            call()
    with pytest.raises(UndefinedMetricError, match="empty"):
        sem([])


@given(n=st.integers(1, 200), data=st.data(), level=st.floats(0.5, 0.999))
def test_wilson_is_statsmodels(n: int, data: st.DataObject, level: float) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    k = data.draw(st.integers(0, n))
    expected = proportion.proportion_confint(k, n, alpha=1 - level, method="wilson")
    found = wilson_interval(k, n, level)
    assert found == pytest.approx(expected, abs=1e-9)
    assert found.low < found.high
    assert 0 <= found.low <= k / n <= found.high <= 1


def test_wilson_of_nothing() -> None:
    with pytest.raises(UndefinedMetricError):
        wilson_interval(0, 0)
    with pytest.raises(InvalidInputError):
        wilson_interval(3, 2)


@pytest.mark.parametrize("correction", ["none", "G/(G-1)"])
def test_clustered_se_by_hand(correction: Literal["none", "G/(G-1)"]) -> None:
    """Mean 2; residual sums -1 (a), 0 (b), 1 (c); sqrt(2) / 6, times sqrt(3/2) corrected."""
    x, clusters = [1.0, 2.0, 2.0, 2.0, 1.5, 3.5], ["a", "a", "b", "b", "c", "c"]
    factor = 1.0 if correction == "none" else 1.5
    assert clustered_se(x, clusters, correction) == pytest.approx(math.sqrt(2 * factor) / 6)


@given(data=st.data(), n=st.integers(4, 30))
def test_clustered_se_is_statsmodels(data: st.DataObject, n: int) -> None:
    api = pytest.importorskip("statsmodels.api")
    x = np.array(data.draw(st.lists(st.integers(-9, 9), min_size=n, max_size=n)), dtype=float)
    groups = [0, 1, *data.draw(st.lists(st.integers(0, 5), min_size=n - 2, max_size=n - 2))]
    fit = api.OLS(x, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": np.array(groups)})
    assert clustered_se(x, groups) == pytest.approx(float(fit.bse[0]), rel=1e-6, abs=1e-9)


@given(x=values)
def test_clusters_of_one_give_the_sem(x: list[float]) -> None:
    labels = list(range(len(x)))
    assert clustered_se(x, labels) == pytest.approx(sem(x), rel=1e-9, abs=1e-12)
    found = population_error(x, labels)
    assert found.se == pytest.approx(sem(x), rel=1e-9, abs=1e-12)
    assert found.df == pytest.approx(len(x) - 1)


def test_equal_clusters_have_one_degree_of_freedom_less_than_clusters() -> None:
    rng = np.random.default_rng(0)
    x, clusters = rng.normal(size=40), [i // 5 for i in range(40)]
    found = population_error(x, clusters)
    assert found.df == pytest.approx(7.0)
    assert found.se == pytest.approx(clustered_se(x, clusters))


def test_population_error_by_matrices() -> None:
    """CR2 and its degrees of freedom from their definitions, with unequal clusters."""
    rng = np.random.default_rng(1)
    sizes = [7, 1, 1, 3, 2]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    n = labels.size
    y = rng.normal(size=n) + 3.0 * rng.normal(size=len(sizes))[labels]
    together = labels[:, None] == labels[None, :]
    maker = np.eye(n) - 1.0 / n
    residual = maker @ y
    apart = together & ~np.eye(n, dtype=bool)
    rho = float(np.mean(np.outer(residual, residual)[apart]) / np.mean(residual**2))
    assert 0 < rho < 1
    working = np.eye(n) * (1 - rho) + together * rho
    columns: list[np.ndarray] = []
    variance = 0.0
    for g in range(len(sizes)):
        rows = np.flatnonzero(labels == g)
        eigenvalues, vectors = np.linalg.eigh(maker[np.ix_(rows, rows)])
        root = vectors @ np.diag(eigenvalues**-0.5) @ vectors.T
        weight = np.full(rows.size, 1.0 / n) @ root
        variance += float(weight @ residual[rows]) ** 2
        columns.append(maker[rows].T @ weight)
    contributions = np.array(columns)
    gram = contributions @ working @ contributions.T
    found = population_error(y, labels.tolist())
    assert found.se == pytest.approx(math.sqrt(variance))
    assert found.df == pytest.approx(np.trace(gram) ** 2 / np.sum(gram**2))
    assert found.df < len(sizes) - 1


def test_one_cluster_is_undefined() -> None:
    for call in (lambda: clustered_se([1.0, 2.0], "aa"), lambda: population_error([1.0, 2], "aa")):
        with pytest.raises(UndefinedMetricError, match="one cluster"):
            call()
    with pytest.raises(InvalidInputError, match="2 cluster labels"):
        clustered_se([1.0, 2.0, 3.0], "ab")


def test_suite_error_by_hand() -> None:
    """Tasks (0, 2) and (5, 5, 8): variances 2 and 3, so V = (2/2 + 3/3) / 4; df at most 1 + 2."""
    found = suite_error([np.array([0.0, 2.0]), np.array([5.0, 5.0, 8.0])])
    assert found is not None
    assert found.se == pytest.approx(math.sqrt(0.5))
    assert found.df == 3.0


def test_suite_error_loses_freedom_to_unequal_variances() -> None:
    """Variances 2, 2, 32 over runs of 2: V = 18/9, df = 18^2 / ((1 + 1 + 256) / 3) - 2."""
    runs = [np.array([0.0, 2.0]), np.array([1.0, 3.0]), np.array([0.0, 8.0])]
    found = suite_error(runs)
    assert found is not None
    assert found.se == pytest.approx(math.sqrt(2.0))
    assert found.df == pytest.approx(18**2 / (258 / 3) - 2)


def test_suite_error_lends_single_runs_the_pooled_variance() -> None:
    found = suite_error([np.array([0.0, 2.0]), np.array([7.0])])
    assert found is not None
    assert found.se == pytest.approx(math.sqrt((2 / 2 + 2 / 1) / 4))
    assert suite_error([np.array([1.0]), np.array([2.0])]) is None


def test_intervals_without_an_error_do_not_exist() -> None:
    assert mean_interval(0.5, None, 0.95) is None
    assert rate_interval(0.5, None, units=10, level=0.95) is None


@given(
    rate=st.floats(0, 1),
    se=st.one_of(st.just(0.0), st.floats(1e-6, 0.5)),
    units=st.integers(2, 500),
    df=st.floats(1, 500),
)
def test_rates_stay_in_range_and_have_width(rate: float, se: float, units: int, df: float) -> None:
    found = rate_interval(rate, StandardError(se, df), units=units, level=0.95)
    assert found is not None
    assert 0 <= found.low <= rate + 1e-12
    assert rate - 1e-12 <= found.high <= 1
    assert found.high > found.low
