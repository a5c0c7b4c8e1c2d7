"""Findings about submissions and code."""

from pathlib import Path

import pytest

from agentbench_scoring import (
    Evidence,
    InvalidInputError,
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


def test_evidence_puts_findings_on_the_score(tmp_path: Path) -> None:
    for name, code in (("mine", CODE), ("theirs", "# mine\n" + CODE), ("short", "x = 1")):
        (tmp_path / f"{name}.py").write_text(code)
    ids, sent = [1, 2, 3], [1.0, 2.0, 4.5]
    evidence = Evidence(
        board=Leaderboard([2.0, 3.0], higher_is_better=False),
        sample={"id": [3, 2, 1], "p": [4.5, 2.0, 1.0]},  # aligned by id
        others={
            "ann": {"id": ids, "p": [1.01, 2.0, 4.5]},
            "bob": {"id": ids, "p": [4.0, 1.0, 2.0]},
            "invalid": {"id": [1], "p": [1.0]},
        },
        code=tmp_path / "mine.py",
        other_code={"eve": tmp_path / "theirs.py", "short": tmp_path / "short.py"},
    )
    score = score_submission(SPEC, {"id": ids, "p": sent}, TRUTH, evidence=evidence)
    assert [finding.code for finding in score.findings] == [
        "better_than_best_human",
        "near_duplicate",
        "close_to_sample",
        "similar_code",
    ]
    assert "of ann" in score.findings[1].message
    assert "in eve" in score.findings[3].message
    assert not score_submission(SPEC, {"id": ids, "p": sent}, TRUTH).findings


def test_every_column_of_a_near_duplicate_agrees() -> None:
    first = {"a": [1.0, 2.0, 3.0], "b": [5.0, 1.0, 2.0]}
    assert near_duplicate(first, first)
    assert near_duplicate(first, first | {"b": [2.0, 1.0, 5.0]}) is None
    with pytest.raises(InvalidInputError, match="compared"):
        near_duplicate(first, {"a": [1.0, 2.0, 3.0]})
