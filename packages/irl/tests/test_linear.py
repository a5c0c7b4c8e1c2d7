# pyright: reportUnknownMemberType=false
# (torch's stubs leave parts unknown)
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from agentbench_irl import IGNORE, UNKNOWN, iqlearn_loss, next_scored
from agentbench_irl.linear import linear_iqlearn_loss, needed_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    hidden: Tensor
    weight: Tensor
    bias: Tensor
    targets: Tensor
    successor: Tensor

    def logits(self, *, bias: bool = False, scale: float = 1.0, cap: float | None = None) -> Tensor:
        product = self.hidden @ self.weight.t()
        z = scale * (product + self.bias if bias else product)
        return z if cap is None else cap * torch.tanh(z / cap)

    def gradients(self, loss: Tensor) -> list[Tensor]:
        inputs = (self.hidden, self.weight, self.bias)
        return list(torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True))


def batch(*, seed: int = 0, dtype: torch.dtype = torch.float64) -> Batch:
    """Three sequences of 11 rows: masked rows, cut ends, and rows that are only successors."""
    make = torch.Generator().manual_seed(seed)
    targets = torch.randint(17, (3, 11), generator=make)
    targets[torch.rand(3, 11, generator=make) < 0.3] = IGNORE
    targets[0, 4], targets[0, 5:] = 3, IGNORE
    successor = next_scored(targets)
    successor[torch.rand(3, 11, generator=make) < 0.1] = UNKNOWN
    successor[0, 4] = 9
    normal = [torch.randn(*shape, generator=make) for shape in ((3, 11, 6), (17, 6), (17,))]
    hidden, weight, bias = (values.to(dtype).requires_grad_() for values in normal)
    return Batch(hidden=hidden, weight=weight, bias=bias, targets=targets, successor=successor)


ROW_MIB = 17 * 8 / 2**20
CHUNKS = {"one row": ROW_MIB, "seven rows": 7 * ROW_MIB, "all rows": 1.0}


@pytest.mark.parametrize("logits_mib", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("discount", [1.0, 0.9])
@pytest.mark.parametrize("td_weight", [0.0, 0.3])
@pytest.mark.parametrize("semi_gradient", [False, True], ids=["full", "semi"])
@pytest.mark.parametrize(
    ("scale", "cap", "bias"),
    [(1.0, None, False), (1.7, None, True), (1.7, 3.0, True)],
    ids=["plain", "scale and bias", "softcap"],
)
def test_same_loss_gradients_and_metrics_as_on_logits(
    logits_mib: float,
    temperature: float,
    discount: float,
    td_weight: float,
    *,
    semi_gradient: bool,
    scale: float,
    cap: float | None,
    bias: bool,
) -> None:
    given = batch()
    z = given.logits(bias=bias, scale=scale, cap=cap)
    expected = iqlearn_loss(
        z,
        given.targets,
        td_weight=td_weight,
        discount=discount,
        successor=given.successor,
        terminal_value=0.7,
        temperature=temperature,
        semi_gradient=semi_gradient,
    )
    got = linear_iqlearn_loss(
        given.hidden,
        given.weight,
        given.targets,
        td_weight=td_weight,
        discount=discount,
        successor=given.successor,
        terminal_value=0.7,
        temperature=temperature,
        semi_gradient=semi_gradient,
        bias=given.bias if bias else None,
        logit_scale=scale,
        softcap=cap,
        logits_mib=logits_mib,
    )
    torch.testing.assert_close(got.loss, expected.loss)
    torch.testing.assert_close(given.gradients(got.loss), given.gradients(expected.loss))
    torch.testing.assert_close(got.metrics.sums, expected.metrics.sums)


def test_needed_rows_are_scored_rows_and_their_successors() -> None:
    targets = torch.tensor([[-100, 7, -100, -100], [1, -100, -100, 2]])
    successor = torch.tensor([[-2, 2, -2, 5], [7, -2, -2, -1]])
    assert needed_rows(targets, successor).tolist() == [1, 2, 4, 7]
