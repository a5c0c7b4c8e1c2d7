"""Measure this package beside its peers in one interleaved run; print the README's tables.

    uv run --with swe-rex --with 'llm-sandbox[docker]' python packages/sandbox/benchmarks/compare.py

Round after round every system does the same thing, so that noise hits all alike. A peer that does
not work here is named below the tables with the reason. `--n 40` rounds; `--only true,cell` runs
some of the measurements; `--json FILE` keeps the numbers.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from peers import BWRAP, HARDENED, all_peers

from agentbench_sandbox import Kernel, Limits, Request, Sandbox, SandboxPool, local
from agentbench_sandbox.docker import open_docker

Opener = Callable[[Request], Sandbox]
Row = dict[str, float]
Table = dict[str, Row]
Measured = Iterator[tuple[str, Table]]
OURS: dict[str, Opener] = {
    "agentbench docker": open_docker,
    "agentbench bubblewrap": local.open_bubblewrap,
    "agentbench landlock": local.open_landlock,
}
SMALL = Limits(memory_mib=512, disk_mib=64, tmp_mib=64)
PRINT = ["python3", "-c", "print(1)"]
MIB = 1 << 20
TARGETS = {
    "`true`": "3 / 5 ms, 12x docker SDK",
    "`python3 -c print`": "11 / 14 ms",
    "cold: create, `true`, destroy": "docker 260 / 320 ms, local 8 ms",
    "from the pool, with its first `true`": "5 ms",
    "kernel cell": "0.5 / 1 ms",
    "kernel fork, 500 MiB of state": "20 ms",
    "write 1 KiB": "3 ms",
    "read 1 KiB": "3 ms",
    "write 50 MiB": "400 ms",
    "read 50 MiB": "400 ms",
    "first streamed byte": "5 ms",
    "three `sleep 2` at once": "2100 ms",
    "1 GB of output": "1500 ms",
    "8 sandboxes, 16 threads": "800 commands/s",
    "import": "100 ms",
    "wheel": "1 MB",
}


def quantiles(milliseconds: list[float]) -> Row:
    """Return median, 95th percentile and number of measurements."""
    ordered = sorted(milliseconds)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"p50": statistics.median(ordered), "p95": p95, "n": len(ordered)}


def interleave(systems: Mapping[str, Callable[[], object]], n: int, warm: int = 3) -> Table:
    """Time each of {name: function} once per round.

    A function that returns a float has measured its own milliseconds.
    """
    times: dict[str, list[float]] = {name: [] for name in systems}
    for turn in range(n + warm):
        for name, run in systems.items():
            started = time.perf_counter()
            own = run()
            taken = (time.perf_counter() - started) * 1e3
            if turn >= warm:
                times[name].append(own if isinstance(own, float) else taken)
    return {name: quantiles(values) for name, values in times.items()}


def commands(runs: Mapping[str, Callable[[list[str]], object]], n: int) -> Measured:
    """Measure one command in something that is open already."""
    for title, argv in (("`true`", ["true"]), ("`python3 -c print`", PRINT)):
        yield title, interleave({name: partial(run, argv) for name, run in runs.items()}, n)


def cold(image: str, n: int) -> Table:
    """Measure opening, one command and closing."""
    import docker

    def ours(opener: Opener, request: Request) -> None:
        with opener(request) as sandbox:
            sandbox.exec(["true"], timeout_s=60)

    def sdk() -> None:
        client: Any = docker.from_env()
        container = client.containers.run(image, ["sleep", "60"], detach=True, **HARDENED)
        container.exec_run(["true"])
        container.remove(force=True)
        client.close()

    systems: dict[str, Callable[[], object]] = {
        name: lambda opener=opener: ours(
            opener, Request(image=image if opener is open_docker else None)
        )
        for name, opener in OURS.items()
    }
    systems["docker SDK"] = sdk
    systems["bubblewrap (raw)"] = lambda: subprocess.run([*BWRAP, "true"], check=True)
    return interleave(systems, n, warm=2)


def first_byte(sandbox: Sandbox) -> float:
    """Return the milliseconds until the first byte of a streamed command."""
    at: list[float] = []
    started = time.perf_counter()
    sandbox.exec(
        ["echo", "x"],
        timeout_s=60,
        on_output=lambda _stream, _data: at.append((time.perf_counter() - started) * 1e3),
    )
    return at[0]


def sleeps(sandbox: Sandbox) -> None:
    """Sleep three times at once."""
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: sandbox.exec(["sleep", "2"], timeout_s=60), range(3)))


def flood(sandbox: Sandbox) -> None:
    """Write a gigabyte."""
    result = sandbox.exec(["head", "-c", "1000000000", "/dev/zero"], timeout_s=600)
    assert result.stdout_total == 10**9


def inside(boxes: Mapping[str, Sandbox], n: int) -> Measured:
    """Measure what an open sandbox does besides commands."""
    large, small = bytes(50 * MIB), bytes(1024)
    once: dict[str, tuple[Callable[[Sandbox], object], int]] = {
        "write 1 KiB": (lambda box: box.write_file("small", small), n),
        "read 1 KiB": (lambda box: box.read_file("small"), n),
        "write 50 MiB": (lambda box: box.write_file("large", large), max(10, n // 4)),
        "read 50 MiB": (lambda box: box.read_file("large"), max(10, n // 4)),
        "first streamed byte": (first_byte, n),
        "three `sleep 2` at once": (sleeps, 3),
        "1 GB of output": (flood, 5),
    }
    for title, (work, rounds) in once.items():
        systems = {name: lambda box=box, work=work: work(box) for name, box in boxes.items()}
        yield title, interleave(systems, rounds, warm=1)


def kernels(boxes: Mapping[str, Sandbox], n: int) -> Measured:
    """Measure cells and forks of Python sessions."""
    with contextlib.ExitStack() as stack:
        open_ = {name: stack.enter_context(box.python()) for name, box in boxes.items()}
        cells = {name: lambda kernel=kernel: kernel.run("x = 1") for name, kernel in open_.items()}
        yield "kernel cell", interleave(cells, 5 * n)
        for kernel in open_.values():
            kernel.run(f"b = bytearray({500 * MIB})\nfor i in range(0, len(b), 4096): b[i] = 1")

        def fork(kernel: Kernel) -> float:
            started = time.perf_counter()
            (copy,) = kernel.fork(1)
            taken = (time.perf_counter() - started) * 1e3
            copy.close()
            return taken

        forks = {name: lambda kernel=kernel: fork(kernel) for name, kernel in open_.items()}
        yield "kernel fork, 500 MiB of state", interleave(forks, max(10, n // 2), warm=1)


def pooled(image: str, n: int) -> Table:
    """Measure taking a sandbox from a pool and its first command."""
    size, times = 8, []
    with SandboxPool(lambda: open_docker(Request(image=image, limits=SMALL)), size=size) as pool:
        while len(times) < n:
            time.sleep(size)  # the pool fills up again
            for _ in range(size):
                started = time.perf_counter()
                taken = pool.take()
                taken.exec(["true"], timeout_s=60)
                times.append((time.perf_counter() - started) * 1e3)
                taken.close()
    return {"agentbench docker": quantiles(times)}


def throughput(image: str, seconds: float = 5.0, boxes: int = 8, threads: int = 16) -> Table:
    """Return commands per second over several sandboxes (in place of milliseconds)."""
    table: Table = {}
    for name, opener in OURS.items():
        asked = Request(image=image if opener is open_docker else None, limits=SMALL)
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(opener(asked)) for _ in range(boxes)]
            rates = [rate(opened, threads, seconds / 5) for _ in range(5)]
        table[name] = {"p50": statistics.median(rates), "p95": min(rates), "n": len(rates)}
    return table


def rate(boxes: list[Sandbox], threads: int, seconds: float) -> float:
    """Return commands per second of several threads."""
    counts = [0] * threads
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < end:
            boxes[number % len(boxes)].exec(["true"], timeout_s=60)
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


def installation() -> Measured:
    """Measure the import, beyond an empty interpreter's start, and the size of the wheel."""

    def start(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - started) * 1e3

    beyond = [start("import agentbench_sandbox") - start("pass") for _ in range(15)]
    yield "import", {"agentbench": quantiles(beyond)}
    uv = shutil.which("uv")
    if uv is not None:
        with tempfile.TemporaryDirectory() as place:
            package = str(Path(__file__).parents[1])
            argv = [uv, "build", "--wheel", "--out-dir", place, package]
            subprocess.run(argv, check=True, capture_output=True)
            (wheel,) = Path(place).glob("*.whl")
            size = wheel.stat().st_size / 1e6
        yield "wheel", {"agentbench": {"p50": size, "p95": size, "n": 1}}


