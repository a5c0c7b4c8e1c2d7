from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from agentbench_scoring import InvalidSubmissionError
from agentbench_tasks import (
    ChangedDataError,
    PreparationError,
    PreparedTask,
    grade,
    load_task,
    prepare,
)

LITE = ["digits", "breast-cancer", "diabetes"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture(params=LITE)
def prepared(request: pytest.FixtureRequest, root: Path) -> PreparedTask:
    return prepare(load_task(request.param), root)


def answers(prepared: PreparedTask) -> pl.DataFrame:
    return pl.read_csv(prepared.private / "answers.csv")


def test_public_has_what_an_agent_needs_and_no_target(prepared: PreparedTask) -> None:
    names = {path.name for path in prepared.public.iterdir()}
    assert names == {"train.csv", "test.csv", "sample_submission.csv", "description.md"}
    test = pl.read_csv(prepared.public / "test.csv")
    assert not set(prepared.task.recipe.targets) & set(test.columns)
    assert set(prepared.task.recipe.targets) <= set(
        pl.read_csv(prepared.public / "train.csv").columns
    )
    assert test["id"].to_list() == answers(prepared)["id"].to_list()


def test_a_second_call_verifies_and_writes_nothing(prepared: PreparedTask, root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.path.rglob("*")}
    again = prepare(prepared.task, root)
    assert again.digest == prepared.digest
    assert before == {path: path.stat().st_mtime_ns for path in prepared.path.rglob("*")}


def test_preparing_elsewhere_gives_the_same_digest(prepared: PreparedTask, tmp_path: Path) -> None:
    assert prepare(prepared.task, tmp_path).digest == prepared.digest


def test_answers_are_perfect_and_the_sample_is_the_trivial_anchor(prepared: PreparedTask) -> None:
    task = prepared.task
    perfect = grade(prepared, answers(prepared).drop("part"))
    assert perfect.score == {"accuracy": 1.0, "roc_auc": 1.0, "rmse": 0.0}[task.metric.name]
    assert perfect.progress == 1.0
    sample = grade(prepared, prepared.public / "sample_submission.csv")
    assert task.anchors.trivial is not None
    assert sample.score == pytest.approx(task.anchors.trivial.value, abs=1e-5)
    assert sample.margin == pytest.approx(0.0, abs=1e-4)


def test_parts_are_disjoint_and_cover_all(prepared: PreparedTask) -> None:
    sample = prepared.public / "sample_submission.csv"
    sizes = {part: grade(prepared, sample, part=part).n for part in ("public", "private", "all")}
    assert sizes["public"] + sizes["private"] == sizes["all"]
    assert sizes["public"] / sizes["all"] == pytest.approx(0.3, abs=0.02)


def test_every_row_counts_whatever_the_part(prepared: PreparedTask) -> None:
    table = answers(prepared)
    private_only = table.filter(pl.col("part") == "private").drop("part")
    with pytest.raises(InvalidSubmissionError, match="ids are missing"):
        grade(prepared, private_only, part="private")


def test_order_of_rows_does_not_matter(prepared: PreparedTask) -> None:
    table = answers(prepared).drop("part")
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=3)
    assert grade(prepared, shuffled).score == grade(prepared, table).score


@pytest.mark.parametrize("damage", ["change", "delete", "add"])
def test_a_changed_prepared_file_is_named(tmp_path: Path, damage: str) -> None:
    prepared = prepare(load_task("diabetes"), tmp_path)
    path = prepared.public / ("extra.csv" if damage == "add" else "train.csv")
    if damage == "delete":
        path.unlink()
    else:
        path.write_text("1\n", "utf-8")
    with pytest.raises(ChangedDataError, match=path.name):
        prepare(prepared.task, tmp_path)


def test_another_definition_of_a_version_is_refused(tmp_path: Path) -> None:
    task = load_task("diabetes")
    prepare(task, tmp_path)
    with pytest.raises(PreparationError, match="another definition"):
        prepare(task.model_copy(update={"title": "other"}), tmp_path)


def test_a_failed_preparation_leaves_nothing(tmp_path: Path) -> None:
    task = load_task("diabetes")
    broken = task.model_copy(
        update={"recipe": task.recipe.model_copy(update={"sample": {"elsewhere": 0}})}
    )
    with pytest.raises(PreparationError, match="sample lacks column progression"):
        prepare(broken, tmp_path)
    assert list((tmp_path / "diabetes").iterdir()) == []


def test_two_at_once_end_with_one_result(tmp_path: Path) -> None:
    task = load_task("diabetes")
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(prepare, task, tmp_path) for _ in range(4)]
        done = [call.result() for call in calls]
    assert len({each.digest for each in done}) == 1
    assert [path.name for path in (tmp_path / "diabetes").iterdir()] == ["v1"]
