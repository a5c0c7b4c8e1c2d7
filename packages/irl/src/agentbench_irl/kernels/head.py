"""What stands between the product of hidden state and weight, and a logit."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """From a raw product u = ⟨x, w⟩ + b to a logit z, and on to the unit z / τ of the softmax.

        z = s u          or, soft-capped,          z = c tanh(s u / c)

    A buffer of logits holds `product_scale` · u, so that scale and temperature cost nothing: the
    matrix product applies them to its float32 sums.

    Attributes:
        logit_scale: s.
        softcap: c > 0, or None.
        temperature: τ > 0.
    """

    logit_scale: float = 1.0
    softcap: float | None = None
    temperature: float = 1.0

    @property
    def product_scale(self) -> float:
        """What the buffer of logits is to u: s / τ, or s / c before the tanh."""
        return self.logit_scale / (self.temperature if self.softcap is None else self.softcap)

    @property
    def cap(self) -> float:
        """The cap in units of the buffer, c / τ; 0 without soft-capping."""
        return 0.0 if self.softcap is None else self.softcap / self.temperature

    def logit(self, product: Tensor) -> Tensor:
        """Return z of u, any shape."""
        if self.softcap is None:
            return product * self.logit_scale
        return self.softcap * torch.tanh(product * (self.logit_scale / self.softcap))

    def slope(self, logit: Tensor) -> Tensor:
        """Return ∂z/∂u where the logit is z, any shape."""
        if self.softcap is None:
            return torch.full_like(logit, self.logit_scale)
        return self.logit_scale * (1 - (logit / self.softcap).square())