def one(title: str, table: Table) -> Measured:
    """Return a single measurement as the others come."""
    yield title, table


def cell(row: Row, title: str) -> str:
    """Return one measurement as text."""
    if title == "wheel":
        return f"{row['p50']:.2f} MB"
    if title.startswith("8 sandboxes"):
        return f"{row['p50']:.0f}/s (least {row['p95']:.0f}/s)"
    digits = 2 if row["p50"] < 100 else 0
    return f"{row['p50']:.{digits}f} / {row['p95']:.{digits}f} ms"


def show_systems(tables: Mapping[str, Table]) -> None:
    """Print every system's commands, with the ratio to ours in a container."""
    titles = [t for t in tables if t.startswith(("`", "cold"))]
    if not titles:
        return
    names = {name: None for title in titles for name in tables[title]}
    first = tables[titles[0]]
    print("| p50 / p95 | " + " | ".join(titles) + " | times agentbench docker |")
    print("|---" * (len(titles) + 2) + "|")
    for name in sorted(names, key=lambda name: first.get(name, {"p50": 1e9})["p50"]):
        texts = [cell(tables[t][name], t) if name in tables[t] else "" for t in titles]
        ratio = first[name]["p50"] / first["agentbench docker"]["p50"] if name in first else None
        print(
            f"| {name} | " + " | ".join(texts) + f" | {'' if ratio is None else f'{ratio:.1f}'} |"
        )


