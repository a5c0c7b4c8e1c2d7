# pyright: reportUnknownMemberType=false
# (torch's stubs leave parts unknown)
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from agentbench_irl.baselines import dft_loss, gem_loss, mle_loss
from agentbench_irl.losses import iqlearn_loss

# π = (3/4, 1/4); the data says action 1
LOGITS = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
TARGET = torch.tensor([1])


def test_mle_is_cross_entropy() -> None:
    logits = torch.randn(5, 7, dtype=torch.float64)
    targets = torch.tensor([1, -100, 3, 6, -100])
    torch.testing.assert_close(mle_loss(logits, targets).loss, cross_entropy(logits, targets))


def test_entropy_bonus() -> None:
    """-ln(1/4) - 0.5 H, H = 3/4 ln(4/3) + 1/4 ln 4."""
    entropy = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    loss = mle_loss(LOGITS, TARGET, entropy_weight=0.5).loss
    assert loss.item() == pytest.approx(math.log(4) - 0.5 * entropy)


def test_gem() -> None:
    """Β = 1/2 sharpens π to (9/10, 1/10): L = 0.9 ln(3/4) + 0.1 ln(1/4) + ln 4."""
    expected = 0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4) + math.log(4)
    assert gem_loss(LOGITS, TARGET, beta=0.5).loss.item() == pytest.approx(expected)


def test_gem_gradient_is_sharpened_minus_onehot() -> None:
    """∂L/∂z = q - onehot: the Σ_a q(a) log π(a) term turns π into q."""
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(gem_loss(logits, TARGET, beta=0.5).loss, logits)
    torch.testing.assert_close(gradient, torch.tensor([[0.9, -0.9]], dtype=torch.float64))


def test_dft() -> None:
    """Loss 1/4 ln 4, and the gradient of the likelihood times 1/4: (3/4, -3/4) / 4."""
    logits = LOGITS.clone().requires_grad_()
    loss = dft_loss(logits, TARGET).loss
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(math.log(4) / 4)
    torch.testing.assert_close(gradient, torch.tensor([[0.1875, -0.1875]], dtype=torch.float64))


@pytest.mark.parametrize("loss", [mle_loss, gem_loss, dft_loss])
def test_metrics_are_those_of_iqlearn(loss: type) -> None:
    logits, targets = torch.randn(2, 6, 5), torch.randint(5, (2, 6))
    expected: Tensor = iqlearn_loss(logits, targets, td_weight=0.0, terminal_value=2.0).metrics.sums
    torch.testing.assert_close(loss(logits, targets, terminal_value=2.0).metrics.sums, expected)


def test_gem_refuses_beta_zero() -> None:
    with pytest.raises(ValueError, match="beta is 0"):
        gem_loss(LOGITS, TARGET, beta=0)
