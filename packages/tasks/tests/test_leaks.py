"""Each leak class found in MLE-Dojo, planted in a clean task: the linter must name it."""

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest

from agentbench_tasks import PreparedTask, load_task, prepare
from agentbench_tasks.finding import MEANING, Code
from agentbench_tasks.lint import lint, lint_board

Plant = Callable[[PreparedTask], None]


def answers(prepared: PreparedTask) -> pl.DataFrame:
    table = pl.read_csv(prepared.private / "answers.csv", infer_schema=False)
    return table.drop("part").fill_null("")


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    table = change(pl.read_csv(path, infer_schema=False))
    table.write_csv(path)


def target_left_in_test(prepared: PreparedTask) -> None:
    """battlefin, benchmark-bond, bigquery-geotab, bnp-paribas, both quora, stumbleupon."""
    rewrite(prepared.public / "test.csv", lambda t: t.join(answers(prepared), on="Id"))


def target_under_another_name(prepared: PreparedTask) -> None:
    """nbme: the annotation text beside the hidden location."""
    renamed = answers(prepared).rename({"Cover_Type": "soil_note"})
    rewrite(prepared.public / "test.csv", lambda t: t.join(renamed, on="Id"))


def sample_is_the_answers(prepared: PreparedTask) -> None:
    """bioresponse, ashrae."""
    answers(prepared).write_csv(prepared.public / "sample_submission.csv")


def archive_left(prepared: PreparedTask) -> None:
    """loan-default, novozymes, nbme: the competition's own zip in public."""
    with zipfile.ZipFile(prepared.public / "data.bin", "w") as archive:
        archive.writestr("train.csv", "Id,Cover_Type\n")


def labels_of_everything(prepared: PreparedTask) -> None:
    """airbus: the mask table covers test images; smartphone, hubmap: truth among test files."""
    folder = prepared.public / "extra"
    folder.mkdir()
    table = answers(prepared).rename({"Id": "image", "Cover_Type": "rle"})
    table.write_csv(folder / "all_masks.csv")


def truth_beside_the_test_files(prepared: PreparedTask) -> None:
    """smartphone-decimeter, multi-modal-gesture: the measured truth in each test folder."""
    folder = prepared.public / "test" / "drive"
    folder.mkdir(parents=True)
    (folder / "ground.csv").write_text("moment,Cover_Type\n1,2\n", "utf-8")


def rows_sorted_by_label(prepared: PreparedTask) -> None:
    """Row order tells the label."""
    table = answers(prepared).sort("Cover_Type").select("Id")
    rewrite(
        prepared.public / "test.csv",
        lambda t: table.join(t, on="Id", how="left", maintain_order="left"),
    )


def ids_by_label(prepared: PreparedTask) -> None:
    """The id carries the class."""
    table = answers(prepared).sort("Cover_Type")
    new = {old: str(900000 + place) for place, old in enumerate(table["Id"].to_list())}
    for path in (
        prepared.public / "test.csv",
        prepared.public / "sample_submission.csv",
        prepared.private / "answers.csv",
    ):
        rewrite(path, lambda t: t.with_columns(pl.col("Id").replace_strict(new)))


def rows_repeated_in_train(prepared: PreparedTask) -> None:
    """statistics aside, the same rows on both sides."""
    test = pl.read_csv(prepared.public / "test.csv", infer_schema=False)
    rows = test.join(answers(prepared), on="Id").with_columns(pl.lit("0").alias("Id"))
    rewrite(prepared.public / "train.csv", lambda t: pl.concat([t, rows], how="diagonal_relaxed"))


def nothing_published(prepared: PreparedTask) -> None:
    """statoil: no train or test data written."""
    (prepared.public / "train.csv").unlink()
    (prepared.public / "test.csv").unlink()


def sample_lacks_ids(prepared: PreparedTask) -> None:
    """Ids of sample and answers differ."""
    rewrite(prepared.public / "sample_submission.csv", lambda t: t.head(5))


