import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from agentbench_tasks import (
    ChangedDataError,
    InvalidOutputError,
    PreparationError,
    UnknownTaskError,
    load_research,
    prepare_research,
    research_names,
    score_outputs,
)
from agentbench_tasks.research import ResearchTask
from agentbench_tasks.research_data import Instance, generator
from agentbench_tasks.research_score import (
    Evaluation,
    OutputReader,
    Statistic,
    difference_se,
    evaluate,
    jackknife_se,
)
from agentbench_tasks.research_tasks import transformer
from agentbench_tasks.research_tasks.meta_learning import lite as meta_learning
from agentbench_tasks.research_tasks.rainfall import lite as rainfall
from agentbench_tasks.research_tasks.recommendation import lite as recommendation

LITE = [name for name in research_names() if load_research(name).lite]
QUICK = (
    "rainfall-nowcasting-lite",
    "product-recommendation-lite",
    "temporal-action-localisation-lite",
)


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rainfall, "SCENES", {"train": 4, "dev": 3, "test": 3})
    monkeypatch.setattr(recommendation, "SESSIONS", {"train": 300, "dev": 50, "test": 50})


def assert_same(a: Instance, b: Instance, *, same: bool) -> None:
    equal = [
        np.array_equal(getattr(a, f.name)[k], getattr(b, f.name)[k])
        for f in fields(a)
        for k in getattr(a, f.name)
    ]
    assert all(equal) if same else not all(equal)


@pytest.mark.parametrize("name", QUICK)
def test_a_seed_draws_the_same_instance(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    draw = generator(load_research(name))
    first = draw(np.random.SeedSequence(5))
    assert_same(first, draw(np.random.SeedSequence(5)), same=True)
    assert_same(first, draw(np.random.SeedSequence(6)), same=False)


@pytest.mark.parametrize("name", research_names())
def test_every_task_is_whole(name: str) -> None:
    task = load_research(name)
    assert {"main.py", "task.py", "README.md", "methods/baseline.py"} <= set(task.starter())
    assert "agentbench_tasks" in task.hide
    assert task.background
    assert task.suites == ("research-lite" if task.lite else "research",)
    if task.lite:
        assert set(task.reference()) == {"methods/strong.py", "methods/__init__.py"}
        assert b"strong" not in b"".join(task.starter().values())
        assert not task.anchors.human
    else:
        assert not task.reference()
        assert task.known_issues
        assert task.resources.gpu_memory_mib in (16384, 49152)


def test_there_are_seven_tasks_twice() -> None:
    assert len(LITE) == 7
    assert sorted(research_names()) == sorted([*LITE, *(n.removesuffix("-lite") for n in LITE)])
    families = {name: load_research(name).family for name in research_names()}
    assert len(set(families.values())) == 7
    assert all(families[n] == families[n.removesuffix("-lite")] for n in LITE)


def test_prepare_again_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    task = load_research(QUICK[0])
    prepared = prepare_research(task, tmp_path)
    assert prepare_research(task, tmp_path).digest == prepared.digest
    with pytest.raises(PreparationError, match="another seed"):
        prepare_research(task, tmp_path, seed=1)
    with pytest.raises(PreparationError, match="another definition"):
        prepare_research(task.model_copy(update={"title": "Other"}), tmp_path)
    (prepared.train / "rain.npy").write_bytes(b"")
    with pytest.raises(ChangedDataError, match=r"rain\.npy has changed"):
        prepare_research(task, tmp_path)
    assert not list(prepared.path.parent.glob(".making*"))


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownTaskError, match="rainfall-nowcasting-lite"):
        load_research("rain")


def test_a_lite_task_has_no_human_reference() -> None:
    record = load_research(QUICK[0]).model_dump()
    record["anchors"] = {**record["anchors"], "human": True}
    with pytest.raises(ValidationError, match="no human reference"):
        ResearchTask.model_validate(record)


@pytest.mark.parametrize("name", QUICK)
def test_perfect_outputs_score_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    prepared = prepare_research(load_research(name), tmp_path / "data", seed=3)
    labels = prepared.labels("test")
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    if name.startswith("rainfall"):
        np.save(outputs / "rain.npy", np.load(labels / "rain.npy"))
    elif name.startswith("product"):
        item = np.load(labels / "next_item.npy")
        np.save(outputs / "predictions.npy", np.c_[item, np.full((len(item), 99), -1)])
    else:
        segments = np.load(labels / "segments.npy")
        np.save(outputs / "detections.npy", np.c_[segments, np.ones(len(segments))])
    found = score_outputs(prepared, "test", outputs)
    assert found.value == 1.0
    assert found.se == 0.0


