import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from agentbench_scoring import (
    InvalidSubmissionError,
    SubmissionSpec,
    TargetSpec,
    UndefinedMetricError,
    UnknownMetricError,
    align,
    get_metric,
)

SPEC = SubmissionSpec(id_columns=("id",), targets=(TargetSpec(name="p", low=0, high=1),))
ANSWERS = pl.DataFrame({"id": [1, 2, 3], "p": [0, 1, 1]})
PAIRS = st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=40)


@given(PAIRS)
def test_roc_auc_agrees_with_the_reference(pairs: list[tuple[bool, int]]) -> None:
    truth, scores = [int(t) for t, _ in pairs], [float(s) for _, s in pairs]
    if len(set(truth)) < 2:
        with pytest.raises(UndefinedMetricError):
            get_metric("roc_auc")(truth, scores)
    else:
        expected = reference.roc_auc_score(truth, scores)
        assert get_metric("roc_auc")(truth, scores) == pytest.approx(expected)


def test_golden_values_by_hand() -> None:
    assert get_metric("accuracy")([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75
    assert get_metric("accuracy")(["NA", "b"], ["NA", "c"]) == 0.5
    assert get_metric("rmse")([0, 0], [3, 4]) == pytest.approx(math.sqrt(12.5))
    assert get_metric("mae")([0, 0], [3, -4]) == 3.5
    assert get_metric("roc_auc")([0, 1, 0, 1], [0.1, 0.1, 0.0, 0.9]) == 0.875
    assert get_metric("log_loss")([1, 0], [1.0, 1.0]) == pytest.approx(-math.log(1e-15) / 2, 1e-2)


@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "rmse", "mae", "log_loss"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_never_scored(name: str, bad: float) -> None:
    with pytest.raises(InvalidSubmissionError, match="not finite"):
        get_metric(name)([0, 1], [0.0, bad])


def test_an_unknown_metric_has_a_hint() -> None:
    with pytest.raises(UnknownMetricError, match="did you mean 'accuracy'"):
        get_metric("acuracy")


ACCEPTED = {
    "plain": "id,p\n1,0.1\n2,0.2\n3,0.3\n",
    "any row order": "id,p\n3,0.3\n1,0.1\n2,0.2\n",
    "any column order": "p,id\n0.1,1\n0.2,2\n0.3,3\n",
    "extra column": "id,p,x\n1,0.1,a\n2,0.2,b\n3,0.3,c\n",
    "crlf": "id,p\r\n1,0.1\r\n2,0.2\r\n3,0.3\r\n",
    "byte-order mark": "\ufeffid,p\n1,0.1\n2,0.2\n3,0.3\n",
    "quotes": '"id","p"\n"1","0.1"\n2,0.2\n3,0.3\n',
    "float ids": "id,p\n1.0,1E-1\n2.0,0.2\n3.0,0.3\n",
}
REJECTED = {
    "missing id": ("id,p\n1,0.1\n2,0.2\n", "missing_ids"),
    "unknown id": ("id,p\n1,0.1\n2,0.2\n3,0.3\n4,0.1\n", "unknown_ids"),
    "duplicate id": ("id,p\n1,0.1\n2,0.2\n3,0.3\n3,0.3\n", "duplicate_ids"),
    "nan": ("id,p\n1,nan\n2,0.2\n3,0.3\n", "not_finite"),
    "infinity": ("id,p\n1,inf\n2,0.2\n3,0.3\n", "not_finite"),
    "empty cell": ("id,p\n1,\n2,0.2\n3,0.3\n", "not_a_number"),
    "text": ("id,p\n1,high\n2,0.2\n3,0.3\n", "not_a_number"),
    "out of range": ("id,p\n1,1.1\n2,0.2\n3,0.3\n", "out_of_range"),
    "missing column": ("id,q\n1,0.1\n2,0.2\n3,0.3\n", "missing_columns"),
    "column twice": ("id,p,p\n1,0.1,0.1\n2,0.2,0.1\n3,0.3,0.1\n", "duplicate_columns"),
    "ragged": ("id,p\n1,0.1\n2,0.2,7,8\n3,0.3\n", "malformed"),
    "empty": ("", "empty"),
    "not utf-8": ("id,p\n1,0.1\n".encode("utf-16"), "wrong_encoding"),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(text.encode())
    assert align(SPEC, path, ANSWERS)["p"].to_list() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(("text", "code"), REJECTED.values(), ids=REJECTED)
def test_rejected(text: str | bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidSubmissionError) as caught:
        align(SPEC, path, ANSWERS)
    assert code in [i.code for i in caught.value.issues]


def test_every_issue_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("id,p\n1,nan\n1,2\n9,x\n")
    with pytest.raises(InvalidSubmissionError) as caught:
        align(SPEC, path, ANSWERS)
    codes = {i.code for i in caught.value.issues}
    assert codes == {
        "missing_ids",
        "unknown_ids",
        "duplicate_ids",
        "not_finite",
        "out_of_range",
        "not_a_number",
    }


def test_inputs_are_not_changed() -> None:
    truth, prediction = np.array([0, 1, 1]), np.array([0.3, 0.2, 0.1])
    get_metric("roc_auc")(truth, prediction)
    assert prediction.tolist() == [0.3, 0.2, 0.1]
