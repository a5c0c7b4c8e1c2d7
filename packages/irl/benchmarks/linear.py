"""Time and peak memory of the linear IQLearn loss against its peers, in one run.

    uv run --no-sync python packages/irl/benchmarks/linear.py

On a GPU: bfloat16, the shapes of the table below, CUDA events, median of 30. On a CPU: float32, one
thread, CPU time (which other processes on the machine disturb least), best of the rounds. Every
measurement is a process of its own, and contenders take turns, so that peak memory is their own and
a slow minute of the machine falls on all. Peak memory is what a step needs beyond inputs and
gradients. By default: random inputs, confident targets (`peaked`), and half the rows masked. A row
of a peer that is not installed, or does not run here, says why. Liger and cut-cross-entropy, which
pin no version of torch that others could not live with, come by

    uv pip install --no-deps liger-kernel cut-cross-entropy
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

GPU_SHAPES = {
    "llama-2": (8192, 4096, 32000),
    "llama-3": (8192, 4096, 128256),
    "qwen2.5-7b": (8192, 3584, 152064),
    "qwen2.5-3b": (8192, 2048, 151936),
    "qwen2.5-0.5b": (8192, 896, 151936),
}
CPU_SHAPES = {"goal": (2048, 512, 32000), "small": (512, 256, 32000)}
Step = Callable[[], Tensor | None]


def inputs(shape: tuple[int, int, int], *, peaked: bool, masked: float) -> tuple[Tensor, ...]:
    """Return X, W and targets; peaked inputs give most targets a probability above 0.9."""
    count, width, vocabulary = shape
    on_gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if on_gpu else ("cpu", torch.float32)
    torch.manual_seed(0)
    x = torch.randn(count, width, device=device)
    w = torch.randn(vocabulary, width, device=device) / width**0.5
    y = torch.randint(vocabulary, (count,), device=device)
    if peaked:
        x = 0.2 * x + (10 + 6 * torch.rand(count, 1, device=device)) * w[y]
    y[torch.rand(count, device=device) < masked] = -100
    return x.to(dtype).requires_grad_(), w.to(dtype).requires_grad_(), y


def contenders(  # noqa: C901 - one small function per contender
    x: Tensor, w: Tensor, y: Tensor
) -> dict[str, Callable[[], Step]]:
    """Return, per name, what makes the step to measure: a loss to be differentiated, or None."""
    from agentbench_irl import iqlearn_loss
    from agentbench_irl.linear import linear_iqlearn_loss, needed_rows
    from agentbench_irl.transitions import next_scored

    rows = needed_rows(y, next_scored(y))

    def ours(td_weight: float, **options: object) -> Callable[[], Step]:
        return lambda: (
            lambda: linear_iqlearn_loss(x, w, y, td_weight=td_weight, rows=rows, **options).loss
        )

    def floor() -> Step:
        dz = torch.empty(len(y), w.shape[0], dtype=x.dtype, device=x.device)

        def products() -> None:
            with torch.no_grad():
                torch.mm(x, w.t(), out=dz)
                torch.mm(dz, w)
                torch.mm(dz.t(), x)

        return products

    def naive() -> Step:
        return lambda: iqlearn_loss(functional.linear(x, w), y, td_weight=0.1).loss

    def naive_entropy() -> Step:
        return lambda: functional.cross_entropy(functional.linear(x, w).float(), y)

    def trl() -> Step:
        from trl.kernels.chunked_logprob import ChunkedLogProbFunction
        from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE as CHUNK

        kept = y != -100

        def step() -> Tensor:
            rows_of = (x[kept], w, None, y[kept])
            log_probabilities = ChunkedLogProbFunction.apply(*rows_of, 1.0, CHUNK, None, 1.0, ())
            return -log_probabilities[0].mean()

        return step

    def torch_linear() -> Step:
        options = torch.nn.LinearCrossEntropyOptions()
        return lambda: functional.linear_cross_entropy(x, w, y, options=options)

    def liger() -> Step:
        from liger_kernel.ops.fused_linear_cross_entropy import (
            LigerFusedLinearCrossEntropyFunction as Liger,
        )

        return lambda: Liger.apply(x, w, y)[0]

    def cce() -> Step:
        from cut_cross_entropy import linear_cross_entropy

        return lambda: linear_cross_entropy(x, w, y)

    return {
        "three products": floor,
        "ours": ours(0.1),
        "ours, λ = 0": ours(0.0),
        "ours, torch": ours(0.1, backend="torch"),
        "ours, low memory": ours(0.1, logits_mib=512 if x.is_cuda else 8),
        "naive": naive,
        "naive, torch.compile": lambda: torch.compile(naive()),
        "naive CE": naive_entropy,
        "TRL chunked CE": trl,
        "F.linear_cross_entropy": torch_linear,
        "Liger CE": liger,
        "cut-cross-entropy": cce,
    }


GPU_ONLY = {"ours, torch": "same as ours on a CPU"}
VARIANTS = {"random": (False, 0.0), "peaked": (True, 0.0), "half the rows masked": (False, 0.5)}


def measure(name: str, shape: tuple[int, int, int], *, peaked: bool, masked: float) -> dict:
    """Return seconds and peak MiB of one contender, in this process."""
    x, w, y = inputs(shape, peaked=peaked, masked=masked)
    step = contenders(x, w, y)[name]()

    def once() -> None:
        x.grad = w.grad = None
        loss = step()
        if loss is not None:
            loss.backward()

    if x.is_cuda:
        once()
        torch.cuda.synchronize()
        x.grad = w.grad = None
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        once()
        peak = torch.cuda.max_memory_allocated() - before
        return {"seconds": gpu_seconds(once), "peak_mib": peak / 2**20}
    torch.set_num_threads(1)
    x.grad, w.grad = torch.zeros_like(x), torch.zeros_like(w)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    x.grad = w.grad = None
    once()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    start = time.process_time()
    once()
    return {"seconds": time.process_time() - start, "peak_mib": peak / 1024}


def gpu_seconds(once: Callable[[], None]) -> float:
    """Return the median of 30 steps by CUDA events, after 5 that do not count."""
    times = []
    for i in range(35):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        once()
        end.record()
        end.synchronize()
        if i >= 5:
            times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def in_own_process(name: str, arguments: list[str]) -> dict:
    command = [sys.executable, __file__, "--one", name, *arguments]
    environment = os.environ | {"AGENTBENCH_IRL_BACKEND": "auto"}
    if not torch.cuda.is_available():
        environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["no output"])[-1][:100]}
    return json.loads(done.stdout.splitlines()[-1])


def table(label: str, shape: tuple[int, int, int], arguments: list[str], rounds: int) -> float:
    """Print a table; return the seconds of ours."""
    on_gpu = torch.cuda.is_available()
    names = list(contenders(*(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1).long())))
    skipped = {} if on_gpu else dict(GPU_ONLY)
    best: dict[str, dict] = {}
    for name in [name for _ in range(rounds) for name in names]:
        if name in skipped:
            continue
        got = in_own_process(name, arguments)
        if "missing" in got:
            skipped[name] = got["missing"]
        elif name not in best:
            best[name] = got
        else:
            best[name] = {key: min(got[key], best[name][key]) for key in got}
    where = torch.cuda.get_device_name() if on_gpu else "CPU, one thread, CPU time"
    print(f"\n{label}: N, H, V = {shape}, {where}\n")
    print("| contender | ms | × three products | × naive | peak MiB | × naive |")
    print("|---|---|---|---|---|---|")
    floor, naive = best["three products"], best["naive"]
    for name, got in best.items():
        print(
            f"| {name} | {1e3 * got['seconds']:.1f} | {got['seconds'] / floor['seconds']:.2f} "
            f"| {got['seconds'] / naive['seconds']:.2f} | {got['peak_mib']:.0f} "
            f"| {got['peak_mib'] / naive['peak_mib']:.3f} |"
        )
    for name, why in skipped.items():
        print(f"| {name} | not run: {why} | | | | |", flush=True)
    return best["ours"]["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", help="measure one contender here and print JSON")
    parser.add_argument("--shape", help="N,H,V; by default those of this machine's kind")
    parser.add_argument("--variant", choices=VARIANTS, help="by default all of them")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    shapes = GPU_SHAPES if torch.cuda.is_available() else CPU_SHAPES
    if options.shape:
        shapes = {"shape": tuple(map(int, options.shape.split(",")))}
    if options.one:
        peaked, masked = VARIANTS[options.variant or "random"]
        (shape,) = shapes.values()
        print(json.dumps(measure(options.one, shape, peaked=peaked, masked=masked)))
        return
    for label, shape in shapes.items():
        seconds: dict[str, float] = {}
        for variant in [options.variant] if options.variant else VARIANTS:
            arguments = ["--shape", ",".join(map(str, shape)), "--variant", variant]
            seconds[variant] = table(f"{label}, {variant}", shape, arguments, options.rounds)
        if len(seconds) == len(VARIANTS):
            share = seconds["half the rows masked"] / seconds["random"]
            print(f"\n{label}: half the rows masked takes {share:.2f} of the time of all rows")


if __name__ == "__main__":
    main()
