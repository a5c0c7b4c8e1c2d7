import json
import re
from collections import Counter

import pytest

from agentbench_tasks import list_tasks, load_task, task_names
from agentbench_tasks.lint import lint_stand_in

KAGGLE = [task.name for task in list_tasks(suite="kaggle")]
SAMPLE = [
    "titanic",  # one table
    "rossmann-store-sales",  # split by time, side table
    "champs-scalar-coupling",  # split by group, side tables
    "dogs-vs-cats-redux-kernels-edition",  # labels in file names, zip
    "herbarium-2020-fgvc7",  # COCO
    "stanford-covid-vaccine",  # nested JSON
    "mlsp-2013-birds",  # hook
    "cdiscount-image-classification-challenge",  # hook, BSON
    "siim-covid19-detection",  # two stacked tables
    "leaf-classification",  # one-hot answers, media
]


def test_all_of_mle_dojo_is_there() -> None:
    assert len(KAGGLE) == 202
    splits = Counter(suite for task in list_tasks() for suite in task.suites)
    assert (splits["mle-dojo/train"], splits["mle-dojo/eval"]) == (151, 51)
    assert splits["mle-dojo/mle-lite"] == 21
    assert splits["lite"] >= 8


def test_every_name_is_one_gymnasium_accepts() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+", name) for name in task_names())


def test_every_variant_loads_and_differs() -> None:
    for task in list_tasks():
        for variant in task.variants:
            theirs = load_task(f"{task.name}.{variant}")
            assert theirs.version < task.version
            assert theirs.metric != task.metric or theirs.recipe.split != task.recipe.split


@pytest.mark.parametrize(
    ("task", "ours", "theirs"),
    [
        ("new-york-city-taxi-fare-prediction", "rmse", "mse"),
        ("home-data-for-ml-course", "mae", "rmse"),
        ("imet-2020-fgvc7", "fbeta_micro_multilabel", "f1_micro_multilabel"),
    ],
)
def test_a_metric_that_is_not_the_boards_is_corrected(task: str, ours: str, theirs: str) -> None:
    assert load_task(task).metric.name == ours
    assert load_task(f"{task}.mle-dojo").metric.name == theirs


@pytest.mark.parametrize(
    "task",
    [
        "rossmann-store-sales",
        "walmart-recruiting-store-sales-forecasting",
        "grupo-bimbo-inventory-demand",
    ],
)
def test_the_future_is_not_split_at_random(task: str) -> None:
    assert load_task(task).recipe.split.method == "time"


def test_filters_combine() -> None:
    tasks = list_tasks(modality="text", max_bytes=10**7, suite="mle-dojo")
    assert tasks
    for task in tasks:
        assert task.modality == "text"
        assert (task.provenance.size_bytes or 0) <= 10**7


def test_every_embedded_task_hides_what_makes_it() -> None:
    for task in list_tasks(suite="lite"):
        assert "agentbench_tasks" in task.hide
        assert task.anchors.trivial is not None
        assert task.anchors.strong is not None


@pytest.mark.parametrize("name", SAMPLE)
def test_a_stand_in_is_prepared_and_clean(name: str) -> None:
    report = lint_stand_in(load_task(name), rows=200)
    assert [str(finding) for finding in report.findings] == []


@pytest.mark.slow
def test_every_fourth_stand_in_is_clean_and_most_are_learnt() -> None:
    reports = [lint_stand_in(load_task(name), rows=200) for name in KAGGLE[::4]]
    assert {r.task: list(map(str, r.findings)) for r in reports if r.findings} == {}
    tried = [report for report in reports if report.learned is not None]
    assert sum(bool(report.learned) for report in tried) > 0.8 * len(tried)


def test_the_checked_in_schema_is_current() -> None:
    from pathlib import Path

    from agentbench_tasks.task_file import task_schema

    path = Path(__file__).parents[3] / "docs" / "task.schema.json"
    assert json.loads(path.read_text("utf-8")) == json.loads(json.dumps(task_schema()))
