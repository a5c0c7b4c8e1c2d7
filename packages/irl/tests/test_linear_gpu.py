# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# (torch's stubs leave parts unknown)
"""The linear losses on a GPU, through the CUDA kernels and through chunked torch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from agentbench_irl.kernels import cuda_rows
from agentbench_irl.kernels.backend import BackendName, linear_backend
from agentbench_irl.linear import linear_iqlearn_loss, linear_lse_and_target, needed_rows
from agentbench_irl.losses import iqlearn_loss
from agentbench_irl.transitions import next_scored

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
BACKENDS: tuple[BackendName, ...] = ("cuda", "torch")
SIZES = {
    "odd": (77, 40, 1001),
    "unaligned width": (64, 33, 4096),
    "one row": (1, 64, 512),
    "two blocks a row": (130, 128, 32000),
    "eight blocks a row": (33, 64, 152064),
    "re-read": (17, 64, 256000),
}


def case(size: tuple[int, int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    count, width, vocabulary = size
    make = torch.Generator("cuda").manual_seed(0)
    hidden = torch.randn(count, width, generator=make, device="cuda")
    weight = torch.randn(vocabulary, width, generator=make, device="cuda") / width**0.5
    targets = torch.randint(vocabulary, (count,), generator=make, device="cuda")
    targets[1::3] = -100
    return hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets


def relative(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).norm() / expected.norm())


def test_the_kernels_are_used() -> None:
    chosen = linear_backend("cuda", torch.bfloat16)
    assert chosen.name == "cuda", chosen.reason


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("softcap", [None, 30.0], ids=["plain", "softcap"])
def test_close_to_float64(
    size: tuple[int, int, int], dtype: torch.dtype, backend: BackendName, softcap: float | None
) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    hidden, weight, targets = case(size, dtype)
    exact = [tensor.detach().double().requires_grad_() for tensor in (hidden, weight)]
    z = exact[0] @ exact[1].t()
    z = z if softcap is None else softcap * torch.tanh(z / softcap)
    expected = iqlearn_loss(z, targets, td_weight=0.1)
    got = linear_iqlearn_loss(
        hidden, weight, targets, td_weight=0.1, softcap=softcap, logits_mib=4, backend=backend
    )
    limit = 4e-3 if dtype == torch.bfloat16 else 2e-5
    assert relative(got.loss, expected.loss) <= limit
    ours = torch.autograd.grad(got.loss, (hidden, weight))
    theirs = torch.autograd.grad(expected.loss, exact)
    for gradient, right in zip(ours, theirs, strict=True):
        assert relative(gradient, right) <= limit


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_runs_are_bitwise_equal(backend: BackendName) -> None:
    hidden, weight, targets = case((512, 256, 32000), torch.bfloat16)

    def run() -> list[Tensor]:
        loss = linear_iqlearn_loss(
            hidden, weight, targets, td_weight=0.1, logits_mib=8, backend=backend
        ).loss
        return [loss, *torch.autograd.grad(loss, (hidden, weight))]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_host_synchronisation(backend: BackendName) -> None:
    hidden, weight, targets = case((256, 64, 4096), torch.bfloat16)
    rows = needed_rows(targets, next_scored(targets))

    def step() -> None:
        linear_iqlearn_loss(
            hidden, weight, targets, td_weight=0.1, rows=rows, backend=backend
        ).loss.backward()
        value, q = linear_lse_and_target(hidden, weight, targets.clamp_min(0), backend=backend)
        (value - q).mean().backward()

    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("backend", BACKENDS)
def test_cuda_graph(backend: BackendName) -> None:
    hidden, weight, targets = case((256, 64, 4096), torch.bfloat16)

    def step() -> list[Tensor]:
        loss = linear_iqlearn_loss(hidden, weight, targets, td_weight=0.1, backend=backend).loss
        return [loss, *torch.autograd.grad(loss, (hidden, weight))]

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        expected = step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(captured, expected, strict=True))


@pytest.mark.parametrize("factor", [1.0, 0.37])
def test_scale(factor: float) -> None:
    gradient = torch.randn(1003, device="cuda").bfloat16()
    expected = (gradient.float() * factor).bfloat16()
    cuda_rows.scale_(gradient, torch.tensor(factor, device="cuda"))
    assert torch.equal(gradient, expected)


@pytest.mark.slow
def test_more_than_two_to_the_31_logits() -> None:
    hidden, weight, targets = case((2**31 // 152064 + 64, 16, 152064), torch.bfloat16)

    def loss(mib: float) -> Tensor:
        return linear_iqlearn_loss(
            hidden, weight, targets, td_weight=0.1, logits_mib=mib, backend="cuda"
        ).loss

    torch.testing.assert_close(loss(8192), loss(256))


def peak_mib(step: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


@pytest.mark.slow
@pytest.mark.parametrize(("logits_mib", "most_mib"), [(1024, 2.3e3), (512, 1.75e3)])
def test_peak_memory(logits_mib: float, most_mib: float) -> None:
    hidden, weight, targets = case((8192, 4096, 128256), torch.bfloat16)

    def step() -> None:
        hidden.grad = weight.grad = None
        linear_iqlearn_loss(
            hidden, weight, targets, td_weight=0.1, logits_mib=logits_mib
        ).loss.backward()

    assert peak_mib(step) <= most_mib * 1e9 / 1e3 / 2**20
