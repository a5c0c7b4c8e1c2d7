"""The shortest path: a submission, the answers, a score, a place among people."""

from pathlib import Path

import pytest

from agentbench_scoring import (
    InvalidSubmissionError,
    Leaderboard,
    SubmissionSpec,
    TargetSpec,
    get_metric,
    score_submission,
    validate,
)

ANSWERS = {
    "id": [1, 2, 3, 4, 5, 6],
    "p": [0, 1, 0, 1, 1, 0],
    "usage": ["public"] * 3 + ["private"] * 3,
}
SPEC = SubmissionSpec(
    id_columns=("id",), targets=(TargetSpec(name="p"),), metric="roc_auc", part_column="usage"
)


def test_a_file_is_scored_on_each_part(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text('\ufeffp,id\r\n0.1,1.0\r\n0.9,"2"\r\n1E-1,3\r\n0.9,6\r\n0.7,5\r\n.8,4\r\n\r\n')
    assert score_submission(SPEC, path, ANSWERS, part="public").value == 1.0
    assert score_submission(SPEC, path, ANSWERS, part="private").value == 0.0
    # positives .9 .7 .8, negatives .1 .1 .9: 2 + .5, 2, 2 of 9 pairs
    assert score_submission(SPEC, path, ANSWERS).value == pytest.approx(6.5 / 9)


def test_all_issues_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text("p,id\n0.1,1\nnan,1\n,3\nabc,9\n")
    codes = {issue.code: issue.count for issue in validate(SPEC, path, ANSWERS)}
    assert codes == {
        "missing_value": 1,
        "not_numeric": 1,
        "nan": 1,
        "missing_id": 4,
        "unknown_id": 1,
        "duplicate_id": 1,
    }
    with pytest.raises(InvalidSubmissionError) as caught:
        score_submission(SPEC, path, ANSWERS)
    assert len(caught.value.issues) == 6


def test_a_score_has_a_place_among_people() -> None:
    place = Leaderboard([0.9, 0.8, 0.8, 0.1], higher_is_better=True).position(0.8)
    assert (place.position, place.position_worst, place.midrank) == (2, 4, 0.5)


def test_metrics_take_lists() -> None:
    assert get_metric("accuracy")(["a", "b"], ["a", "c"]) == 0.5
