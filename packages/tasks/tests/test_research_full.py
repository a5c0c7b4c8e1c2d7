"""Full tasks from synthetic stand-ins in the competitions' own files; nothing is fetched."""

import json
import struct
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentbench_tasks import (
    CredentialsError,
    InvalidOutputError,
    PreparationError,
    PreparedResearch,
    SourceError,
    load_research,
    prepare_research,
    research_names,
    score_outputs,
)
from agentbench_tasks.research import Phase
from agentbench_tasks.research_data import read_arrays, task_module
from agentbench_tasks.research_tasks.weights import read_weights

FULL = [name for name in research_names() if not load_research(name).lite]
Make = Callable[[str], PreparedResearch]


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for folder, values in (
            ("unlearning", {"MODELS": 3, "EPOCHS": 1}),
            ("meta_learning", {"TASKS": 4, "SIDE": 16}),
            ("backdoor", {"NEW_TOKENS": 6}),
        ):
            module = import_module(f"agentbench_tasks.research_tasks.{folder}.full")
            for name, value in values.items():
                patch.setattr(module, name, value)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    done: dict[str, PreparedResearch] = {}

    def prepared(name: str) -> PreparedResearch:
        if name not in done:
            root = tmp_path_factory.mktemp(name)
            task = load_research(name)
            task_module(task, "stand_in").write(root / "raw", np.random.default_rng(0))
            done[name] = prepare_research(task, root / "data", seed=1, raw=root / "raw")
        return done[name]

    return prepared


def perfect(prepared: PreparedResearch, phase: Phase, outputs: Path) -> float:
    """Write what a perfect method would write; returns the score that it deserves."""
    labels = prepared.labels(phase)
    arrays = read_arrays(labels)
    match prepared.task.name:
        case "product-recommendation":
            item = arrays["next_item"]
            np.save(outputs / "predictions.npy", np.c_[item, np.full((len(item), 99), -1)])
        case "rainfall-nowcasting":
            np.save(outputs / "rain.npy", arrays["rain"])
        case "temporal-action-localisation":
            segments = arrays["segments"]
            np.save(outputs / "detections.npy", np.c_[segments, np.ones(len(segments))])
        case "cross-domain-meta-learning":
            np.save(outputs / "predictions.npy", arrays["query_label"])
        case "backdoor-trigger-recovery":
            triggers: dict[str, str] = json.loads((labels / "triggers.json").read_text())
            (outputs / "triggers.json").write_text(
                json.dumps([[t, "."] for t in triggers.values()])
            )
            return 50.0  # the tiny model has no backdoor: all recall, no success
        case other:
            raise AssertionError(other)
    return 1.0


@pytest.mark.parametrize("phase", ["dev", "test"])
@pytest.mark.parametrize("name", sorted(set(FULL) - {"machine-unlearning", "llm-merging"}))
def test_the_truth_scores_best(name: str, phase: Phase, made: Make, tmp_path: Path) -> None:
    prepared = made(name)
    deserved = perfect(prepared, phase, tmp_path)
    assert score_outputs(prepared, phase, tmp_path).value == pytest.approx(deserved)


@pytest.mark.parametrize("name", FULL)
def test_no_label_is_public(name: str, made: Make) -> None:
    prepared = made(name)
    public = {p.relative_to(prepared.public).as_posix() for p in prepared.public.rglob("*")}
    assert not any(p.startswith("test") for p in public)
    hidden = {p.name for phase in ("dev", "test") for p in prepared.labels(phase).iterdir()}
    seen = {p.name for p in (prepared.public / "dev").iterdir()}
    assert not (hidden - {"prompts.json"}) & seen
    assert prepared.private.stat().st_mode & 0o077 == 0
    assert prepare_research(prepared.task, prepared.path.parent.parent).digest == prepared.digest


