"""Measure the anchors of the lite research tasks and print them as a table and as YAML.

    uv run python packages/agents/benchmarks/research_anchors.py [--instances 3] [--task NAME ...]

An instance is a data seed (1, 2, ...). Baseline and reference run through the protocol, in fresh
sandboxes of one core. Separation is (reference - baseline) / paired jackknife standard error on the
test units; a margin interval is that of a method that scores as the reference does.
"""

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from agentbench_agents.protocol import Runner, pristine_snapshot, reference_snapshot
from agentbench_sandbox import Limits, Mount, Sandbox, open_sandbox
from agentbench_tasks import load_research, prepare_research, research_names
from agentbench_tasks.research_score import difference_se


def measure(name: str, seed: int, root: Path) -> dict[str, Any]:
    task = load_research(name)
    began = time.monotonic()
    prepared = prepare_research(task, root / str(seed), seed=seed)
    row = {"task": name, "seed": seed, "prepare_s": round(time.monotonic() - began, 1)}
    limits = Limits(memory_mib=task.resources.memory_mib, disk_mib=task.resources.disk_mib, cpus=1)

    def opened(mounts: tuple[Mount, ...]) -> Sandbox:
        return open_sandbox("local", mounts=mounts, limits=limits, hide=task.hide)

    runner = Runner(prepared=prepared, open_sandbox=opened)
    runs = {}
    for kind, snapshot, method in (
        ("baseline", pristine_snapshot(task), task.baseline_method),
        ("reference", reference_snapshot(task), "strong"),
    ):
        for phase in ("dev", "test"):
            run = runner.run(snapshot, method, phase)
            assert run.evaluation is not None, (name, kind, phase, run.reason, run.output)
            runs[kind, phase] = run
            row[f"{kind}_{phase}"] = run.score
            row[f"{kind}_{phase}_se"] = run.evaluation.se
            row[f"{kind}_{phase}_s"] = round(run.seconds, 2)
    again = runner.run(reference_snapshot(task), "strong", "test")
    row["rerun_equal"] = again.score == runs["reference", "test"].score
    for phase in ("dev", "test"):
        ref, base = (runs[kind, phase].evaluation for kind in ("reference", "baseline"))
        row[f"separation_{phase}"] = (ref.value - base.value) / difference_se(ref, base)
    return row


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--task", action="append")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.task or [n for n in research_names() if load_research(n).lite]:
            for seed in range(1, args.instances + 1):
                rows.append(measure(name, seed, Path(scratch)))
                print(json.dumps(rows[-1]), flush=True)
                if args.out is not None:
                    args.out.write_text(json.dumps(rows, indent=1))
    today = datetime.now(UTC).date()
    for name in dict.fromkeys(r["task"] for r in rows):
        mine = [r for r in rows if r["task"] == name]
        print(f"{name}:\nanchors:")
        for kind, source in (
            ("baseline", "starter repository, by benchmarks/research_anchors.py"),
            ("reference", "reference/strong.py, by benchmarks/research_anchors.py"),
        ):
            print(f"  {kind}:")
            for phase in ("dev", "test"):
                values = [r[f"{kind}_{phase}"] for r in mine]
                spread = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
                print(f"    {phase}: {{value: {fmean(values):.4f}, se: {spread:.4f}}}")
            seconds = fmean(r[f"{kind}_test_s"] for r in mine)
            print(f"    runtime_s: {seconds:.1f}\n    source: {source}")
            print(f"    date: {today}\n    instances: {len(mine)}")


if __name__ == "__main__":
    main()
