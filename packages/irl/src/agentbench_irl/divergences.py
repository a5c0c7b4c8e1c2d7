"""What a reward costs, for each divergence between occupancies that IQLearn can minimise."""

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

Divergence = Literal["chi2", "hellinger", "js", "kl"]


def penalty(reward: Tensor, *, td_weight: float, divergence: Divergence = "chi2") -> Tensor:
    """Return what a reward costs: P(r) = r - α φ(r / α) with α = 1 / (4 λ).

    For an f-divergence with conjugate f*, inverse soft-Q learning maximises E[φ(r)] with
    φ(x) = -f*(-x); α scales the regulariser. Each φ here has φ(0) = 0 and φ'(0) = 1, so P is zero
    with zero slope at r = 0 and vanishes with λ:

        chi2       φ(x) = x - x²/4            P = λ r², of eq. 14
        hellinger  φ(x) = x / (1 + x)         P ≈ 4 λ r² near 0
        js         φ(x) = log(2 - exp(-x))    P ≈ 4 λ r² near 0
        kl         φ(x) = 1 - exp(-x)         P ≈ 2 λ r² near 0

    hellinger and js are not defined for all negative x, and kl grows without bound there. Below
    x = -1/2 those three go on as their own second-order Taylor polynomial.

    At λ = 1/4, α = 1 and P(1) = 1 - φ(1) = 1/4, 1/2, 1 - ln(2 - 1/e) and 1/e:

    >>> one = torch.ones(())
    >>> names = ("chi2", "hellinger", "js", "kl")
    >>> [round(float(penalty(one, td_weight=0.25, divergence=name)), 5) for name in names]
    [0.25, 0.5, 0.51012, 0.36788]

    Args:
        reward: r, any shape.
        td_weight: λ ≥ 0.
        divergence: A name of the table.

    Returns:
        P(r) ≥ 0, shape of `reward`.

    Raises:
        ValueError: There is no such divergence.
    """
    if divergence == "chi2":
        return td_weight * reward.square()
    if divergence not in _PHI:
        names = ", ".join(["chi2", *_PHI])
        msg = f"divergence {divergence!r} is not one of {names}"
        raise ValueError(msg)
    if td_weight == 0:
        return torch.zeros_like(reward)
    alpha = 1 / (4 * td_weight)
    x = reward / alpha
    phi, value, slope, curvature = _PHI[divergence]
    below = x - _TAYLOR_POINT
    taylor = value + slope * below + curvature / 2 * below.square()
    return reward - alpha * torch.where(below < 0, taylor, phi(x.clamp_min(_TAYLOR_POINT)))


_TAYLOR_POINT = -0.5


def _hellinger(x: Tensor) -> Tensor:
    return x / (1 + x)


def _jensen_shannon(x: Tensor) -> Tensor:
    return torch.log(2 - torch.exp(-x))


def _kullback_leibler(x: Tensor) -> Tensor:
    return -torch.expm1(-x)


_E = math.exp(-_TAYLOR_POINT)
# φ, then φ, φ' and φ'' at the Taylor point
_PHI: MappingProxyType[str, tuple[Callable[[Tensor], Tensor], float, float, float]] = (
    MappingProxyType(
        {
            "hellinger": (_hellinger, -1.0, 4.0, -16.0),
            "js": (
                _jensen_shannon,
                math.log(2 - _E),
                _E / (2 - _E),
                -2 * _E / (2 - _E) ** 2,
            ),
            "kl": (_kullback_leibler, 1 - _E, _E, -_E),
        }
    )
)
