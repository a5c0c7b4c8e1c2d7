"""Quantiles and tails of the normal, t, chi-squared, binomial and studentised-range laws.

scipy is not a dependency, and importing it takes longer than any report. The incomplete beta and
gamma functions are evaluated by their continued fractions with Lentz's recurrence (Numerical
Recipes 6.2 and 6.4; Abramowitz & Stegun 26.5.8); agreement with scipy is better than 1e-11.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from agentbench_scoring.errors import InvalidInputError

_NORMAL = NormalDist()
_TINY = 1e-300
_EPS = 1e-16
_MAX_TERMS = 100_000


def normal_cdf(x: float) -> float:
    """P(Z <= x) of a standard normal variable."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def normal_quantile(p: float) -> float:
    """The x with P(Z <= x) = p, for p in (0, 1)."""
    _require_open_probability(p)
    return _NORMAL.inv_cdf(p)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for x in [0, 1] and a, b > 0."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # The continued fraction converges fast below the mean, so reflect above it.
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _beta_fraction(x, a, b) / a
    return 1.0 - math.exp(log_front) * _beta_fraction(1.0 - x, b, a) / b


def student_t_cdf(t: float, df: float) -> float:
    """P(T <= t) for Student's t with ``df`` degrees of freedom (a real number > 0)."""
    tail = 0.5 * student_t_two_sided(t, df)
    return 1.0 - tail if t > 0 else tail


def student_t_two_sided(t: float, df: float) -> float:
    """P(abs(T) >= abs(t)): the two-sided p-value of a t statistic."""
    if math.isinf(t):
        return 0.0
    if df > 1e8:
        return math.erfc(abs(t) / math.sqrt(2.0))
    if t * t < df:  # the complement keeps its digits near t = 0
        return 1.0 - incomplete_beta(t * t / (df + t * t), 0.5, df / 2.0)
    return incomplete_beta(df / (df + t * t), df / 2.0, 0.5)


@lru_cache(maxsize=4096)
def student_t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p, for p in (0, 1)."""
    _require_open_probability(p)
    if p < 0.5:
        return -student_t_quantile(1.0 - p, df)
    if p == 0.5:
        return 0.0
    low, high = 0.0, 2.0
    while student_t_cdf(high, df) < p:
        high *= 2.0
    z = normal_quantile(p)
    t = min(z + (z**3 + z) / (4.0 * df), high)  # Cornish-Fisher, then Newton within a bracket
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    for _ in range(200):
        excess = student_t_cdf(t, df) - p
        low, high = (t, high) if excess < 0 else (low, t)
        slope = math.exp(log_scale - (df + 1) / 2 * math.log1p(t * t / df))
        newton = t - excess / slope if slope > 0 else low
        following = newton if low < newton < high else 0.5 * (low + high)
        if abs(following - t) <= 1e-14 * t:
            break
        t = following
    return t


def chi_squared_survival(x: float, df: float) -> float:
    """P(X > x) for a chi-squared variable with ``df`` degrees of freedom."""
    return _upper_gamma(df / 2.0, x / 2.0)


def f_survival(x: float, df1: float, df2: float) -> float:
    """P(F > x) for an F variable with ``df1`` and ``df2`` degrees of freedom."""
    if x <= 0:
        return 1.0
    scaled = df1 * x
    if scaled < df2:  # near zero the other tail keeps the digits that 1 - x would lose
        return 1.0 - incomplete_beta(scaled / (df2 + scaled), df1 / 2.0, df2 / 2.0)
    return incomplete_beta(df2 / (df2 + scaled), df2 / 2.0, df1 / 2.0)


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) for a binomial variable of ``n`` trials."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    return incomplete_beta(1.0 - p, n - k, k + 1.0)


def studentized_range_quantile(p: float, k: int) -> float:
    """Quantile of the range of ``k`` standard normals (studentised range, infinite df).

    P(R <= r) = k * integral of phi(z) [Phi(z) - Phi(z - r)]^(k-1) dz (Tukey 1953).
    """
    _require_open_probability(p)
    z = np.linspace(-9.0, 9.0, 2001)
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    below = np.array([normal_cdf(x) for x in z])

    def excess(r: float) -> float:
        inner = below - np.array([normal_cdf(x - r) for x in z])
        # Trapezoid on a smooth integrand that vanishes at both ends: exponentially accurate.
        return float(k * np.sum(density * inner ** (k - 1)) * (z[1] - z[0])) - p

    return _bisect(excess, 0.0, 30.0, tolerance=1e-10)


def noncentral_t_power(shift: float, df: float, alpha: float) -> float:
    """P(abs(T) > t_crit) where T is noncentral t with noncentrality ``shift``.

    Conditional on the sample standard deviation s (in units of sigma), the numerator is normal:
    P(T > c) = E[Phi(shift - c s)] with df s^2 chi-squared; the expectation is a quadrature.
    """
    critical = student_t_quantile(1.0 - alpha / 2.0, df)
    width = 12.0 / math.sqrt(2.0 * df)
    s = np.linspace(max(1e-9, 1.0 - width), 1.0 + width, 4001)
    log_density = (df - 1.0) * np.log(s) - df * s * s / 2.0
    density = np.exp(log_density - log_density.max())
    density[[0, -1]] *= 0.5  # trapezoid
    upper = np.array([normal_cdf(shift - critical * x) for x in s])
    lower = np.array([normal_cdf(-shift - critical * x) for x in s])
    return float(np.sum(density * (upper + lower)) / np.sum(density))


def _require_open_probability(p: float) -> None:
    if not 0.0 < p < 1.0:
        raise InvalidInputError(f"a probability must lie strictly between 0 and 1, not {p}")


def _beta_fraction(x: float, a: float, b: float) -> float:
    c = 1.0
    d = 1.0 / _nonzero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _MAX_TERMS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _nonzero(1.0 + step * d)
            c = _nonzero(1.0 + step / c)
            value *= d * c
        if abs(d * c - 1.0) < _EPS * 4:
            break
    return value


def _upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x)."""
    if x <= 0.0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1.0:
        term = total = 1.0 / a
        n = a
        while abs(term) > abs(total) * _EPS:
            n += 1.0
            term *= x / n
            total += term
        return 1.0 - front * total
    b = x + 1.0 - a
    c = 1.0 / _TINY
    d = 1.0 / b
    value = d
    for i in range(1, _MAX_TERMS):
        step = -i * (i - a)
        b += 2.0
        d = 1.0 / _nonzero(step * d + b)
        c = _nonzero(b + step / c)
        value *= d * c
        if abs(d * c - 1.0) < _EPS * 4:
            break
    return front * value


def _nonzero(x: float) -> float:
    return x if abs(x) > _TINY else _TINY


def _bisect(
    function: Callable[[float], float], low: float, high: float, *, tolerance: float = 1e-14
) -> float:
    """Root of an increasing function on [low, high]."""
    while high - low > tolerance * max(1.0, abs(low)):
        middle = 0.5 * (low + high)
        if middle in {low, high}:
            break
        if function(middle) < 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
