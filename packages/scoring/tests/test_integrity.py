"""Findings about submissions and code."""

from pathlib import Path

import pytest

from agentbench_scoring import (
    Leaderboard,
    SubmissionSpec,
    TargetSpec,
    better_than_people,
    code_similarity,
    near_duplicate,
    score_submission,
    similar_code,
)

SPEC = SubmissionSpec(id_columns=("id",), targets=(TargetSpec(name="p"),), metric="rmse")
TRUTH = {"id": [1, 2, 3], "p": [1.0, 2.0, 4.0]}


@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        ([1.0, 2.0, 4.0], {"perfect", "identical_to_answers"}),
        ([2.0, 2.0, 2.0], {"constant"}),
        ([1.0, 2.0, 3.0], set[str]()),
    ],
)
def test_findings_are_on_the_score(sent: list[float], codes: set[str]) -> None:
    score = score_submission(SPEC, {"id": [1, 2, 3], "p": sent}, TRUTH)
    assert {finding.code for finding in score.findings} == codes


def test_better_than_the_best_team() -> None:
    board = Leaderboard([0.2, 0.3], higher_is_better=False)
    assert better_than_people(0.1, board)
    assert better_than_people(0.2, board) is None


def test_near_duplicates() -> None:
    first = [0.1, 0.5, 0.2, 0.9]
    assert near_duplicate(first, [v + 1e-6 for v in first])
    assert near_duplicate(first, [0.9, 0.1, 0.5, 0.2]) is None
    found = near_duplicate(["a", "b"], ["a", "b"], sample=True)
    assert found is not None
    assert found.code == "close_to_sample"


CODE = """
import pandas as pd
def fit(frame, target):
    model = Ridge(alpha=3.0)
    for column in frame.columns:
        frame[column] = frame[column].fillna(frame[column].mean())
    model.fit(frame, target)
    return model
"""


def test_renaming_and_comments_do_not_hide_a_copy(tmp_path: Path) -> None:
    renamed = CODE.replace("frame", "data").replace("model", "m").replace("3.0", "9")
    (tmp_path / "a.py").write_text(CODE)
    (tmp_path / "b.py").write_text("# my own work\n" + renamed)
    (tmp_path / "c.py").write_text("print([k * k for k in range(10) if k % 2 and k not in (1, 3)])")
    assert code_similarity(tmp_path / "a.py", tmp_path / "b.py").jaccard == 1
    assert similar_code(tmp_path / "a.py", tmp_path / "b.py")
    assert similar_code(tmp_path / "a.py", tmp_path / "c.py") is None


def test_every_long_common_run_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CODE)
    (tmp_path / "b.py").write_text("x = [1, 2, 3]\nwhile x:\n    x.pop()\n" + CODE + "\nx = {}\n")
    found = code_similarity(tmp_path / "a.py", tmp_path / "b.py")
    assert found.contained > 0.8
