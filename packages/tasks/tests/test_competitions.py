"""What is known of single competitions' own files and rules, and stand-ins would not show."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentbench_scoring import get_metric
from agentbench_tasks import SubmissionTask, load_task, prepare
from agentbench_tasks.lint import lint
from agentbench_tasks.reading import read_main, scan_table
from agentbench_tasks.recipe import Read
from agentbench_tasks.synthesise import synthesise
from agentbench_tasks.unpack import unpack

PARAMETERS: dict[str, dict[str, Any]] = {
    "vinbigdata-chest-xray-abnormalities-detection": {"iou": 0.4},
    "siim-covid19-detection": {},  # PASCAL at 0.5, the default
    "the-winton-stock-market-challenge": {"normalize": False},
    "rossmann-store-sales": {"ignore_zero": True},
    "vesuvius-challenge-ink-detection": {"beta": 0.5},
    "imet-2020-fgvc7": {"beta": 2},
    "h-and-m-personalized-fashion-recommendations": {"k": 12},
    "airbnb-recruiting-new-user-bookings": {"k": 5},
    "hotel-id-2021-fgvc8": {"k": 5},
    "whale-categorization-playground": {"k": 5},
    "kaggle-llm-science-exam": {"k": 3},
    "playground-series-s3e13": {"k": 3},
    "alaska2-image-steganalysis": {"tpr_thresholds": [0, 0.4, 1], "weights": [2, 1]},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_metric_has_the_competitions_parameters(name: str) -> None:
    assert load_task(name).metric.params == PARAMETERS[name]


def test_wintons_score_is_divided_by_the_rows_not_by_the_weights() -> None:
    metric = load_task("the-winton-stock-market-challenge").metric
    score = get_metric(metric.name)
    # its board is near 1700: returns of about 0.001 with weights of about 1.6 million
    found = score([0.001, -0.001], [0, 0], sample_weight=[1.6e6, 1.8e6], **metric.params)
    assert found == pytest.approx((1600 + 1800) / 2)


def test_rossmanns_days_without_sales_do_not_count() -> None:
    metric = load_task("rossmann-store-sales").metric
    assert get_metric(metric.name)([0, 100], [50, 90], **metric.params) == pytest.approx(0.1)


TRAIN_ONLY: dict[str, list[str]] = {  # columns that Kaggle's own test files do not have
    "airbnb-recruiting-new-user-bookings": ["date_first_booking"],
    "bigquery-geotab-intersection-congestion": [
        f"{name}_p{share}"
        for name in ("TotalTimeStopped", "TimeFromFirstStop", "DistanceToFirstStop")
        for share in (20, 40, 50, 60, 80)
    ],
    "bike-sharing-demand": ["casual", "registered"],
    "commonlitreadabilityprize": ["standard_error"],
    "facial-keypoints-detection": ["mouth_center_bottom_lip_x", "right_eyebrow_outer_end_y"],
    "jigsaw-unintended-bias-in-toxicity-classification": [
        *["target", "sexual_explicit", "rating", "toxicity_annotator_count", "transgender"]
    ],
    "nyc-taxi-trip-duration": ["dropoff_datetime"],
    "quora-question-pairs": ["qid1", "qid2"],
    "random-acts-of-pizza": [
        *["request_text", "post_was_edited", "requester_user_flair", "giver_username_if_known"],
        *["request_number_of_comments_at_retrieval", "requester_number_of_posts_at_retrieval"],
    ],
    "rossmann-store-sales": ["Customers"],
    "sf-crime": ["Descript", "Resolution"],
}


@pytest.mark.parametrize("name", TRAIN_ONLY)
def test_test_rows_lack_what_kaggles_lack(name: str) -> None:
    recipe = load_task(name).recipe
    assert {*recipe.targets, *recipe.drop_in_test, *recipe.drop} >= set(TRAIN_ONLY[name])


@pytest.mark.parametrize("edition", ["2020-fgvc7", "2021-fgvc8", "2022-fgvc9"])
def test_a_herbariums_folders_do_not_tell_the_species(edition: str, tmp_path: Path) -> None:
    task = load_task(f"herbarium-{edition}")
    assert lint(prepare(task, tmp_path / "ours", synthetic=100)) == []
    record = task.model_dump(mode="json")
    (rule,) = record["recipe"]["media"]
    rule["to"] = "{side}/{file_name}"
    record["recipe"]["drop"] = ["id", "image_id"]
    as_kaggle_names = prepare(SubmissionTask.model_validate(record), tmp_path / "k", synthetic=100)
    assert "answer-in-file-name" in {finding.code for finding in lint(as_kaggle_names)}


def test_patients_with_two_rows_of_one_week_are_prepared(tmp_path: Path) -> None:
    task = load_task("osic-pulmonary-fibrosis-progression")
    raw = tmp_path / "raw"
    raw.mkdir()
    synthesise(task, raw, rows=100)
    table = pl.read_csv(raw / "train.csv", infer_schema=False)
    pl.concat([table, table]).write_csv(raw / "train.csv")
    plain = prepare(task, tmp_path / "root", synthetic=100)
    twice = prepare(task, tmp_path / "root", raw=raw)
    name = "private/answers.csv"
    assert (twice.path / name).read_bytes() == (plain.path / name).read_bytes()


def test_a_player_without_a_placement_is_left_out(tmp_path: Path) -> None:
    task = load_task("pubg-finish-placement-prediction")
    raw = tmp_path / "raw"
    raw.mkdir()
    synthesise(task, raw, rows=100)
    (archive,) = raw.glob("*.zip")
    unpack(archive, raw)
    archive.unlink()
    table = pl.read_csv(raw / "train_V2.csv", infer_schema=False)
    unplaced = table[:1].with_columns(winPlacePerc=pl.lit(None, pl.String))
    pl.concat([unplaced, table[1:]]).write_csv(raw / "train_V2.csv")
    made = prepare(task, tmp_path / "root", raw=raw)
    rows = [pl.read_csv(made.public / name).height for name in ("train.csv", "test.csv")]
    assert sum(rows) == 99


def test_a_tsv_file_that_quotes_its_fields(tmp_path: Path) -> None:
    quoted, plain = tmp_path / "quoted.tsv", tmp_path / "plain.tsv"
    quoted.write_text('"urlid"\t"boilerplate"\n"1"\t"{""title"":""a\tb""}"\n', "utf-8")
    plain.write_text('PhraseId\tPhrase\n1\ta "series\n', "utf-8")
    assert scan_table(quoted, format="tsv").collect().rows() == [("1", '{"title":"a\tb"}')]
    assert scan_table(plain, format="tsv").collect().rows() == [("1", 'a "series')]


def test_pictures_that_are_addresses(tmp_path: Path) -> None:
    content = {
        "images": [{"image_id": 7, "url": ["http://a", "http://b"]}],
        "annotations": [{"image_id": 7, "label_id": 3, "bbox": [1, 2, 3, 4]}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content), "utf-8")
    frame = read_main((Read(path="train.json", format="coco"),), tmp_path).collect()
    assert frame.to_dicts() == [{"image_id": "7", "label_id": "3", "url": "http://a http://b"}]
