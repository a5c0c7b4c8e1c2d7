"""Special functions against scipy and statsmodels."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring import distributions as own
from agentbench_scoring.errors import InvalidInputError

stats = pytest.importorskip("scipy.stats")
probabilities = st.floats(1e-6, 1 - 1e-6)


@given(x=st.floats(-8, 8))
def test_normal_cdf(x: float) -> None:
    assert own.normal_cdf(x) == pytest.approx(stats.norm.cdf(x), rel=1e-12)


@given(p=probabilities)
def test_normal_quantile(p: float) -> None:
    assert own.normal_quantile(p) == pytest.approx(stats.norm.ppf(p), rel=1e-11, abs=1e-13)


@given(x=st.floats(0, 1), a=st.floats(0.05, 500), b=st.floats(0.05, 500))
def test_incomplete_beta(x: float, a: float, b: float) -> None:
    expected = stats.beta.cdf(x, a, b)
    assert own.incomplete_beta(x, a, b) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(t=st.floats(-50, 50), df=st.floats(0.5, 1e5))
def test_student_t(t: float, df: float) -> None:
    assert own.student_t_cdf(t, df) == pytest.approx(stats.t.cdf(t, df), rel=1e-8, abs=1e-11)
    expected = 2 * stats.t.sf(abs(t), df)
    assert own.student_t_two_sided(t, df) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(p=probabilities, df=st.floats(0.5, 1e5))
def test_student_t_quantile(p: float, df: float) -> None:
    assert own.student_t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-7, abs=1e-8)


@pytest.mark.parametrize(
    ("df", "quantile"),
    [(1, 12.706), (2, 4.303), (6, 2.447), (74, 1.993), (1e9, 1.960)],
    ids=["cauchy", "three seeds", "seven tasks", "75 tasks", "normal limit"],
)
def test_student_t_table(df: float, quantile: float) -> None:
    assert own.student_t_quantile(0.975, df) == pytest.approx(quantile, abs=5e-4)


@given(x=st.floats(0, 200), df=st.floats(0.5, 200))
def test_chi_squared(x: float, df: float) -> None:
    expected = stats.chi2.sf(x, df)
    assert own.chi_squared_survival(x, df) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(x=st.floats(0, 100), df1=st.floats(0.5, 200), df2=st.floats(0.5, 200))
def test_f(x: float, df1: float, df2: float) -> None:
    expected = stats.f.sf(x, df1, df2)
    assert own.f_survival(x, df1, df2) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(n=st.integers(1, 300), data=st.data(), p=st.floats(0.01, 0.99))
def test_binomial(n: int, data: st.DataObject, p: float) -> None:
    k = data.draw(st.integers(-1, n))
    expected = stats.binom.cdf(k, n, p)
    assert own.binomial_cdf(k, n, p) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("k", [2, 3, 5, 10, 20])
def test_studentized_range(k: int) -> None:
    expected = stats.studentized_range.ppf(0.95, k, math.inf)
    assert own.studentized_range_quantile(0.95, k) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("effect", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("n", [2, 3, 5, 20, 200])
def test_power_of_the_t_test(effect: float, n: int) -> None:
    power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    found = own.noncentral_t_power(effect * math.sqrt(n), n - 1.0, 0.05)
    assert found == pytest.approx(power.power(effect, n, 0.05), abs=1e-5)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_quantiles_need_a_probability(p: float) -> None:
    with pytest.raises(InvalidInputError, match="strictly between"):
        own.student_t_quantile(p, 3.0)
    with pytest.raises(InvalidInputError, match="strictly between"):
        own.normal_quantile(p)