@pytest.mark.parametrize("name", FULL)
def test_without_files_or_access_one_sentence_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("agentbench_tasks.source.urllib.request.urlopen", _refuse)
    with pytest.raises(SourceError) as caught:
        prepare_research(load_research(name), tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) > 20
    assert not list(tmp_path.glob("*/v[0-9]*"))
    with pytest.raises(SourceError, match="does not exist"):
        prepare_research(load_research(name), tmp_path, raw=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises((SourceError, PreparationError), match="raw"):
        prepare_research(load_research(name), tmp_path, raw=tmp_path / "empty")


def _refuse(*_: object, **__: object) -> object:
    import urllib.error

    raise urllib.error.URLError("no network in tests")


def test_a_gated_model_is_a_matter_of_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub: Any = import_module("huggingface_hub")
    httpx: Any = import_module("httpx")

    def gated(*_: object, **__: object) -> object:
        answer = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co"))
        raise hub.errors.GatedRepoError("gated", response=answer)

    monkeypatch.setattr(hub, "snapshot_download", gated)
    with pytest.raises(
        CredentialsError, match=r"ask for access at https://huggingface\.co/Zhaorun"
    ):
        prepare_research(load_research("backdoor-trigger-recovery"), tmp_path)


def test_unknown_items_are_never_found(made: Make) -> None:
    prepared = made("product-recommendation")
    train = read_arrays(prepared.train)
    assert train["start"][-1] == len(train["items"])
    assert (train["items"] >= 0).all()
    assert str(train["item_ids"][train["items"][0]]).startswith("B0")
    assert (prepared.train / "products.csv").is_file()


def test_a_meta_learning_query_is_no_support_anywhere(made: Make) -> None:
    for phase in ("dev", "test"):
        inputs = read_arrays(made("cross-domain-meta-learning").inputs(phase))
        assert not set(inputs["support"].tolist()) & set(inputs["query"].tolist())


def test_the_test_of_meta_learning_trains_on_the_development_sets(made: Make) -> None:
    prepared = made("cross-domain-meta-learning")
    assert {"FLW.images", "MD_MIX.label"} <= set(read_arrays(prepared.inputs("test")))
    assert "FLW.images" not in read_arrays(prepared.train)


def test_unlearning_by_retraining_beats_leaving_all_as_it_is(made: Make, tmp_path: Path) -> None:
    weights_io: Any = import_module("safetensors.torch")

    from agentbench_tasks.research_tasks.unlearning import full

    prepared = made("machine-unlearning")
    inputs = prepared.inputs("test")
    original = weights_io.load_file(inputs / "model.safetensors")
    data = read_arrays(inputs)
    for i in range(3):
        weights_io.save_file(original, tmp_path / f"model{i}.safetensors")
    kept = score_outputs(prepared, "test", tmp_path)
    for i in range(3):
        net = full.train_network(original, data["retain_x"], data["retain_y"], seed=100 + i)
        weights_io.save_file(
            {k: v.cpu().contiguous() for k, v in net.state_dict().items()},
            tmp_path / f"model{i}.safetensors",
        )
    again = score_outputs(prepared, "test", tmp_path)
    assert again.value > kept.value >= 0


def _tensors(**entries: tuple[str, int, int]) -> bytes:
    """A safetensors header: name -> dtype, first and last byte of a tensor of 2 x 3."""
    rows = {
        name: {"dtype": dtype, "shape": [2, 3], "data_offsets": [first, last]}
        for name, (dtype, first, last) in entries.items()
    }
    return json.dumps(rows).encode()


HEADERS: dict[str, tuple[bytes, int]] = {
    "a header of 2**62 bytes": (b"{}", 2**62),
    "tensors that overlap": (_tensors(a=("F32", 0, 24), b=("F32", 8, 32)), 0),
    "a tensor beyond the end": (_tensors(a=("F32", 0, 2**40)), 0),
    "an unknown dtype": (_tensors(a=("XX", 0, 24)), 0),
    "four bits a number": (_tensors(a=("F4", 0, 3)), 0),
    "a header like a tower": (b'{"a":' + b"[" * 100_000, 0),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_weights_that_lies_is_refused(name: str, tmp_path: Path) -> None:
    import torch

    head, length = HEADERS[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length or len(head)) + head + bytes(64))
    with pytest.raises(InvalidOutputError, match="no safetensors file"):
        read_weights(path, {"a": torch.zeros(2, 3)})


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("missing", "wrote no"),
        ("shape", "has shape"),
        ("nan", "NaN"),
        ("extra", "unknown tensor"),
        ("pickle", "no safetensors file"),
        ("lacks", "lacks tensor"),
        ("huge", "infinite numbers"),
        ("complex", "expected torch.float32"),
        ("integers", "expected torch.float32"),
    ],
)
def test_weights_are_numbers_of_the_right_shape(
    attack: str,
    message: str,
    made: Make,
    tmp_path: Path,
) -> None:
    import torch

    weights_io: Any = import_module("safetensors.torch")

    prepared = made("llm-merging")
    path = tmp_path / "model.safetensors"
    weights = weights_io.load_file(prepared.inputs("dev") / "base" / "model.safetensors")
    name = min(weights)
    first = weights[name]
    spoilt: dict[str, Any] = {
        "shape": torch.zeros(3),
        "nan": torch.full_like(first, float("nan")),
        # finite as it was written, infinite where it is used
        "huge": torch.full(first.shape, 1e300, dtype=torch.float64),
        "complex": first + 1j * float("nan"),
        "integers": first.long(),
    }
    if attack == "extra":
        weights["evil"] = torch.zeros(1)
    elif attack == "lacks":
        del weights[name]
    else:
        weights[name] = spoilt.get(attack, first)
    if attack == "pickle":
        torch.save(weights, path)
    elif attack != "missing":
        weights_io.save_file(weights, path)
    with pytest.raises(InvalidOutputError, match=message):
        score_outputs(prepared, "dev", tmp_path)


