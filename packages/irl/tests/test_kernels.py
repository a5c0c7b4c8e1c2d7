# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportPrivateUsage=false
# pyright: reportUnknownVariableType=false, reportUnknownLambdaType=false
# (torch's stubs leave parts unknown; the launch is the seam at which a CPU stands in for a GPU)
"""The CUDA kernels without a GPU: compiled for each architecture, and run thread by thread."""

import ctypes
import importlib
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from torch import Tensor

from agentbench_irl.errors import KernelError
from agentbench_irl.kernels import cuda_rows, iqlearn, lse, nvrtc, torch_rows
from agentbench_irl.kernels.backend import linear_backend, row_kernels
from agentbench_irl.kernels.head import Head
from agentbench_irl.linear import linear_iqlearn_loss, linear_lse_and_target

ARCHITECTURES = ("sm_80", "sm_90a", "sm_100")
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
THREADS = 64


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_kernels_compile_without_spilling(arch: str, dtype: torch.dtype) -> None:
    pytest.importorskip("cuda.core", reason="the extra `cuda` is not installed")
    cubin, reports = nvrtc.compile_kernels(arch, dtype)
    assert cubin[:4] == b"\x7fELF"
    assert {report.name for report in reports} == set(nvrtc.KERNELS)
    for report in reports:
        assert report.spill_bytes == report.stack_bytes == 0, report
        # 65536 registers, 2048 threads: at 32 an SM is full, at 40 it holds three blocks of 512
        assert report.registers <= 40, report


def test_source_that_does_not_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cuda.core", reason="the extra `cuda` is not installed")
    monkeypatch.setattr(nvrtc, "source", lambda: "this is no C++")
    with pytest.raises(KernelError, match=r"(?s)sm_90a.*expected a declaration"):
        nvrtc.compile_kernels("sm_90a", torch.bfloat16)


def test_cache_holds_what_was_compiled_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.core", reason="the extra `cuda` is not installed")
    monkeypatch.setenv("AGENTBENCH_IRL_CACHE", str(tmp_path / "kernels"))
    first = nvrtc.cached_kernels("sm_90a", torch.float32)
    (kept,) = (tmp_path / "kernels").iterdir()
    compiled = nvrtc.compile_kernels

    def refuse(*_: object) -> tuple[bytes, list[nvrtc.KernelReport]]:
        raise AssertionError("compiled again")

    monkeypatch.setattr(nvrtc, "compile_kernels", refuse)
    assert nvrtc.cached_kernels("sm_90a", torch.float32) == first
    with pytest.raises(AssertionError, match="compiled again"):
        nvrtc.cached_kernels("sm_80", torch.float32)
    monkeypatch.setattr(nvrtc, "compile_kernels", compiled)
    kept.write_bytes(kept.read_bytes()[:-1])
    assert nvrtc.cached_kernels("sm_90a", torch.float32) == first
    monkeypatch.setattr(nvrtc, "compile_kernels", refuse)
    assert nvrtc.cached_kernels("sm_90a", torch.float32) == first


def test_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.core", reason="the extra `cuda` is not installed")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AGENTBENCH_IRL_CACHE", str(tmp_path / "file"))
    assert nvrtc.cached_kernels("sm_90a", torch.float32)[:4] == b"\x7fELF"


def test_importing_creates_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBENCH_IRL_CACHE", str(tmp_path / "kernels"))
    importlib.reload(importlib.import_module("agentbench_irl.kernels"))
    linear_backend()
    assert not (tmp_path / "kernels").exists()


@pytest.mark.parametrize(
    ("vocabulary", "element_bytes", "clusters", "layout"),
    [
        (128256, 2, True, (8, 16032, True)),
        (128256, 2, False, (1, 128256, False)),
        (152064, 2, True, (8, 19008, True)),
        (256000, 2, True, (8, 32000, False)),
        (32000, 2, True, (2, 16000, True)),
        (24000, 2, False, (1, 24000, True)),
        (50257, 2, True, (4, 12568, True)),
        (50257, 4, True, (8, 6284, True)),
        (7, 2, True, (1, 8, True)),
    ],
)
def test_row_layout(
    vocabulary: int, element_bytes: int, layout: tuple[int, int, bool], *, clusters: bool
) -> None:
    assert cuda_rows.row_layout(vocabulary, element_bytes, clusters=clusters) == layout
    blocks, entries, _ = layout
    assert entries * element_bytes % 16 == 0
    assert blocks * entries >= vocabulary


@pytest.fixture(scope="module")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> dict[torch.dtype, ctypes.CDLL]:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler to run the kernels on a CPU with")
    libraries: dict[torch.dtype, ctypes.CDLL] = {}
    here = Path(__file__).parent
    for dtype in DTYPES.values():
        library = tmp_path_factory.mktemp("emulator") / "kernels.so"
        defines = {
            "THREADS": str(THREADS),
            "SCRATCH_BYTES": str(nvrtc.SCRATCH_BYTES),
            "KERNELS": f'"{files("agentbench_irl.kernels") / "iqlearn.cu"}"',
            nvrtc._ELEMENTS[dtype]: "1",
        }
        flags = [f"-D{name}={value}" for name, value in defines.items()]
        command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", *flags]
        subprocess.run([*command, str(here / "emulator.cpp"), "-o", str(library)], check=True)
        libraries[dtype] = ctypes.CDLL(str(library))
    return libraries


