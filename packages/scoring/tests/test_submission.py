"""What is accepted, what is rejected, and that all of it is said at once."""

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring import (
    InvalidInputError,
    InvalidSubmissionError,
    Limits,
    Scorer,
    SubmissionSpec,
    TargetSpec,
    align,
    score_submission,
    validate,
)

SPEC = SubmissionSpec(
    id_columns=("id",), targets=(TargetSpec(name="p", low=0, high=1),), metric="roc_auc"
)
ANSWERS = {"id": [1, 2, 3], "p": [0, 1, 1]}

ACCEPTED = {
    "plain": b"id,p\n1,0.1\n2,0.2\n3,0.3\n",
    "row order": b"id,p\n3,0.3\n1,0.1\n2,0.2\n",
    "column order": b"p,id\n0.1,1\n0.2,2\n0.3,3\n",
    "extra column": b"id,p,x\n1,0.1,a\n2,0.2,b\n3,0.3,c\n",
    "crlf": b"id,p\r\n1,0.1\r\n2,0.2\r\n3,0.3\r\n",
    "byte-order mark": b"\xef\xbb\xbfid,p\n1,0.1\n2,0.2\n3,0.3\n",
    "quotes": b'"id","p"\n"1","0.1"\n2,0.2\n3,0.3\n',
    "exponents": b"id,p\n1,1E-1\n2,2e-1\n3,.3\n",
    "float ids": b"id,p\n1.0,0.1\n2.0,0.2\n3.00,0.3\n",
    "spaces": b"id,p\n1, 0.1\n2,0.2 \n3,0.3\n",
    "blank lines": b"id,p\n\n1,0.1\n2,0.2\n3,0.3\n\n",
    "gzip": gzip.compress(b"id,p\n1,0.1\n2,0.2\n3,0.3\n"),
}
REJECTED = {
    "missing id": (b"id,p\n1,0.1\n2,0.2\n", "missing_id"),
    "unknown id": (b"id,p\n1,0.1\n2,0.2\n3,0.3\n4,0.1\n", "unknown_id"),
    "duplicate id": (b"id,p\n1,0.1\n2,0.2\n3,0.3\n3,0.3\n", "duplicate_id"),
    "text id": (b"id,p\none,0.1\n2,0.2\n3,0.3\n", "invalid_id"),
    "huge id": (b"id,p\n99999999999999999999,0.1\n2,0.2\n3,0.3\n", "invalid_id"),
    "nan": (b"id,p\n1,nan\n2,0.2\n3,0.3\n", "nan"),
    "infinity": (b"id,p\n1,-inf\n2,0.2\n3,0.3\n", "infinite"),
    "empty cell": (b"id,p\n1,\n2,0.2\n3,0.3\n", "missing_value"),
    "text": (b"id,p\n1,high\n2,0.2\n3,0.3\n", "not_numeric"),
    "out of range": (b"id,p\n1,1.1\n2,0.2\n3,0.3\n", "out_of_range"),
    "missing column": (b"id,q\n1,0.1\n2,0.2\n3,0.3\n", "missing_column"),
    "column twice": (b"id,p,p\n1,0.1,0.1\n2,0.2,0.1\n3,0.3,0.1\n", "duplicate_column"),
    "long row": (b"id,p\n1,0.1\n2,0.2,7,8\n3,0.3\n", "ragged_row"),
    "short row": (b"id,p\n1\n2,0.2\n3,0.3\n", "ragged_row"),
    "empty": (b"", "empty"),
    "only a header": (b"id,p\n", "empty"),
    "utf-16": ("id,p\n1,0.1\n".encode("utf-16"), "not_utf8"),
    "latin-1": ("id,p\n1,é\n".encode("latin-1"), "not_utf8"),
    "pickle": (b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.", "not_utf8"),
    "cut gzip": (gzip.compress(b"id,p\n1,0.1\n" * 99)[:-20], "not_csv"),
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(data)
    assert align(SPEC, path, ANSWERS)["p"].to_list() == [0.1, 0.2, 0.3]
    assert all(issue.severity == "warning" for issue in validate(SPEC, path, ANSWERS))


@pytest.mark.parametrize(("data", "code"), REJECTED.values(), ids=REJECTED)
def test_rejected(data: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(data)
    with pytest.raises(InvalidSubmissionError) as caught:
        score_submission(SPEC, path, ANSWERS)
    assert code in [issue.code for issue in caught.value.issues]
    assert [issue.code for issue in validate(SPEC, path, ANSWERS)] == [
        issue.code for issue in caught.value.issues
    ]


def test_a_missing_file_is_an_issue(tmp_path: Path) -> None:
    assert validate(SPEC, tmp_path / "no.csv", ANSWERS)[0].code == "file_missing"


def test_first_ten_ids_and_a_count() -> None:
    answers = {"id": list(range(100)), "p": [0, 1] * 50}
    issues = validate(SPEC, {"id": list(range(75)), "p": [0.5] * 75}, answers)
    assert [(i.code, i.count, i.ids) for i in issues] == [
        ("missing_id", 25, tuple(str(k) for k in range(75, 85)))
    ]


def test_a_gzip_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "s.csv.gz"
    path.write_bytes(gzip.compress(b"id,p\n" + b"1,0.5\n" * 2_000_000))
    spec = SPEC.model_copy(update={"limits": Limits(max_bytes=10_000)})
    assert validate(spec, path, ANSWERS)[0].code == "too_large"


@pytest.mark.parametrize("spelling", ["True", "TRUE", "true", "1", "1.0"])
def test_booleans_in_any_spelling(spelling: str) -> None:
    spec = SubmissionSpec(
        id_columns=("id",), targets=(TargetSpec(name="p", dtype="bool"),), metric="accuracy"
    )
    answers = {"id": ["a", "b"], "p": ["True", "False"]}
    assert score_submission(spec, {"id": ["a", "b"], "p": [spelling, "false"]}, answers).value == 1


def test_compound_ids_and_typed_frames() -> None:
    spec = SubmissionSpec(id_columns=("a", "b"), targets=(TargetSpec(name="p"),), metric="mae")
    truth = pl.DataFrame({"a": ["x", "x"], "b": [1, 2], "p": [1.0, 2.0]})
    sent = pl.DataFrame({"p": [2.5, 1.0], "b": [2, 1], "a": ["x", "x"]})
    before = sent.clone()
    assert score_submission(spec, sent, truth).value == 0.25
    assert sent.equals(before)


def test_repeated_ids_gather_in_file_order() -> None:
    spec = SubmissionSpec(
        id_columns=("id",), targets=(TargetSpec(name="country", dtype="str"),), metric="ndcg_at_k",
        params={"k": 5}, repeat_ids=True,
    )  # fmt: skip
    sent = {"id": ["u", "v", "u"], "country": ["US", "FR", "NDF"]}
    got = score_submission(spec, sent, {"id": ["u", "v"], "country": ["NDF", "FR"]})
    assert got.value == pytest.approx((1 / 1.584962500721156 + 1) / 2)


def test_class_columns_follow_names_and_not_places() -> None:
    spec = SubmissionSpec(
        id_columns=("id",), targets=(TargetSpec(name="cat"), TargetSpec(name="dog")),
        metric="log_loss_multiclass", answer_columns={"y_true": "label"},
    )  # fmt: skip
    sent = {"dog": [0.0, 1.0], "cat": [1.0, 0.0], "id": [1, 2]}
    got = score_submission(spec, sent, {"id": [1, 2], "label": ["cat", "dog"]})
    assert got.value == pytest.approx(0, abs=1e-12)
    zero = {"dog": [0.0, 1.0], "cat": [0.0, 0.0], "id": [1, 2]}
    assert validate(spec, zero, {"id": [1, 2], "label": ["cat", "dog"]})[0].ids == ("1",)


def test_weights_come_from_the_answers() -> None:
    spec = SubmissionSpec(
        id_columns=("id",), targets=(TargetSpec(name="p"),), metric="weighted_mae",
        answer_columns={"sample_weight": "w"},
    )  # fmt: skip
    truth = {"id": [1, 2], "p": [0, 0], "w": [5, 1]}
    assert score_submission(spec, {"id": [2, 1], "p": [0, 6]}, truth).value == 5


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"id": [1, 1], "p": [0, 1]}, "repeat an id"),
        ({"key": [1, 2], "p": [0, 1]}, "lack the id column"),
        ({"id": [1, 2], "q": [0, 1]}, "lack the column 'p'"),
    ],
)
def test_wrong_answers_are_not_the_submissions_fault(
    answers: dict[str, list[Any]], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        Scorer(SPEC, answers)
    assert not isinstance(caught.value, InvalidSubmissionError)


def test_unknown_part_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="no part_column"):
        score_submission(SPEC, ANSWERS, ANSWERS, part="public")


@given(st.permutations(list(range(12))), st.integers(-(10**17), 10**17))
def test_any_order_of_rows_scores_the_same(order: list[int], offset: int) -> None:
    ids = [offset + 3 * k for k in range(12)]
    truth = {"id": ids, "p": [k % 2 for k in range(12)]}
    scores = [(k * 7 % 12) / 12 for k in range(12)]
    sent = {"id": [ids[k] for k in order], "p": [scores[k] for k in order]}
    expected = score_submission(SPEC, {"id": ids, "p": scores}, truth).value
    assert score_submission(SPEC, sent, truth).value == expected


@given(st.binary(max_size=200))
def test_any_bytes_are_scored_or_refused_by_name(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.csv"
        path.write_bytes(data)
        assert validate(SPEC, path, ANSWERS)
