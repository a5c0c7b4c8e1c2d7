"""The starter repositories of the full tasks, run and scored on stand-ins of their data."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from agentbench_agents.protocol import Runner, Snapshot, pristine_snapshot
from agentbench_agents.research_result import InstanceAnchors, instance_anchors, outcome
from agentbench_sandbox import Limits, Mount, Sandbox, open_sandbox
from agentbench_tasks import (
    Evaluation,
    PreparedResearch,
    load_research,
    prepare_research,
    research_names,
)
from agentbench_tasks.research import Phase
from agentbench_tasks.research_data import task_module

FULL = [name for name in research_names() if not load_research(name).lite]
TORCH = (
    "backdoor-trigger-recovery",
    "cross-domain-meta-learning",
    "llm-merging",
    "machine-unlearning",
)
SHORTER = {
    "backdoor-trigger-recovery": [("5, 20, 64, 64, 4", "3, 2, 8, 8, 1")],
    "cross-domain-meta-learning": [("2000, 5, 5, 10", "2, 3, 2, 2")],
}


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for folder, values in (
            ("unlearning", {"EPOCHS": 1}),
            ("meta_learning", {"TASKS": 3, "SIDE": 32}),
            ("backdoor", {"NEW_TOKENS": 6}),
        ):
            module = import_module(f"agentbench_tasks.research_tasks.{folder}.full")
            for name, value in values.items():
                patch.setattr(module, name, value)
        yield


def prepared_from_stand_in(name: str, root: Path) -> PreparedResearch:
    task = load_research(name)
    task_module(task, "stand_in").write(root / "raw", np.random.default_rng(0))
    return prepare_research(task, root / "data", seed=1, raw=root / "raw")


def runner_of(prepared: PreparedResearch) -> Runner:
    limits = Limits(memory_mib=4096, disk_mib=1024, cpus=1)

    def opened(mounts: tuple[Mount, ...]) -> Sandbox:
        return open_sandbox("local", mounts=mounts, limits=limits, hide=prepared.task.hide)

    return Runner(prepared=prepared, open_sandbox=opened)


def quick(prepared: PreparedResearch) -> Snapshot:
    """The baseline with fewer steps."""
    source = prepared.task.starter()["methods/baseline.py"].decode()
    for long, short in SHORTER.get(prepared.task.name, ()):
        assert long in source
        source = source.replace(long, short)
    return pristine_snapshot(prepared.task, {"methods/baseline.py": source.encode()})


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in TORCH else []) for n in FULL],
)
def test_the_starter_repository_runs_and_is_scored(name: str, tmp_path: Path) -> None:
    prepared = prepared_from_stand_in(name, tmp_path)
    runner, snapshot = runner_of(prepared), quick(prepared)
    runs = [runner.run(snapshot, "baseline", phase) for phase in ("dev", "test")]
    for run in runs:
        assert run.status == "ok", (run.reason, run.output)
        assert run.score is not None
        assert run.score >= -1
    if name not in TORCH:  # a minute each
        assert runner.run(snapshot, "baseline", "test").score == runs[1].score


def test_people_are_the_reference_of_a_full_task(tmp_path: Path) -> None:
    prepared = prepared_from_stand_in("temporal-action-localisation", tmp_path)
    runner = runner_of(prepared)
    nothing = "class Baseline:\n    def __init__(self, name): pass\n    def fit(self, *_): pass\n"
    nothing += "    def predict(self, videos): return [(0, 0, 0, 1e-6, 1)]\n"
    snapshot = pristine_snapshot(prepared.task, {"methods/baseline.py": nothing.encode()})
    none, base = (
        runner.run(s, "baseline", "test") for s in (snapshot, pristine_snapshot(prepared.task))
    )
    assert none.evaluation is not None
    assert base.evaluation is not None
    human = Evaluation(value=0.4859, n=0, replicates=())
    worst: dict[Phase, Evaluation] = {"dev": none.evaluation, "test": none.evaluation}
    anchors = InstanceAnchors(baseline=worst, reference={"test": human})
    found = outcome(
        prepared,
        anchors,
        snapshot=snapshot,
        method="baseline",
        dev=0.1,
        tested=base,
        baseline=none,
    )
    assert found.reference == 0.4859
    assert found.margin == pytest.approx(100 * base.evaluation.value / 0.4859)
    assert found.margin_low is not None
    assert found.margin_low < (found.margin or 0.0)
    assert anchors.progress("dev", 0.4859 / 2) == pytest.approx(0.5)


def test_without_a_reference_there_is_no_margin(tmp_path: Path) -> None:
    prepared = prepared_from_stand_in("rainfall-nowcasting", tmp_path)
    task = prepared.task.model_copy(update={"anchors": type(prepared.task.anchors)()})
    prepared = replace(prepared, task=task)
    runner = runner_of(prepared)
    anchors = instance_anchors(runner)
    assert not anchors.reference
    run = runner.run(pristine_snapshot(task), "baseline", "test")
    found = outcome(
        prepared,
        anchors,
        snapshot=pristine_snapshot(task),
        method="baseline",
        dev=0.0,
        tested=run,
        baseline=run,
    )
    assert found.margin is None
    assert found.level is None
    assert found.absolute_improvement == 0.0
    assert anchors.progress("test", found.test or 0.0) == 0.0