@pytest.fixture
def emulated(
    emulators: dict[torch.dtype, ctypes.CDLL], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, int]]:
    """Launch on the CPU; gives the kernels launched and the size of their clusters."""
    launched: list[tuple[str, int]] = []

    def launch(
        name: str,
        where: Tensor,
        arguments: tuple[cuda_rows._Argument, ...],
        *,
        blocks: int,
        cluster: int = 1,
        shared: int = 0,
    ) -> None:
        launched.append((name, cluster))
        values = [cuda_rows.pointer_or_number(argument) for argument in arguments]
        values = [ctypes.c_void_p(v) if isinstance(v, int) else v for v in values]
        grid = (blocks, cluster, shared) if name == "softmax_rows" else (blocks,)
        emulators[where.dtype][f"run_{name}"](*map(ctypes.c_int, grid), *values)

    monkeypatch.setattr(cuda_rows, "_launch", launch)
    monkeypatch.setattr(cuda_rows, "_clusters", lambda _: True)
    monkeypatch.setattr(nvrtc, "THREADS", THREADS)
    return launched


def rows(dtype: torch.dtype, count: int, vocabulary: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return padded logits, exact logits of the targets, and the targets; one row is peaked."""
    make = torch.Generator().manual_seed(vocabulary)
    padding = -vocabulary % 8
    z = torch.full((count, vocabulary + padding), torch.nan)
    z[:, :vocabulary] = 3 * torch.randn(count, vocabulary, generator=make)
    target = torch.randint(vocabulary, (count,), generator=make)
    target[0], target[-1] = 0, vocabulary - 1
    z[1, target[1]] = 25
    q = z.gather(1, target[:, None])[:, 0] + 0.01
    return z.to(dtype)[:, :vocabulary], q, target


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("vocabulary", [1, 7, 64, 1001, 4096])
@pytest.mark.parametrize("softcap", [None, 30.0], ids=["plain", "softcap"])
@pytest.mark.parametrize("shared_bytes", [1 << 10, 1 << 13], ids=["reread", "one read"])
def test_softmax_rows(
    dtype: torch.dtype,
    vocabulary: int,
    softcap: float | None,
    shared_bytes: int,
    emulated: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cuda_rows, "_SHARED_BYTES", shared_bytes)
    head = Head(logit_scale=1.3, softcap=softcap, temperature=0.7)
    z, q, target = rows(dtype, 3, vocabulary)
    buffer = z.clone() if softcap is None else (z / 10).clone()
    storage = torch.full((3, z.stride(0)), torch.nan, dtype=dtype)
    padded = storage[:, :vocabulary].copy_(buffer)
    push = torch.tensor([[0.3, -0.2, 0.0], [0.01, 0.02, 0.0]])
    value, best = torch_rows.softmax_rows_(buffer, q, target, head, (push[0], push[1]))
    got, got_best = cuda_rows.softmax_rows_(padded, q, target, head, (push[0], push[1]))
    torch.testing.assert_close(got, value, rtol=1e-6, atol=2e-6)
    assert torch.equal(got_best, best)
    others = torch.ones_like(buffer, dtype=torch.bool).scatter_(1, target[:, None], value=False)
    close = {torch.bfloat16: 2**-8, torch.float32: 1e-5}[dtype]
    torch.testing.assert_close(padded[others], buffer[others], rtol=close, atol=1e-9)
    assert emulated == [("softmax_rows", emulated[0][1])]
    if vocabulary == 4096:
        assert emulated[0][1] > 1


def test_without_a_push_only_the_value_is_computed(emulated: list[tuple[str, int]]) -> None:
    z, q, target = rows(torch.float32, 3, 100)
    before = z.clone()
    value, best = cuda_rows.softmax_rows_(z, q, target, Head(), None)
    assert torch.equal(z, before)
    expected, expected_best = torch_rows.softmax_rows_(before, q, target, Head(), None)
    torch.testing.assert_close(value, expected)
    assert torch.equal(best, expected_best)
    assert emulated == [("softmax_rows", 1)]


def test_rows_of_minus_infinity_do_not_poison_others(emulated: list[tuple[str, int]]) -> None:
    z, q, target = rows(torch.float32, 2, 600)
    z[:, 1:599] = -torch.inf  # whole packs, warps and threads see nothing
    expected = torch.logsumexp(z.scatter(1, target[:, None], q[:, None]), 1)
    push = (torch.ones(2), torch.zeros(2))
    value, _ = cuda_rows.softmax_rows_(z, q, target, Head(), push)
    torch.testing.assert_close(value, expected)
    assert not z.isnan().any()
    assert emulated


@pytest.mark.parametrize("where", [slice(None), slice(8, 16)], ids=["all", "a pack"])
def test_nan_is_never_lost(where: slice, emulated: list[tuple[str, int]]) -> None:
    z, q, target = rows(torch.float32, 2, 600)
    z[1, where] = torch.nan
    target[1] = 500
    value, _ = cuda_rows.softmax_rows_(z, q, target, Head(), None)
    assert value.isnan().tolist() == [False, True]
    assert emulated


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("width", [1, 24, 33, 512])
@pytest.mark.parametrize("some", [False, True], ids=["all rows", "some rows"])
def test_target_products(
    dtype: torch.dtype, width: int, emulated: list[tuple[str, int]], *, some: bool
) -> None:
    make = torch.Generator().manual_seed(width)
    hidden = torch.randn(7, width, generator=make).to(dtype)
    weight = torch.randn(11, width, generator=make).to(dtype)
    chosen = torch.tensor([0, 3, 6]) if some else None
    target = torch.tensor([0, 10, 4] if some else [0, 10, 4, 4, 1, 2, 3])
    got = cuda_rows.target_products(hidden, weight, target, chosen)
    expected = torch_rows.target_products(hidden.double(), weight.double(), target, chosen)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)
    assert emulated == [("target_products", 1)]


def test_a_target_that_is_no_token_is_nan(emulated: list[tuple[str, int]]) -> None:
    target = torch.tensor([-1, 0, 11])
    got = cuda_rows.target_products(torch.ones(3, 8), torch.ones(11, 8), target, None)
    assert got.isnan().tolist() == [True, False, True]
    assert emulated


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("count", [1, 8, 1003])
@pytest.mark.parametrize("factor", [1.0, 0.37])
def test_scale(
    dtype: torch.dtype, count: int, factor: float, emulated: list[tuple[str, int]]
) -> None:
    gradient = torch.randn(count).to(dtype)
    expected = (gradient.float() * factor).to(dtype)
    cuda_rows.scale_(gradient, torch.tensor(factor))
    assert torch.equal(gradient, expected)
    assert emulated == [("scale", 1)]


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_losses_through_the_kernels(
    dtype: torch.dtype, emulated: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_rows, "_SHARED_BYTES", 1 << 10)
    make = torch.Generator().manual_seed(5)
    hidden = torch.randn(2, 9, 24, generator=make).to(dtype).requires_grad_()
    weight = (torch.randn(1024, 24, generator=make) / 4).to(dtype).requires_grad_()
    targets = torch.randint(1024, (2, 9), generator=make)
    targets[0, :4] = -100

    def results() -> list[Tensor]:
        loss = linear_iqlearn_loss(hidden, weight, targets, td_weight=0.1, logits_mib=0.01).loss
        value, q = linear_lse_and_target(hidden, weight, targets, logits_mib=0.01)
        other = (value.square() - q).mean()
        total = (3 * loss, other)
        return [loss, other, *torch.autograd.grad(total, (hidden, weight))]

    expected = results()
    for module in (iqlearn, lse):
        monkeypatch.setattr(module, "row_kernels", lambda *_: cuda_rows)
    got = results()
    close = {torch.bfloat16: 2**-6, torch.float32: 2e-5}[dtype]
    for ours, theirs in zip(got, expected, strict=True):
        error = (ours.float() - theirs.float()).norm() / theirs.float().norm()
        assert error <= close
    names = [name for name, _ in emulated]
    assert set(names) == {"softmax_rows", "target_products", "scale"}
    assert max(cluster for _, cluster in emulated) > 1


@pytest.mark.parametrize(
    ("name", "backend", "reason"),
    [
        ("", "auto", "the tensors are on cpu"),
        ("torch", "auto", "AGENTBENCH_IRL_BACKEND=torch asks for it"),
        ("auto", "torch", "the caller asks for it"),
        ("cuda", "torch", "the caller asks for it"),
    ],
)
def test_back_end_says_why(
    name: str, backend: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGENTBENCH_IRL_BACKEND", raising=False)
    if name:
        monkeypatch.setenv("AGENTBENCH_IRL_BACKEND", name)
    chosen = linear_backend("cpu", backend=backend)
    assert (chosen.name, chosen.reason, chosen.missing) == ("torch", reason, False)


def test_missing_cuda_warns_once_and_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBENCH_IRL_BACKEND", "cuda")
    importlib.import_module("agentbench_irl.kernels.backend")._warn.cache_clear()
    with pytest.warns(RuntimeWarning, match="chunked torch.*the tensors are on cpu"):
        assert row_kernels("auto", torch.zeros(1)) is torch_rows
    assert row_kernels("auto", torch.zeros(1)) is torch_rows  # a second warning is an error


def test_unknown_back_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBENCH_IRL_BACKEND", "tpu")
    with pytest.raises(ValueError, match="'tpu'; it must be auto, torch or cuda"):
        linear_backend("cpu")


def test_machine_code_is_kept_where_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGENTBENCH_IRL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert nvrtc.cache_directory() == Path.home() / ".cache" / "agentbench-irl"
    monkeypatch.setenv("XDG_CACHE_HOME", os.sep + "elsewhere")
    assert nvrtc.cache_directory() == Path("/elsewhere/agentbench-irl")