PLANTS: list[tuple[Plant, Code]] = [
    (target_left_in_test, "target-in-public"),
    (target_under_another_name, "answers-in-public"),
    (sample_is_the_answers, "sample-is-answers"),
    (archive_left, "archive-in-public"),
    (labels_of_everything, "answers-in-public"),
    (truth_beside_the_test_files, "target-in-public"),
    (rows_sorted_by_label, "one-feature-leak"),
    (ids_by_label, "one-feature-leak"),
    (rows_repeated_in_train, "train-test-overlap"),
    (nothing_published, "no-data"),
    (sample_lacks_ids, "ids-differ"),
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> PreparedTask:
    root = tmp_path_factory.mktemp("clean")
    return prepare(load_task("forest-cover-type-kernels-only"), root, synthetic=200)


def copied(prepared: PreparedTask, folder: Path) -> PreparedTask:
    shutil.copytree(prepared.path, folder / "copy")
    return PreparedTask(
        task=prepared.task, path=folder / "copy", digest="", synthetic=prepared.synthetic
    )


def test_the_task_is_clean_before_anything_is_planted(clean: PreparedTask) -> None:
    assert lint(clean) == []


@pytest.mark.parametrize(("plant", "code"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_a_planted_leak_is_found(
    clean: PreparedTask, tmp_path: Path, plant: Plant, code: Code
) -> None:
    prepared = copied(clean, tmp_path)
    plant(prepared)
    found = {finding.code: finding for finding in lint(prepared)}
    assert code in found
    assert found[code].evidence


def test_a_sample_with_some_true_columns_is_found(tmp_path: Path) -> None:
    """ranzcr: three true columns in the sample."""
    task = load_task("ranzcr-clip-catheter-line-classification")
    prepared = prepare(task, tmp_path, synthetic=400)
    assert lint(prepared) == []
    some = answers(prepared).select("StudyInstanceUID", "ETT - Normal")
    rewrite(
        prepared.public / "sample_submission.csv",
        lambda t: t.drop("ETT - Normal").join(some, on="StudyInstanceUID"),
    )
    (finding,) = [f for f in lint(prepared) if f.code == "sample-is-answers"]
    assert "ETT - Normal" in finding.evidence


def test_times_and_sizes_of_files_are_looked_at(tmp_path: Path) -> None:
    task = load_task("aerial-cactus-identification")
    prepared = prepare(task, tmp_path, synthetic=300)
    assert lint(prepared) == []
    for place, (name, label) in enumerate(answers(prepared).rows()):
        os.utime(prepared.public / "test" / name, (0, 10**9 * int(label) + place))
    (finding,) = lint(prepared)
    assert (finding.code, "file time" in finding.evidence) == ("one-feature-leak", True)


def test_rows_that_differ_in_the_fourth_digit_are_found(tmp_path: Path) -> None:
    prepared = prepare(load_task("bioresponse"), tmp_path, synthetic=200)
    assert lint(prepared) == []
    test = pl.read_csv(prepared.public / "test.csv")
    nudged = test.with_columns(
        pl.lit(0).alias("MoleculeId"), pl.lit(1).alias("Activity"), cs.float() * (1 + 1e-7)
    )
    rewrite(
        prepared.public / "train.csv",
        lambda t: pl.concat([t, nudged.cast(pl.String)], how="diagonal"),
    )
    (finding,) = [f for f in lint(prepared) if f.code == "near-duplicates"]
    found, words = finding.evidence.split(" of ", 1)
    assert words.startswith("40 test rows are a training row but for")
    assert int(found) >= 30, "some values lie where rounding turns"


def test_texts_with_a_word_changed_are_found(tmp_path: Path) -> None:
    prepared = prepare(load_task("nlp-getting-started"), tmp_path, synthetic=200)
    assert lint(prepared) == []
    test = pl.read_csv(prepared.public / "test.csv", infer_schema=False)
    texts = [f"{text} {text} and then {place}" for place, text in enumerate(test["text"])]
    rewrite(prepared.public / "test.csv", lambda t: t.with_columns(pl.Series("text", texts)))
    again = pl.Series("text", [f"Again: {text}" for text in texts])
    rewrite(
        prepared.public / "train.csv",
        lambda t: t.with_columns(pl.concat([again, t["text"][len(again) :]])),
    )
    (finding,) = [f for f in lint(prepared) if f.code == "near-duplicates"]
    found, words = finding.evidence.split(" of ", 1)
    assert words == "40 test texts text are nearly those of a training row"
    assert int(found) >= 36, "MinHash may miss a few"


def test_pictures_made_a_little_brighter_are_found(tmp_path: Path) -> None:
    image: Any = pytest.importorskip("PIL.Image")
    prepared = prepare(load_task("aerial-cactus-identification"), tmp_path, synthetic=100)
    for path in (prepared.public / "test").iterdir():
        with image.open(path) as picture:
            brighter = picture.point([min(level + 2, 255) for level in range(256)])
        brighter.save(prepared.public / "train" / f"more_{path.stem}.png")
    (finding,) = [f for f in lint(prepared) if f.code == "near-duplicates"]
    assert "look like a training picture" in finding.evidence


def test_a_field_filled_for_one_answer_only_is_found(tmp_path: Path) -> None:
    """random-acts-of-pizza as it really is: the giver is known only where a pizza was given."""
    prepared = prepare(load_task("titanic"), tmp_path, synthetic=800)
    survived = answers(prepared)["Survived"].to_list()
    boats = [str(i) if alive == "1" and i % 2 else None for i, alive in enumerate(survived)]
    rewrite(prepared.public / "test.csv", lambda t: t.with_columns(pl.Series("boat", boats)))
    (finding,) = lint(prepared)
    assert finding.code == "one-feature-leak"
    assert "with boat filled have answer 1" in finding.evidence


@pytest.mark.parametrize(("rows", "found"), [(50, False), (400, True)])
def test_a_column_equal_in_a_dozen_rows_may_be_an_accident(
    tmp_path: Path, rows: int, found: bool
) -> None:
    prepared = prepare(load_task("titanic"), tmp_path, synthetic=rows)
    other = answers(prepared).rename({"Survived": "lifeboat"})
    rewrite(prepared.public / "test.csv", lambda t: t.join(other, on="PassengerId"))
    codes = {finding.code for finding in lint(prepared)}
    assert ("answers-in-public" in codes) == found


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ("titanic", "board-truncated"),
        ("santander-customer-transaction-prediction", "board-truncated"),
    ],
)
def test_a_bad_board_is_found(task: str, code: Code) -> None:
    assert code in {finding.code for finding in lint_board(load_task(task))}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"private": "constant"}, "board-constant"),
        ({"private": "reversed"}, "board-unsorted"),
        ({"public": "private"}, "board-duplicate"),
        ({"private": "hundredfold"}, "metric-off-board"),
    ],
    ids=["constant", "unsorted", "duplicate", "another scale"],
)
def test_a_damaged_board_is_found(changes: dict[str, str], code: Code) -> None:
    task = load_task("titanic")
    assert task.board is not None
    summary = task.board.private
    scores = {name: value for name, value in summary if name != "n"}
    made = {
        "constant": summary.model_copy(update=dict.fromkeys(scores, 0.5)),
        "reversed": summary.model_copy(
            update=dict(zip(scores, reversed(list(scores.values())), strict=True))
        ),
        "hundredfold": summary.model_copy(update={k: 100 * v for k, v in scores.items()}),
        "private": summary,
    }
    board = task.board.model_copy(update={key: made[how] for key, how in changes.items()})
    found = lint_board(task.model_copy(update={"board": board}))
    assert code in {finding.code for finding in found}


def test_every_code_has_a_meaning() -> None:
    assert all(meaning for meaning in MEANING.values())
