# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportPrivateUsage=false
# pyright: reportUnknownVariableType=false, reportUnknownLambdaType=false
# (torch's stubs leave parts unknown)
import doctest
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agentbench_irl import (
    IGNORE,
    TERMINAL,
    UNKNOWN,
    iqlearn_loss,
    linear,
    mixture_loss,
    next_scored,
)
from agentbench_irl.divergences import Divergence
from agentbench_irl.kernels import iqlearn, nvrtc
from agentbench_irl.kernels.products import HeadProducts
from agentbench_irl.linear import (
    linear_iqlearn_loss,
    linear_lse_and_target,
    linear_mixture_loss,
    needed_rows,
)


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
@pytest.mark.parametrize(("temperature", "discount"), [(1.0, 1.0), (0.7, 0.9)])
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


def test_docstring_examples() -> None:
    for module in (linear, iqlearn, nvrtc):
        assert doctest.testmod(module).failed == 0


def test_page_example(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[3] / "docs" / "irl-linear.md"
    exec(page.read_text().split("```python\n")[1].split("```")[0], {})  # noqa: S102 - our own page
    assert "Backend(name='" in capsys.readouterr().out


@pytest.mark.parametrize("logits_mib", CHUNKS.values(), ids=CHUNKS)
def test_mixture_is_as_on_logits(logits_mib: float) -> None:
    given = batch()
    weights = torch.rand(3, 3, 11, generator=torch.Generator().manual_seed(1)).double()
    options: dict[str, Any] = {
        "expert_weight": weights[0],
        "value_weight": weights[1],
        "td_row_weight": weights[2],
        "td_weight": 0.3,
        "discount": 0.9,
        "successor": given.successor,
        "terminal_value": 0.7,
        "temperature": 0.7,
        "normalizer": 5.0,
    }
    expected = mixture_loss(given.logits(), given.targets, **options)
    got = linear_mixture_loss(
        given.hidden, given.weight, given.targets, logits_mib=logits_mib, **options
    )
    torch.testing.assert_close(got.loss, expected.loss)
    torch.testing.assert_close(given.gradients(got.loss), given.gradients(expected.loss))
    torch.testing.assert_close(got.metrics.sums, expected.metrics.sums)


@pytest.mark.parametrize("divergence", ["hellinger", "js", "kl"])
@pytest.mark.parametrize("semi_gradient", [False, True], ids=["full", "semi"])
def test_other_divergences_are_as_on_logits(divergence: Divergence, *, semi_gradient: bool) -> None:
    given = batch()
    options: dict[str, Any] = {
        "td_weight": 0.1,
        "successor": given.successor,
        "divergence": divergence,
        "semi_gradient": semi_gradient,
    }
    expected = iqlearn_loss(given.logits(), given.targets, **options)
    got = linear_iqlearn_loss(given.hidden, given.weight, given.targets, **options)
    torch.testing.assert_close(got.loss, expected.loss)
    torch.testing.assert_close(given.gradients(got.loss), given.gradients(expected.loss))


@pytest.mark.parametrize("logits_mib", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("cap", [None, 3.0], ids=["plain", "softcap"])
def test_lse_and_target_give_any_loss_of_the_two(logits_mib: float, cap: float | None) -> None:
    given = batch()
    token = given.targets.clamp_min(0)
    z = given.logits(bias=True, scale=1.7, cap=cap)
    value = 0.7 * torch.logsumexp(z / 0.7, -1)
    q = z.gather(-1, token[..., None])[..., 0]
    got = linear_lse_and_target(
        given.hidden,
        given.weight,
        token,
        temperature=0.7,
        bias=given.bias,
        logit_scale=1.7,
        softcap=cap,
        logits_mib=logits_mib,
    )
    torch.testing.assert_close(got, (value, q))
    ours, theirs = ((v.square() * 0.1 - torch.exp(u - v)).sum() for v, u in (got, (value, q)))
    torch.testing.assert_close(given.gradients(ours), given.gradients(theirs))


def test_frozen_parts_get_no_gradient_and_no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    given = batch()
    expected = linear_iqlearn_loss(given.hidden, given.weight, given.targets, td_weight=0.3).loss
    expected_hidden, expected_weight, _ = given.gradients(expected)
    frozen = given.weight.detach()
    loss = linear_iqlearn_loss(given.hidden, frozen, given.targets, td_weight=0.3).loss
    monkeypatch.setattr(HeadProducts, "_add_to_weight", None)  # a call would raise
    loss = linear_iqlearn_loss(given.hidden, frozen, given.targets, td_weight=0.3).loss
    assert torch.equal(torch.autograd.grad(loss, given.hidden)[0], expected_hidden)
    monkeypatch.undo()
    loss = linear_iqlearn_loss(given.hidden.detach(), given.weight, given.targets, td_weight=0.3)
    assert torch.equal(torch.autograd.grad(loss.loss, given.weight)[0], expected_weight)
    monkeypatch.setattr(HeadProducts, "add_gradients", None)
    with torch.no_grad():
        loss = linear_iqlearn_loss(given.hidden, given.weight, given.targets, td_weight=0.3).loss
    assert not loss.requires_grad
    torch.testing.assert_close(loss, expected.detach())


def test_tied_embedding_gets_both_gradients() -> None:
    given = batch()
    tokens = given.targets.clamp_min(0)

    def gradient(loss_of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        hidden = torch.nn.functional.embedding(tokens, given.weight)
        return torch.autograd.grad(loss_of(hidden, given.weight), given.weight)[0]

    torch.testing.assert_close(
        gradient(lambda x, w: linear_iqlearn_loss(x, w, given.targets, td_weight=0.3).loss),
        gradient(lambda x, w: iqlearn_loss(x @ w.t(), given.targets, td_weight=0.3).loss),
    )


def test_gradient_is_scaled_by_what_follows_and_given_once() -> None:
    given = batch()
    loss = linear_iqlearn_loss(given.hidden, given.weight, given.targets, td_weight=0.3).loss
    plain = given.gradients(loss)
    loss = linear_iqlearn_loss(given.hidden, given.weight, given.targets, td_weight=0.3).loss
    scaled = torch.autograd.grad(loss / 4, (given.hidden, given.weight), retain_graph=True)
    torch.testing.assert_close(list(scaled), [gradient / 4 for gradient in plain[:2]])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, given.hidden)


def test_weight_gradient_is_handed_over_without_a_copy() -> None:
    given = batch()
    weight = given.weight.detach().clone().requires_grad_()
    loss = linear_iqlearn_loss(given.hidden, weight, given.targets, td_weight=0.3).loss
    assert loss.grad_fn is not None
    kept = loss.grad_fn.saved_tensors[1].data_ptr()  # pyright: ignore[reportAttributeAccessIssue]
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.data_ptr() == kept


def test_nothing_as_large_as_the_logits_is_saved() -> None:
    hidden = torch.randn(64, 4, requires_grad=True)
    weight = torch.randn(1000, 4, requires_grad=True)
    targets = torch.randint(1000, (64,))
    saved: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        linear_iqlearn_loss(hidden, weight, targets, td_weight=0.1)
        linear_lse_and_target(hidden, weight, targets)
    assert saved
    assert max(saved) == weight.numel()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_two_runs_are_bitwise_equal(dtype: torch.dtype) -> None:
    given = batch(dtype=dtype)

    def run() -> list[Tensor]:
        loss = linear_iqlearn_loss(
            given.hidden, given.weight, given.targets, td_weight=0.3, logits_mib=ROW_MIB
        ).loss
        return [loss.detach(), *given.gradients(loss)]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


@pytest.mark.usefixtures("two_threads")
def test_two_runs_are_bitwise_equal_where_paths_meet_on_several_threads() -> None:
    """Forty actions lead to each of a thousand states: their sums must not depend on a race."""
    count, states = 40_000, 1_000
    make = torch.Generator().manual_seed(0)
    hidden = torch.randn(count, 1, generator=make).requires_grad_()
    weight = torch.randn(2, 1, generator=make)
    targets = torch.randint(2, (count,), generator=make)
    successor = count - states + torch.arange(count) % states
    successor[-states:] = TERMINAL
    gradients = set[bytes]()
    for _ in range(4):
        out = linear_iqlearn_loss(hidden, weight, targets, td_weight=0.3, successor=successor)
        gradients.add(torch.autograd.grad(out.loss, hidden)[0].numpy().tobytes())
    assert len(gradients) == 1


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("wide_sums", [False, True], ids=["bfloat16 sums", "float32 sums"])
def test_bfloat16_is_close_to_float64(*, wide_sums: bool) -> None:
    """Language-like: half the targets are nearly certain, and the log-partition is about 20."""
    make = torch.Generator().manual_seed(0)
    weight = torch.randn(2048, 64, generator=make) / 8
    targets = torch.randint(2048, (512,), generator=make)
    confident = torch.rand(512, 1, generator=make) < 0.5
    hidden = (
        torch.randn(512, 64, generator=make) + torch.where(confident, 18.0, 2.0) * weight[targets]
    )
    half = [tensor.bfloat16().requires_grad_() for tensor in (hidden, weight)]
    exact = [tensor.detach().double().requires_grad_() for tensor in half]
    expected = iqlearn_loss(exact[0] @ exact[1].t(), targets, td_weight=0.1)
    got = linear_iqlearn_loss(
        half[0], half[1], targets, td_weight=0.1, logits_mib=0.5, wide_sums=wide_sums
    )
    assert abs(got.loss.item() - expected.loss.item()) <= 1e-3 * expected.loss.item()
    ours = torch.autograd.grad(got.loss, half)
    theirs = torch.autograd.grad(expected.loss, exact)
    limit = 2.5e-3 if wide_sums else 3.5e-3  # four more roundings of the sum
    assert relative(ours[0], theirs[0]) <= 2.5e-3
    assert relative(ours[1], theirs[1]) <= limit


def relative(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).norm() / expected.norm())


def test_gradient_of_a_nearly_certain_target_is_right_in_bfloat16() -> None:
    """p = 0.999: a gradient of p rounded to bfloat16, minus 1, would be off by up to 200 %."""
    weight = torch.eye(8).bfloat16().requires_grad_()
    hidden = torch.zeros(1, 8)
    hidden[0, 3] = math.log(0.999 / 0.001 * 7)
    hidden = hidden.bfloat16().requires_grad_()
    loss = linear_iqlearn_loss(hidden, weight, torch.tensor([3]), td_weight=0.0).loss
    (gradient,) = torch.autograd.grad(loss, hidden)
    probability = torch.softmax(hidden.detach().double(), -1)[0, 3]
    assert float(gradient[0, 3]) == pytest.approx(float(probability - 1), rel=0.005)


def test_autocast_casts_as_a_linear_layer_would() -> None:
    given = batch(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = linear_iqlearn_loss(given.hidden, given.weight, given.targets, td_weight=0.3).loss
    low = linear_iqlearn_loss(
        given.hidden.bfloat16(), given.weight.bfloat16(), given.targets, td_weight=0.3
    ).loss
    assert torch.equal(got, low)
    gradients = given.gradients(got)
    assert [gradient.dtype for gradient in gradients] == [torch.float32] * 3


def test_no_scored_row_is_a_loss_of_zero() -> None:
    given = batch()
    nothing = torch.full_like(given.targets, IGNORE)
    loss = linear_iqlearn_loss(given.hidden, given.weight, nothing, td_weight=0.3).loss
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in given.gradients(loss))


@pytest.mark.slow
def test_compiles_without_graph_breaks() -> None:
    given = batch()

    def loss(hidden: Tensor, weight: Tensor) -> Tensor:
        first = linear_iqlearn_loss(2 * hidden, weight, given.targets, td_weight=0.3)
        value, q = linear_lse_and_target(hidden, weight, given.targets.clamp_min(0))
        return 3 * first.loss + (value - q).mean() + 0 * first.metrics.sums.sum()

    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    ours, theirs = (f(given.hidden, given.weight) for f in (compiled, loss))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(given.gradients(ours), given.gradients(theirs))


def test_operators_are_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    given = batch()
    calls: list[tuple[Any, ...]] = []

    def record(*arguments: object) -> object:
        calls.append(arguments)
        return operator(*arguments)

    operator = iqlearn.linear_iqlearn
    monkeypatch.setattr(linear, "linear_iqlearn", record)
    linear_iqlearn_loss(given.hidden, given.weight, given.targets, td_weight=0.3)
    arguments = tuple(
        argument.detach() if isinstance(argument, Tensor) else argument for argument in calls[0]
    )
    torch.library.opcheck(operator, arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.zeros(17, 5).double()}, r"\(17, 5\) does not fit hidden"),
        ({"weight": torch.zeros(17, 6)}, "float64 and weight is torch.float32"),
        ({"bias": torch.zeros(3).double()}, r"bias of shape \(3,\) does not fit 17"),
        ({"softcap": 0.0}, "softcap is 0.0"),
        ({"logits_mib": 0.0}, "logits_mib is 0.0"),
        ({"backend": "metal"}, "backend is 'metal'"),
        ({"td_weight": -1.0}, "td_weight is -1.0"),
        ({"targets": torch.zeros(3, 12).long()}, r"\(3, 12\)"),
        ({"targets": torch.ones(3, 11).int()}, "targets are torch.int32"),
        ({"successor": torch.ones(3, 11).int()}, "successor is torch.int32 on cpu"),
        ({"rows": torch.tensor([0, 1]).int()}, "rows is torch.int32 on cpu"),
        ({"weight": torch.zeros(17, 6, device="meta").double()}, "the head on meta"),
        ({"successor": torch.zeros(3, 11).long()}, "followed by an earlier row"),
        ({"rows": torch.tensor([0, 1])}, "`rows` leaves out"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    given = batch()
    arguments: dict[str, Any] = {
        "hidden": given.hidden,
        "weight": given.weight,
        "targets": torch.ones(3, 11).long(),
        "td_weight": 0.3,
    }
    with pytest.raises(ValueError, match=message):
        linear_iqlearn_loss(**arguments | change)