def test_jackknife_of_a_mean_is_the_standard_error() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(20)
    statistic = Statistic(n=20, value=lambda units: float(x[units].mean()))
    assert evaluate(statistic).se == pytest.approx(x.std(ddof=1) / math.sqrt(20))
    assert jackknife_se([1.0]) == 0.0


def test_differences_are_paired() -> None:
    a = Evaluation(value=1.0, n=3, replicates=(1.0, 2.0, 3.0))
    b = Evaluation(value=0.0, n=3, replicates=(0.0, 1.0, 2.0))
    assert difference_se(a, b) == 0.0
    with pytest.raises(ValueError, match="not paired"):
        difference_se(a, Evaluation(value=0.0, n=4, replicates=(0.0, 1.0, 2.0)))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3)), "has shape"),
        (np.array(["a", "b"]), "expected float"),
        (np.array([1.0, np.nan]), "NaN"),
        (np.array([1.0, np.inf]), "infinite"),
        (np.array([1j, 2j]), "expected float"),
        (np.array([True, False]), "expected float"),
    ],
)
def test_outputs_of_the_wrong_kind(tmp_path: Path, array: object, message: str) -> None:
    np.save(tmp_path / "x.npy", array)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidOutputError, match=message):
        OutputReader(tmp_path, 1000)("x", (2,))


def test_outputs_that_are_missing_or_large(tmp_path: Path) -> None:
    read = OutputReader(tmp_path, 200)
    with pytest.raises(InvalidOutputError, match="wrote no"):
        read("x", (2,))
    (tmp_path / "x.npy").symlink_to("/etc/passwd")
    with pytest.raises(InvalidOutputError, match="wrote no"):
        read("x", (2,))
    np.save(tmp_path / "y.npy", np.zeros(100))
    with pytest.raises(InvalidOutputError, match="are allowed"):
        read("y", (100,))
    np.save(tmp_path / "z.npy", np.array([1.5, 2.5]))
    with pytest.raises(InvalidOutputError, match="expected int"):
        read("z", (2,), "int")


def test_the_transformers_gradient_is_right() -> None:
    rng = np.random.default_rng(0)
    params = {k: v.astype(np.float64) for k, v in transformer.init(rng, 11, 7, 16, 2).items()}
    x, y, w = rng.integers(0, 11, (3, 6)), rng.integers(0, 11, (3, 6)), np.ones((3, 6))

    def loss() -> float:
        return transformer.cross_entropy(transformer.forward(params, x)[0], y, w)[0]

    logits, tape = transformer.forward(params, x)
    grads, _ = transformer.backward(params, tape, transformer.cross_entropy(logits, y, w)[1])
    for name, array in params.items():
        shape: tuple[int, ...] = array.shape
        place = tuple(int(rng.integers(0, n)) for n in shape)
        kept, h = array[place], 1e-5
        array[place] = kept + h
        above = loss()
        array[place] = kept - h
        below = loss()
        array[place] = kept
        assert grads[name][place] == pytest.approx((above - below) / (2 * h), abs=2e-6, rel=1e-3)


def test_the_transformer_does_not_look_ahead() -> None:
    rng = np.random.default_rng(1)
    params = transformer.init(rng, 11, 7, 16, 2)
    x = rng.integers(0, 11, (1, 6))
    changed = x.copy()
    changed[0, 4:] = (changed[0, 4:] + 1) % 11
    a, b = (transformer.forward(params, t)[0][:, :4] for t in (x, changed))
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", LITE)
def test_anchors_separate(name: str) -> None:
    anchors = load_research(name).anchors
    assert anchors.baseline is not None
    assert anchors.reference is not None
    assert anchors.ceiling is not None
    assert anchors.baseline.instances == anchors.reference.instances >= 3
    gap = anchors.reference.test.value - anchors.baseline.test.value
    spread = math.hypot(anchors.reference.test.se or 0.0, anchors.baseline.test.se or 0.0)
    assert gap > 4 * spread


def test_no_few_shot_image_occurs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta_learning, "TASKS_PER_DOMAIN", {"dev": 3, "test": 3})
    drawn = meta_learning.generate(np.random.SeedSequence(0))
    for part in (drawn.dev, drawn.test):
        images = [*part["support"], *part["query"]]
        assert len({image.tobytes() for image in images}) == len(images)
