"""The 18 competitions whose answers MLE-Dojo leaks, each prepared as there: the linter finds it.

Every leak is made of the same synthetic raw files that the catalogue's own recipe prepares
cleanly: by what MLE-Dojo's recipe has other than ours, or by the file that it leaves in public.
Source of the list: `mle-dojo.md` 4.2 (files run or read at commit 667a8fd) and mle-bench's issues.
"""

import json
import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agentbench_tasks import PreparedTask, SubmissionTask, list_tasks, load_task, prepare
from agentbench_tasks.finding import Code
from agentbench_tasks.lint import lint
from agentbench_tasks.synthesise import synthesise

ROWS = 200


def changed(name: str, recipe: dict[str, Any]) -> SubmissionTask:
    record = load_task(name).model_dump(mode="json")
    record["recipe"] |= recipe
    return SubmissionTask.model_validate(record)


def true_columns(name: str, *columns: str) -> dict[str, Any]:
    """A sample submission some of whose columns are the answers."""
    return load_task(name).recipe.sample | {column: f"={column}" for column in columns}


KEPT: dict[str, Any] = {"targets": [], "drop_in_test": []}
RECIPES: list[tuple[str, dict[str, Any], Code]] = [
    ("battlefin-s-big-data-combine-forecasting-challenge", KEPT, "target-in-public"),
    ("benchmark-bond-trade-price-challenge", KEPT, "target-in-public"),
    ("bigquery-geotab-intersection-congestion", KEPT, "answers-in-public"),
    (
        "bnp-paribas-cardif-claims-management",
        {"view": [{"op": "copy_column", "column": "PredictedProb", "to": "target"}]},
        "answers-in-public",
    ),
    (
        "quora-insincere-questions-classification",
        {"view": [{"op": "copy_column", "column": "prediction", "to": "target"}]},
        "answers-in-public",
    ),
    ("quora-question-pairs", KEPT, "target-in-public"),
    ("stumbleupon", KEPT, "target-in-public"),
    ("bioresponse", {"sample": {"Activity": "=Activity"}}, "sample-is-answers"),
    ("ashrae-energy-prediction", {"sample": {"meter_reading": "=meter_reading"}},
     "sample-is-answers"),
    (
        "ranzcr-clip-catheter-line-classification",
        {"sample": true_columns(
            "ranzcr-clip-catheter-line-classification",
            "ETT - Abnormal", "ETT - Borderline", "ETT - Normal",
        )},
        "sample-is-answers",
    ),
    (
        "airbus-ship-detection",
        {"copy_files": ["train_ship_segmentations_v2.csv"]},
        "answers-in-public",
    ),
    (
        "nbme-score-clinical-patient-notes",
        {"view": [{"op": "copy_column", "column": "location", "to": "annotated"}],
         "drop_in_test": []},
        "answers-in-public",
    ),
    ("random-acts-of-pizza", {"drop_in_test": []}, "one-feature-leak"),
]  # fmt: skip

MINOR: list[tuple[str, dict[str, Any], Code]] = [
    ("rossmann-store-sales", {"drop_in_test": []}, "target-in-public"),
    ("allstate-purchase-prediction-challenge", {"view": []}, "answers-in-public"),
    ("llm-classification-finetuning", {"drop": [], "drop_in_test": []}, "target-in-public"),
    ("wsdm-cup-multilingual-chatbot-arena", {"drop": []}, "target-in-public"),
]


def competition_zip(prepared: PreparedTask, raw: Path) -> None:
    """The archive of the whole competition, labels and all, is among what gets copied."""
    shutil.make_archive(str(prepared.public / "competition"), "zip", raw)


def polygons(prepared: PreparedTask, raw: Path) -> None:
    """hubmap: the outline of every glomerulus, in test as in train."""
    del raw
    for key, code in answers(prepared).select("id", "predicted").rows():
        runs = np.array(re.findall(r"\d+", code), dtype=int).reshape(-1, 2).tolist()
        outlines = [[[0, s], [1, s], [1, s + n], [0, s + n], [0, s]] for s, n in runs]
        shapes = [{"geometry": {"type": "Polygon", "coordinates": [ring]}} for ring in outlines]
        (prepared.public / "test" / f"{key}.json").write_text(json.dumps(shapes), "utf-8")


def labelled_recordings(prepared: PreparedTask, raw: Path) -> None:
    """multi-modal-gesture: a MATLAB file per recording, whose `Labels` name the gestures."""
    del raw
    for (key,) in answers(prepared).select("Id").rows():
        body = zlib.compress(b"\x0e\0\0\0Video\0Labels\0Name\0Begin\0End\0vattene\0")
        head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
        part = np.array([15, len(body)], dtype="<u4").tobytes()
        (prepared.public / "test" / f"Sample{key}_data.mat").write_bytes(head + part + body)


