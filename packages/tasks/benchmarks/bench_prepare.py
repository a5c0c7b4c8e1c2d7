"""Preparing a table of a million rows against the same split written with pandas, and look-ups.

`python benchmarks/bench_prepare.py [ROWS]` prints seconds, ratios, and peak memory beside the raw
file's size. Each contestant runs in a process of its own, so that peaks are its own; the memory
that importing its libraries takes is measured too and subtracted.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

CONTESTANTS = {
    "agentbench": """
from agentbench_tasks import SubmissionTask, load_task
from agentbench_tasks.build import build
record = load_task("tabular-playground-series-may-2022").model_dump(mode="json")
record["variants"] = {}
task = SubmissionTask.model_validate(record)
start()
build(task, raw, out)
""",
    "pandas": """
import pandas as pd
start()
table = pd.read_csv(raw / "train.csv")
test = table.sample(frac=0.2, random_state=0)
train = table.drop(test.index)
out.mkdir()
train.to_csv(out / "train.csv", index=False)
test.drop(columns="target").to_csv(out / "test.csv", index=False)
test[["id", "target"]].to_csv(out / "answers.csv", index=False)
test[["id"]].assign(target=0.5).to_csv(out / "sample_submission.csv", index=False)
""",
}

HARNESS = """
import json, resource, sys, time
from pathlib import Path
raw, out = Path(sys.argv[1]), Path(sys.argv[2])
def peak():
    return int([l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM")][0]) * 1024
def start():
    global wall, cpu, before
    open("/proc/self/clear_refs", "w").write("5")
    before, wall, cpu = peak(), time.perf_counter(), time.process_time()
{code}
print(json.dumps(dict(
    wall=time.perf_counter() - wall, cpu=time.process_time() - cpu, memory=peak() - before)))
"""

CATALOGUE = "from agentbench_tasks import list_tasks; print(len(list_tasks()))"

LOAD = """
import statistics, time
from agentbench_tasks import load_task, task_names
load_task("titanic")
times = []
for name in task_names():
    start = time.perf_counter()
    load_task(name)
    times.append(time.perf_counter() - start)
print(f"load_task: median {1e3 * statistics.median(times):.1f} ms, worst {1e3 * max(times):.1f} ms")
"""


def write_raw(folder: Path, rows: int) -> int:
    rng = np.random.default_rng(0)
    columns: dict[str, object] = {"id": np.arange(rows)}
    columns |= {f"f_{i:02d}": rng.normal(size=rows) for i in range(12)}
    columns |= {"f_27": rng.choice(["ABABDADBAB", "ACACCADCEB"], rows)}
    columns["target"] = rng.integers(0, 2, rows)
    pl.DataFrame(columns).write_csv(folder / "train.csv")
    return (folder / "train.csv").stat().st_size


def run(name: str, raw: Path, out: Path) -> dict[str, float]:
    code = HARNESS.replace("{code}", CONTESTANTS[name])
    done = subprocess.run(
        [sys.executable, "-c", code, str(raw), str(out)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    look_up()
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        raw.mkdir()
        size = write_raw(raw, rows)
        print(f"{rows} rows, {size / 2**20:.0f} MiB")
        results = {
            name: [run(name, raw, Path(folder) / f"{name}{i}") for i in range(3)]
            for name in CONTESTANTS
        }
    best = {
        name: {key: min(each[key] for each in runs) for key in runs[0]}
        for name, runs in results.items()
    }
    for name, row in best.items():
        print(
            f"{name:>10}: wall {row['wall']:.2f} s, CPU {row['cpu']:.2f} s,"
            f" peak {row['memory'] / size:.2f} x the raw file"
        )
    for key in ("wall", "cpu"):
        print(f"ratio {key}: {best['pandas'][key] / best['agentbench'][key]:.1f}")


def look_up() -> None:
    """The whole catalogue in a fresh process, imports and all, less a bare interpreter's start."""
    bare, whole = (min(started(code) for _ in range(5)) for code in ("", CATALOGUE))
    print(f"the whole catalogue, cold: {whole - bare:.2f} s (and {bare:.2f} s of bare Python)")
    subprocess.run([sys.executable, "-c", LOAD], check=True)


def started(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
