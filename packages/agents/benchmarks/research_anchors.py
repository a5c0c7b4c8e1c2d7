"""Measure the anchors of the lite research tasks; write them into task files and documentation.

    uv run python packages/agents/benchmarks/research_anchors.py --out rows.json [--instances 3]
        [--task NAME ...] [--write]

An instance is a data seed (1, 2, ...). Baseline and reference run through the protocol, in fresh
sandboxes of one core. Separation is (reference - baseline) / paired jackknife standard error on the
test units, the smallest over instances; the interval is that of a method that scores as the
reference does. Rows that `--out` holds already are not measured again. `--write` puts the means
into `research_tasks/*-lite.yaml` and their rows into the table of `docs/research.md`.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from agentbench_agents.protocol import Runner, pristine_snapshot, reference_snapshot
from agentbench_agents.research_result import InstanceAnchors, outcome
from agentbench_sandbox import Limits, Mount, Sandbox, open_sandbox
from agentbench_tasks import load_research, prepare_research, research_names
from agentbench_tasks.research_data import PreparedResearch, read_arrays
from agentbench_tasks.research_score import difference_se
from agentbench_tasks.research_tasks import ensemble, transformer
from agentbench_tasks.research_tasks.backdoor import lite as backdoor
from agentbench_tasks.research_tasks.unlearning import lite as unlearning
from agentbench_tasks.research_tasks.unlearning import score as unlearning_score

ROOT = Path(__file__).parents[3]
TASKS = ROOT / "packages/tasks/src/agentbench_tasks/research_tasks"
Arrays = dict[str, np.ndarray[Any, Any]]


def experts_by_task(inputs: Arrays, labels: Arrays) -> float:
    """Every expert asked its own task: what no merged model needs to lose."""
    right = []
    for i, (prompts, answers) in enumerate(zip(labels["prompts"], labels["answers"], strict=True)):
        expert = {k.split(".", 1)[1]: v for k, v in inputs.items() if k.startswith(f"expert{i}.")}
        right.append((transformer.decode(expert, prompts, answers.shape[1]) == answers).mean())
    return float(np.mean(right))


def retraining(inputs: Arrays, labels: Arrays) -> float:
    """Networks retrained without the forget set, from other seeds, in place of unlearned ones."""
    rng = np.random.default_rng(0)
    sizes = (unlearning.FEATURES, unlearning.HIDDEN, unlearning.HIDDEN, unlearning.CLASSES)
    weights = ensemble.train(
        ensemble.init(rng, unlearning.MODELS, sizes),
        labels["all_retain_x"],
        labels["all_retain_y"],
        rng,
        unlearning.EPOCHS,
    )

    def read(name: str, _: object) -> np.ndarray[Any, Any]:
        return weights[name]

    statistic = unlearning_score.statistic(labels=labels, inputs=inputs, read=read)
    return statistic.value(np.arange(statistic.n))


def true_triggers(inputs: Arrays, labels: Arrays) -> float:
    """The triggers themselves."""
    params = {k[6:]: v for k, v in inputs.items() if k.startswith("model.")}
    said = [
        (backdoor.answer(params, labels["prompts"], t[t >= 0]) == target).all(1).mean()
        for t, target in zip(labels["triggers"], inputs["targets"], strict=True)
    ]
    return float(50 * (1 + np.mean(said)))


CEILINGS: dict[str, Callable[[Arrays, Arrays], float]] = {
    "merging": experts_by_task,
    "unlearning": retraining,
    "backdoor": true_triggers,
}


def ceiling(prepared: PreparedResearch) -> float:
    """The best that is known to be possible on test; 1, the metric's own, where nothing else is."""
    known = CEILINGS.get(prepared.task.folder)
    if known is None:
        return 1.0
    return known(read_arrays(prepared.inputs("test")), read_arrays(prepared.labels("test")))