def satellite_log(prepared: PreparedTask, raw: Path) -> None:
    """smartphone-decimeter: the reference receiver's log, position for position."""
    del raw
    latitude, longitude = "LatitudeDegrees", "LongitudeDegrees"
    for (trip,), rows in answers(prepared).group_by("tripId"):
        lines = [
            f"$GPGGA,0,{nmea(float(north), 'NS', 2)},{nmea(float(east), 'EW', 3)},1,8,1,0,M,,M,,*0"
            for north, east in rows.select(latitude, longitude).rows()
        ]
        folder = prepared.public / "test" / str(trip) / "supplemental"
        folder.mkdir(parents=True)
        (folder / "span_log.nmea").write_text("\n".join(lines), "utf-8")


def nmea(degrees: float, sides: str, width: int) -> str:
    whole = int(abs(degrees))
    minutes = (abs(degrees) - whole) * 60
    return f"{whole:0{width}d}{minutes:010.7f},{sides[degrees < 0]}"


def old_labels(prepared: PreparedTask, raw: Path) -> None:
    """seti: a folder of the data set that was withdrawn, labels included."""
    folder = prepared.public / "old_leaky_data"
    folder.mkdir()
    shutil.copy(raw / "train_labels.csv", folder / "train_labels_old.csv")


PLANTS: list[tuple[str, Callable[[PreparedTask, Path], None], Code]] = [
    ("nbme-score-clinical-patient-notes", competition_zip, "archive-in-public"),
    ("novozymes-enzyme-stability-prediction", competition_zip, "archive-in-public"),
    ("loan-default-prediction", competition_zip, "archive-in-public"),
    ("hubmap-kidney-segmentation", polygons, "answers-in-public"),
    ("multi-modal-gesture-recognition", labelled_recordings, "answers-in-public"),
    ("smartphone-decimeter-2022", satellite_log, "answers-in-public"),
    ("seti-breakthrough-listen", old_labels, "answers-in-public"),
]
NAMES = {name for name, *_ in [*RECIPES, *MINOR, *PLANTS]}


def answers(prepared: PreparedTask) -> pl.DataFrame:
    return pl.read_csv(prepared.private / "answers.csv", infer_schema=False).fill_null("")


def test_all_leaking_competitions_are_here() -> None:
    minor = {name for name, *_ in MINOR} | {"seti-breakthrough-listen"}
    assert len(NAMES - minor) == 18
    said = {t.name for t in list_tasks() if "MLE-Dojo leaks answers" in str(t.known_issues)}
    assert said == NAMES - minor


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_catalogues_own_recipe_is_clean(name: str, tmp_path: Path) -> None:
    assert lint(prepare(load_task(name), tmp_path, synthetic=ROWS)) == []


@pytest.mark.parametrize(("name", "recipe", "code"), MINOR, ids=[name for name, *_ in MINOR])
def test_a_column_that_our_recipe_knows_to_drop_is_found(
    name: str, recipe: dict[str, Any], code: Code, tmp_path: Path
) -> None:
    theirs = prepare(changed(name, recipe), tmp_path, synthetic=ROWS)
    findings = lint(replace(theirs, task=load_task(name)))
    assert code in {finding.code for finding in findings if finding.severity == "error"}


@pytest.mark.parametrize(("name", "recipe", "code"), RECIPES, ids=[name for name, *_ in RECIPES])
def test_their_recipe_on_the_same_raw_files_is_found(
    name: str, recipe: dict[str, Any], code: Code, tmp_path: Path
) -> None:
    findings = lint(prepare(changed(name, recipe), tmp_path, synthetic=ROWS))
    assert code in {finding.code for finding in findings if finding.severity == "error"}


@pytest.mark.parametrize(
    ("name", "plant", "code"), PLANTS, ids=[f"{n}-{p.__name__}" for n, p, _ in PLANTS]
)
def test_a_file_left_in_public_is_found(
    name: str, plant: Callable[[PreparedTask, Path], None], code: Code, tmp_path: Path
) -> None:
    task = load_task(name)
    prepared = prepare(task, tmp_path, synthetic=ROWS)
    raw = tmp_path / "raw"
    raw.mkdir()
    synthesise(task, raw, rows=ROWS)  # the same bytes again
    plant(prepared, raw)
    findings = lint(prepared)
    assert code in {finding.code for finding in findings if finding.severity == "error"}
    assert all(finding.evidence for finding in findings)
