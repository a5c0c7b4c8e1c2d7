import json
import re
from collections import Counter

import pytest

from agentbench_tasks import list_tasks, load_task, task_names
from agentbench_tasks.cli import app
from agentbench_tasks.lint import lint_stand_in

ALL = list_tasks()
KAGGLE = [task.name for task in ALL if "kaggle" in task.suites]
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


FACTS = {
    "kaggle": 202,
    # MLE-Dojo's competition.json has one more on each side than its paper's 150 and 50
    "mle-dojo/train": 151,
    "mle-dojo/eval": 51,
    "mle-dojo/mle-lite": 21,
    "mle-dojo/tabular": 10,
    "mle-dojo/nlp": 10,
    "mle-dojo/cv": 10,
    # those of mle-bench's 82 that MLE-Dojo has
    "mle-bench/low": 21,
    "mle-bench/lite": 21,
    "mle-bench/medium": 36,
    "mle-bench/high": 11,
    "mle-bench/dev": 7,
    "dsbench": 75,
}


@pytest.mark.parametrize("suite", FACTS)
def test_a_suite_has_all_its_tasks(suite: str) -> None:
    assert len(names(suite)) == FACTS[suite]


def names(suite: str) -> set[str]:
    return {task.name for task in ALL if suite in task.suites}


def test_the_sides_and_categories_part_the_competitions() -> None:
    sides = [names(f"mle-dojo/{side}") for side in ("train", "eval")]
    assert sides[0].isdisjoint(sides[1])
    assert sides[0] | sides[1] == set(KAGGLE)
    parts = [names(f"mle-dojo/{part}") for part in ("mle-lite", "tabular", "nlp", "cv")]
    assert Counter(name for part in parts for name in part) == dict.fromkeys(sides[1], 1)
    assert names("mle-bench/lite") == names("mle-bench/low")


def test_small_tasks_are_those_of_known_size() -> None:
    small = list_tasks(suite="kaggle", max_bytes=10**7)
    unknown = {t.name for t in ALL if t.provenance.size_bytes is None and t.name in KAGGLE}
    assert len(small) == 50
    # these two, taken for empty, make the 52 that are quoted elsewhere
    assert unknown == {"ml2021spring-hw2", "paddy-disease-classification"}
    assert not unknown & {task.name for task in small}


def test_quick_tasks_are_the_embedded_and_the_small_ones() -> None:
    small = {t.name for t in ALL if 0 < (t.provenance.size_bytes or 0) <= 10**7}
    assert {t.name for t in list_tasks(suite="quick")} == names("lite") | small


def test_the_command_lists_a_selection_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        app(["list", "--modality", "text", "--max-size", "10MB", "--json"])
    assert done.value.code == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} >= {"spooky-author-identification", "reports"}
    assert all(row["modality"] == "text" and row["size_bytes"] <= 10**7 for row in rows)


def test_every_name_is_one_gymnasium_accepts() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+", name) for name in task_names())


def test_every_variant_loads_and_differs() -> None:
    for task in ALL:
        for variant in task.variants:
            theirs = load_task(f"{task.name}.{variant}")
            assert theirs.version < task.version
            assert theirs.metric != task.metric or theirs.recipe != task.recipe


WRONG = "MLE-Dojo's metric is not the board's"
WRONG_METRICS = {  # the 18 of mle-dojo.md 4.3; the value says what the variant changes
    "new-york-city-taxi-fare-prediction": "metric",
    "allstate-purchase-prediction-challenge": "metric",
    "home-data-for-ml-course": "metric",
    "imet-2020-fgvc7": "metric",
    "alaska2-image-steganalysis": "metric",
    "flavours-of-physics-kernels-only": "metric",
    "ranzcr-clip-catheter-line-classification": "metric",
    "walmart-recruiting-store-sales-forecasting": "metric",
    "airbus-ship-detection": "recipe",
    "stanford-covid-vaccine": "recipe",
    "uw-madison-gi-tract-image-segmentation": "recipe",
    "ventilator-pressure-prediction": "recipe",
    # equal for probabilities that sum to one, and for rows in the answers' order
    "dog-breed-identification": None,
    "spooky-author-identification": None,
    "lmsys-chatbot-arena": None,
    "llm-classification-finetuning": None,
    "detecting-insults-in-social-commentary": None,
    # mean average precision of columns: no metric here
    "freesound-audio-tagging-2019": None,
}


@pytest.mark.parametrize("name", WRONG_METRICS)
def test_a_metric_that_is_not_the_boards_is_corrected(name: str) -> None:
    task = load_task(name)
    differs = WRONG_METRICS[name]
    if differs is None:
        assert not task.variants
        assert "there is no variant" in " ".join(str(task.known_issues).split())
    else:
        theirs = load_task(f"{name}.mle-dojo")
        assert getattr(theirs, differs) != getattr(task, differs)


def test_no_other_metric_is_said_to_be_wrong() -> None:
    said = {t.name for t in ALL if WRONG in " ".join(t.known_issues)}
    assert said == set(WRONG_METRICS)


@pytest.mark.parametrize(
    ("name", "score", "theirs"),
    [
        # what MLE-Dojo's own code gave (mle-dojo.md 4.3, scoring.md)
        ("alaska2-image-steganalysis", 0.562, 0.795),
        ("alaska2-image-steganalysis", 0.0, 0.533),
        ("flavours-of-physics-kernels-only", 0.67, -0.10),
        ("ranzcr-clip-catheter-line-classification", 1.0, 0.9167),
        ("allstate-purchase-prediction-challenge", 0.55, 55.0),
    ],
)
def test_a_variant_counts_on_their_scale(name: str, score: float, theirs: float) -> None:
    metric = load_task(f"{name}.mle-dojo").metric
    assert metric.offset + metric.scale * score == pytest.approx(theirs, abs=1e-3)


@pytest.mark.slow
def test_every_variant_is_prepared_and_its_answers_are_the_best() -> None:
    reports = [
        lint_stand_in(load_task(f"{task.name}.{variant}"), rows=200)
        for task in ALL
        for variant in task.variants
    ]
    assert len(reports) == 37
    assert {r.task: [str(f) for f in r.findings] for r in reports if r.findings} == {}


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
    for task in (task for task in ALL if "lite" in task.suites):
        assert "agentbench_tasks" in task.hide
        assert task.anchors.trivial is not None
        assert task.anchors.strong is not None


def test_what_a_person_reads_is_tidy() -> None:
    for task in map(load_task, KAGGLE):
        assert task.title == task.title.strip()
        assert task.provenance.licence_url
        assert len(task.description.split()) >= 5
        # what Kaggle wrote for a team without a valid submission is no score
        assert all(anchor is None or anchor.value != 999999 for _, anchor in task.anchors)


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