def show_targets(tables: Mapping[str, Table]) -> None:
    """Print what this package does, beside what was asked of it."""
    print("\n| | target | docker | bubblewrap | landlock |")
    print("|---|---|---|---|---|")
    for title, table in tables.items():
        columns = [cell(table[name], title) if name in table else "" for name in OURS]
        if "agentbench" in table:
            columns = [cell(table["agentbench"], title), "", ""]
        print(f"| {title} | {TARGETS[title]} | " + " | ".join(columns) + " |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--image", default="agentbench-sandbox:default")
    parser.add_argument("--only", default="commands,cold,inside,kernels,pool,throughput,install")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    only = set(asked.only.split(","))
    tables: dict[str, Table] = {}
    missing: dict[str, str] = {}
    load = os.getloadavg()[0]

    def done(measured: Measured) -> None:
        for title, table in measured:
            tables[title] = table
            print(f"{time.strftime('%H:%M:%S')} {title}", file=sys.stderr, flush=True)

    parts: dict[str, Callable[[], Measured]] = {
        "cold": lambda: one("cold: create, `true`, destroy", cold(asked.image, asked.n)),
        "pool": lambda: one("from the pool, with its first `true`", pooled(asked.image, asked.n)),
        "throughput": lambda: one("8 sandboxes, 16 threads", throughput(asked.image)),
        "install": installation,
    }
    with contextlib.ExitStack() as stack:
        boxes = {
            name: stack.enter_context(
                opener(Request(image=asked.image if opener is open_docker else None))
            )
            for name, opener in OURS.items()
        }
        runs = {name: partial(box.exec, timeout_s=60) for name, box in boxes.items()}
        if "commands" in only:
            peers, missing = all_peers(asked.image, stack)
            done(commands(runs | peers, asked.n))
        if "inside" in only:
            done(inside(boxes, asked.n))
        if "kernels" in only:
            done(kernels(boxes, asked.n))
    for name in [name for name in parts if name in only]:
        done(parts[name]())
    machine = (
        f"{os.cpu_count()} CPUs, Linux {platform.release()}, Python {platform.python_version()}, "
        f"load {load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end, n = {asked.n}"
    )
    print(f"\n{machine}\n")
    show_systems(tables)
    show_targets(tables)
    for name, reason in missing.items():
        print(f"\nnot measured: {name}: {reason}")
    if asked.json:
        report = {"machine": machine, "tables": tables, "missing": missing}
        asked.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
