"""The four lite tasks that take minutes, with models of a few steps: they run, repeat and resist.

How well their references do is measured by `benchmarks/research_anchors.py`; here nobody has
learnt anything.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentbench_agents.protocol import Runner, Snapshot, reference_snapshot
from agentbench_agents.testing import CHEAT
from agentbench_sandbox import Limits, Mount, Sandbox, open_sandbox
from agentbench_tasks import (
    InvalidOutputError,
    PreparedResearch,
    load_research,
    prepare_research,
    score_outputs,
)
from agentbench_tasks.research_data import read_arrays

SMALL: dict[str, dict[str, Any]] = {
    "backdoor": {"STEPS": 4, "BACKDOORS": 3, "PROMPTS": 6},
    "meta_learning": {"TASKS_PER_DOMAIN": {"dev": 2, "test": 2}, "IMAGES": 2},
    "merging": {"BASE_STEPS": 3, "EXPERT_STEPS": 2, "SHOWN": 12, "DEV": 20, "TEST": 20},
    "unlearning": {"MODELS": 6, "EPOCHS": 2, "NEW": 100},
}
SHORTER = {
    "backdoor": [
        ("steps, candidates = 10, 48", "steps, candidates = 1, 4"),
        ("range(4)", "(0,)"),
        ("3, 4, 3, 4, 3, 4", "3, 4"),
        ("= 4, 4, 1, 32, 8", "= 4, 1, 1, 4, 2"),
    ],
    "meta_learning": [("(24, 40)", "(24, 4)")],
    "merging": [("ANSWER, BATCH, STEPS = 5, 16, 240", "ANSWER, BATCH, STEPS = 5, 4, 3")],
    "unlearning": [("epochs=50", "epochs=1"), ("epochs=5,", "epochs=1,")],
}
NAMES = (
    "backdoor-trigger-recovery-lite",
    "cross-domain-meta-learning-lite",
    "llm-merging-lite",
    "machine-unlearning-lite",
)


@pytest.fixture(scope="module", params=NAMES)
def prepared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PreparedResearch]:
    task = load_research(request.param)
    with pytest.MonkeyPatch.context() as patch:
        module = import_module(f"agentbench_tasks.research_tasks.{task.folder}.lite")
        for name, value in SMALL[task.folder].items():
            patch.setattr(module, name, value)
        one, two = (prepare_research(task, tmp_path_factory.mktemp("d"), seed=1) for _ in "12")
        assert one.digest == two.digest
        yield one


def runner_of(prepared: PreparedResearch) -> Runner:
    limits = Limits(memory_mib=2048, disk_mib=128, cpus=1)

    def opened(mounts: tuple[Mount, ...]) -> Sandbox:
        return open_sandbox("local", mounts=mounts, limits=limits, hide=prepared.task.hide)

    return Runner(prepared=prepared, open_sandbox=opened, seed=5)


def submission(prepared: PreparedResearch) -> Snapshot:
    """Baseline and reference, with fewer steps."""
    files = {k: v.decode() for k, v in reference_snapshot(prepared.task).files.items()}
    for long, short in SHORTER[prepared.task.folder]:
        assert any(long in source for source in files.values())
        files = {name: source.replace(long, short) for name, source in files.items()}
    return Snapshot({name: source.encode() for name, source in files.items()})


def test_baseline_and_reference_run_and_a_seeded_rerun_is_equal(
    prepared: PreparedResearch,
) -> None:
    runner, snapshot = runner_of(prepared), submission(prepared)
    for method in ("baseline", "strong"):
        runs = [runner.run(snapshot, method, phase) for phase in ("dev", "test", "test")]
        for run in runs:
            assert run.status == "ok", (run.reason, run.output)
            assert run.evaluation is not None
            assert run.evaluation.replicates
            assert not run.remarks
        assert runs[1].evaluation == runs[2].evaluation


def test_a_cheater_scores_as_the_baseline(prepared: PreparedResearch) -> None:
    runner, files = runner_of(prepared), submission(prepared).files
    honest = runner.run(Snapshot(files), "baseline", "dev")
    attack = {k: v.encode() for k, v in CHEAT.items() if k.startswith("methods/")}
    cheat = runner.run(Snapshot({**files, **attack}), "cheat", "dev")
    assert cheat.score == honest.score is not None
    assert "labels at" not in cheat.output
    remarks = " ".join(cheat.remarks)
    for part in ("main.py was changed, by the method", "result.json was added", "module np"):
        assert part in remarks


def outputs_of(prepared: PreparedResearch) -> dict[str, np.ndarray[Any, Any]]:
    """Valid outputs for the development inputs, right where the right ones are known."""
    inputs, labels = (read_arrays(f("dev")) for f in (prepared.inputs, prepared.labels))
    match prepared.task.folder:
        case "backdoor":
            return {"triggers": np.stack([labels["triggers"]] * 2, 1)}
        case "meta_learning":
            return {"predictions": labels["query_label"]}
        case "merging":
            return {k[5:]: v for k, v in inputs.items() if k.startswith("base.")}
        case _:
            return {k: v for k, v in inputs.items() if k[0] in "wb" and k[1:].isdigit()}


def score_of(prepared: PreparedResearch, outputs: dict[str, Any], folder: Path) -> float:
    for name, array in outputs.items():
        np.save(folder / f"{name}.npy", array)
    return score_outputs(prepared, "dev", folder).value


def test_the_truth_scores_what_it_deserves(prepared: PreparedResearch, tmp_path: Path) -> None:
    found = score_of(prepared, outputs_of(prepared), tmp_path)
    match prepared.task.folder:
        case "backdoor":
            assert found >= 50  # all recall, whatever the model has learnt
        case "meta_learning":
            assert found == pytest.approx(1.0)
        case _:
            assert 0 <= found <= 1


@pytest.mark.parametrize("attack", ["a row less", "one more dimension", "NaN", "texts", "missing"])
def test_outputs_of_another_form_are_refused(
    attack: str, prepared: PreparedResearch, tmp_path: Path
) -> None:
    outputs: dict[str, Any] = dict(outputs_of(prepared))
    name = min(outputs)
    array = outputs.pop(name)
    spoilt: dict[str, Any] = {
        "a row less": array[:-1],
        "one more dimension": array[None],
        "NaN": np.where(array == array.flat[0], np.nan, array.astype(float)),
        "texts": array.astype(str),
    }
    if attack in spoilt:
        outputs[name] = spoilt[attack]
    with pytest.raises(InvalidOutputError, match=name):
        score_of(prepared, outputs, tmp_path)


@pytest.mark.parametrize("extreme", [1e308, -1e308, 5e-324, 2.0**62, -(2.0**62)])
def test_extreme_numbers_are_scored_or_refused(
    extreme: float, prepared: PreparedResearch, tmp_path: Path
) -> None:
    whole = prepared.task.folder in ("backdoor", "meta_learning")
    number = np.int64(np.clip(extreme, -(2.0**62), 2.0**62)) if whole else np.float64(extreme)
    spoilt = {k: np.full(v.shape, number) for k, v in outputs_of(prepared).items()}
    with np.errstate(all="ignore"):
        try:
            most = 100 if prepared.task.folder == "backdoor" else 1  # it is in percent
            assert -1 <= score_of(prepared, spoilt, tmp_path) <= most
        except InvalidOutputError as error:
            assert "word numbers above" in str(error)  # noqa: PT017 - both may happen