def measure(name: str, seed: int, root: Path) -> dict[str, Any]:
    task = load_research(name)
    began = time.monotonic()
    prepared = prepare_research(task, root / str(seed), seed=seed)
    row = {"task": name, "version": task.version, "seed": seed}
    row["prepare_s"] = round(time.monotonic() - began, 1)
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
    for kind, snapshot, method in (
        ("baseline", pristine_snapshot(task), task.baseline_method),
        ("reference", reference_snapshot(task), "strong"),
    ):
        again = runner.run(snapshot, method, "test")
        row[f"{kind}_rerun_equal"] = again.score == runs[kind, "test"].score
    for phase in ("dev", "test"):
        ref, base = (runs[kind, phase].evaluation for kind in ("reference", "baseline"))
        row[f"separation_{phase}"] = (ref.value - base.value) / difference_se(ref, base)
    anchors = InstanceAnchors(
        **{
            k: {p: runs[k, p].evaluation for p in ("dev", "test")}
            for k in ("baseline", "reference")
        }
    )
    for kind, method in (("baseline", task.baseline_method), ("reference", "strong")):
        margins = outcome(
            prepared,
            anchors,
            snapshot=pristine_snapshot(task),
            method=method,
            dev=runs[kind, "dev"].score,
            tested=runs[kind, "test"],
            baseline=runs["baseline", "test"],
        )
        row[f"{kind}_margin"] = margins.margin
    base, ref = row["baseline_test"], row["reference_test"]
    row["half_width"] = 100 * 1.96 / row["separation_test"]
    row["ceiling"] = ceiling(prepared)
    row["ceiling_margin"] = 100 * (row["ceiling"] - base) / (ref - base)
    return row


def anchors_text(mine: list[dict[str, Any]]) -> str:
    """The anchors of one task as YAML."""
    today, lines = datetime.now(UTC).date(), ["anchors:"]
    for kind, source in (
        ("baseline", "starter repository, by packages/agents/benchmarks/research_anchors.py"),
        ("reference", "reference/strong.py, by packages/agents/benchmarks/research_anchors.py"),
        ("ceiling", "see docs/research.md, by packages/agents/benchmarks/research_anchors.py"),
    ):
        lines.append(f"  {kind}:")
        for phase in ("dev", "test"):
            values = [r[kind if kind == "ceiling" else f"{kind}_{phase}"] for r in mine]
            spread = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
            if kind != "ceiling" or phase == "test":
                lines.append(f"    {phase}: {{value: {fmean(values):.4f}, se: {spread:.4f}}}")
        if kind != "ceiling":
            seconds = min(r[f"{kind}_test_s"] for r in mine)
            lines.append(f"    runtime_s: {max(0.1, seconds):.1f}")
        lines += [f"    source: {source}", f"    date: {today}", f"    instances: {len(mine)}"]
    return "\n".join(lines) + "\n"


def table_row(name: str, mine: list[dict[str, Any]]) -> str:
    """A line of the table in docs/research.md."""
    runs = ("baseline", "reference")
    big = mine[0]["ceiling"] > 1
    form = ".1f" if big else ".3f"

    def mean(key: str) -> str:
        return format(fmean(r[key] for r in mine), form)

    cells = [
        name,
        load_research(name).metric.name,
        str(len(mine)),
        f"{mean('baseline_dev')} / {mean('baseline_test')}",
        f"{mean('reference_dev')} / {mean('reference_test')}",
        mean("ceiling"),
        f"{min(r['separation_test'] for r in mine):.1f}",
        f"± {max(r['half_width'] for r in mine):.0f} %",
        # the instance that the rest of the machine disturbed least
        " / ".join(f"{min(r[f'{k}_test_s'] for r in mine):.1f}" for k in runs),
        f"{min(r['prepare_s'] for r in mine):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def write(rows: list[dict[str, Any]]) -> None:
    """Put the means into the task files and their rows into the table of the documentation."""
    page = ROOT / "docs/research.md"
    text = page.read_text()
    for name in dict.fromkeys(r["task"] for r in rows):
        mine = [r for r in rows if r["task"] == name]
        made = table_row(name, mine)
        text, found = re.subn(rf"^\| {name} \|.*$", lambda _: made, text, flags=re.MULTILINE)  # noqa: B023
        assert found == 1, f"docs/research.md has {found} rows for {name}"
        path = TASKS / f"{name}.yaml"
        task = path.read_text()
        path.write_text(task[: task.index("anchors:")] + anchors_text(mine))
    page.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--task", action="append")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = json.loads(args.out.read_text()) if args.out.exists() else []
    lite = [n for n in research_names() if load_research(n).lite]
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.task or lite:
            for seed in range(1, args.instances + 1):
                if any((r["task"], r["seed"]) == (name, seed) for r in rows):
                    continue
                rows.append(measure(name, seed, Path(scratch)))
                print(json.dumps(rows[-1]), flush=True)
                args.out.write_text(json.dumps(rows, indent=1))
    if args.write:
        write(sorted(rows, key=lambda r: (lite.index(r["task"]), r["seed"])))


if __name__ == "__main__":
    main()