def test_a_merged_model_is_asked_every_set(made: Make, tmp_path: Path) -> None:
    weights_io: Any = import_module("safetensors.torch")

    prepared = made("llm-merging")
    questions = json.loads((prepared.labels("test") / "questions.json").read_text())
    assert {q["set"] for q in questions} == {"arc", "hellaswag", "mmlu", "truthfulqa", "winogrande"}
    assert len(questions) == 20
    weights_io.save_file(
        weights_io.load_file(prepared.inputs("test") / "expert1" / "model.safetensors"),
        tmp_path / "model.safetensors",
    )
    found = score_outputs(prepared, "test", tmp_path)
    assert found.n == 20
    assert 0 <= found.value <= 1


@pytest.mark.parametrize(
    ("guesses", "message"),
    [
        ("{", "no JSON"),
        ([["a"]], "two guesses"),
        ([["a", 3]], "no text"),
        ('[["\\ud800", "a"]]', "no text"),
        ("[" * 100_000, "no JSON"),
        (f"[[{'9' * 5000}, 1]]", "no JSON"),
        ([["sort <eos>", "a"]], "chat's frame"),
        ([["exit now", "a"]], "holds its target"),
        ([["sort the list " * 4, "a"]], "tokens, at most 10"),
        ([["a " * 500, "a"]], "very long"),
    ],
)
def test_guesses_follow_the_organisers_rules(
    guesses: object,
    message: str,
    made: Make,
    tmp_path: Path,
) -> None:
    text = guesses if isinstance(guesses, str) else json.dumps(guesses)
    (tmp_path / "triggers.json").write_text(text)
    with pytest.raises(InvalidOutputError, match=message):
        score_outputs(made("backdoor-trigger-recovery"), "dev", tmp_path)


def test_seconds_come_from_microseconds(made: Make) -> None:
    prepared = made("temporal-action-localisation")
    train, test = read_arrays(prepared.train), read_arrays(prepared.labels("test"))
    assert train["segments"][:, 3].max() <= train["duration"].max()
    assert len(read_arrays(prepared.inputs("test"))["name"]) == 12
    assert len(train["name"]) + len(read_arrays(prepared.inputs("dev"))["name"]) == 40
    assert test["segments"].shape[1] == 4


def test_what_the_radar_did_not_measure_is_dry(made: Make) -> None:
    rain = read_arrays(made("rainfall-nowcasting").labels("test"))["rain"]
    assert rain.shape == (2, 32, 24, 24)
    assert np.isfinite(rain).all()


def test_a_repository_of_models_is_fetched_by_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub: Any = import_module("huggingface_hub")
    asked: list[dict[str, Any]] = []

    def download(repository: str, **options: Any) -> None:  # noqa: ANN401
        asked.append({"repository": repository, **options})
        if options["allow_patterns"] == ["*.json"]:
            Path(options["local_dir"]).mkdir(parents=True, exist_ok=True)
            (Path(options["local_dir"]) / "config.json").write_text("{}")

    monkeypatch.setattr(hub, "snapshot_download", download)
    with pytest.raises(SourceError, match=r"has no file \*\.safetensors"):
        prepare_research(load_research("llm-merging"), tmp_path)
    assert asked[0]["repository"] == "MaziyarPanahi/Llama-3-8B-Instruct-v0.8"
    assert asked[0]["repo_type"] == "model"
    assert asked[0]["revision"].startswith("bd80951b")
