"""From a submission and the answers to a score."""

import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from agentbench_scoring.errors import InvalidInputError, InvalidSubmissionError
from agentbench_scoring.integrity import (
    Evidence,
    Finding,
    better_than_people,
    compare_code,
    examine,
    near_duplicate,
)
from agentbench_scoring.issue import Issue
from agentbench_scoring.layout import AnswerColumns, number_columns, prediction_argument, take_rows
from agentbench_scoring.reading import Limits, UnreadableTableError, read_table
from agentbench_scoring.specification import SubmissionSpec
from agentbench_scoring.submission import Submitted, answer_keys, read_submission


class Score(BaseModel):
    """The result of scoring one submission; the value is a finite number.

    Args:
        schema_version: Of this record.
        metric: Name of the metric.
        value: Its value.
        higher_is_better: Its direction.
        part: The part of the answers that was scored, None for all of it.
        n_rows: Rows (ids) that were scored.
        issues: Warnings of the check.
        findings: What looks odd about the predictions; data, not verdicts.
        submission_sha256: Of the file (decompressed), or of the table's rows.
        answers_sha256: Likewise.
        versions: Of Python and the libraries that computed it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    metric: str
    value: float
    higher_is_better: bool
    part: str | None
    n_rows: int
    issues: tuple[Issue, ...]
    findings: tuple[Finding, ...]
    submission_sha256: str
    answers_sha256: str
    versions: dict[str, str]


class Scorer:
    """Answers read once, to score many submissions.

    Args:
        spec: What a submission must look like.
        answers: The truth: path of a CSV file, or a table.

    Raises:
        InvalidInputError: The answers do not fit the spec.
    """

    def __init__(self, spec: SubmissionSpec, answers: object) -> None:
        """Read and index the answers."""
        self.spec = spec
        frame, self._sha256 = _read_answers(answers, numeric=number_columns(spec))
        self._answers, self._keys = answer_keys(spec, frame)
        self._truth = AnswerColumns(spec, self._answers)

    def validate(self, submission: object) -> list[Issue]:
        """Everything that is wrong with a submission; an empty list if nothing is."""
        _, _, issues = self._read(submission)
        if any(issue.severity == "error" for issue in issues):
            return issues
        try:
            self.score(submission)
        except InvalidSubmissionError as error:
            return list(error.issues)
        except ArithmeticError:
            return issues  # the submission is sound, the metric has no value on it
        return issues

    def score(
        self, submission: object, *, part: str | None = None, evidence: Evidence | None = None
    ) -> Score:
        """Check all rows and compute the metric on a part of them.

        Args:
            submission: Path of a CSV file, or a table.
            part: Part of the answers to score (a value of `part_column`); None for all rows that
                are not "ignored".
            evidence: What to hold the submission against for more findings.

        Raises:
            InvalidSubmissionError: The submission has errors; `issues` holds them all.
            UndefinedMetricError: The metric has no value on these data.
            InvalidInputError: The part, or code of the evidence, does not exist.
        """
        submitted, argument, issues = self._read(submission)
        if any(issue.severity == "error" for issue in issues):
            raise InvalidSubmissionError(_summary(issues), issues)
        rows = self._rows(part)
        metric = self.spec.scored_by
        truth, pred = self._truth.argument(rows), take_rows(argument, rows)
        params = {**self._metric_params(), **self._truth.parameters(rows)}
        try:
            value = metric(truth, pred, **params)
        except InvalidSubmissionError as error:
            issue = Issue(code="malformed", message=str(error))
            raise InvalidSubmissionError(str(error), [*issues, issue]) from error
        return Score(
            metric=metric.spec.name,
            value=value,
            higher_is_better=metric.spec.higher_is_better,
            part=part,
            n_rows=len(self._answers) if rows is None else len(rows),
            issues=tuple(issues),
            findings=(
                *examine(metric.spec, value, truth, pred),
                *self._compare(evidence or Evidence(), value, submitted),
            ),
            submission_sha256=submitted.sha256 or "",
            answers_sha256=self._sha256,
            versions=dict(_versions()),
        )

    def _compare(self, evidence: Evidence, value: float, submitted: Submitted) -> list[Finding]:
        """Findings from the evidence; all rows are compared, whichever part is scored."""
        found: list[Finding | None] = []
        if evidence.board is not None:
            found.append(better_than_people(value, evidence.board))
        others = [(name, other, False) for name, other in evidence.others.items()]
        if evidence.sample is not None:
            others.append(("the sample", evidence.sample, True))
        for name, other, sample in others:
            columns = read_submission(self.spec, other, self._keys)
            if columns.valid:
                found.append(
                    near_duplicate(submitted.columns, columns.columns, name=name, sample=sample)
                )
        return [finding for finding in [*found, *compare_code(evidence)] if finding is not None]

    def _metric_params(self) -> dict[str, Any]:
        params = dict(self.spec.params)
        if self.spec.scored_by.spec.truth == "class":
            params.pop("labels", None)  # the columns have been put into the labels' order
        return params

    def _read(self, submission: object) -> tuple[Submitted, Any, list[Issue]]:
        submitted = read_submission(self.spec, submission, self._keys)
        issues = list(submitted.issues)
        if not submitted.valid:
            return submitted, None, issues
        argument, malformed = prediction_argument(self.spec, submitted.columns, submitted.keys)
        return submitted, argument, issues + malformed

    def _rows(self, part: str | None) -> NDArray[np.intp] | None:
        """Rows of the answers that belong to a part; None for all."""
        column = self.spec.part_column
        if column is None:
            if part is not None:
                raise InvalidInputError(f"the spec has no part_column, so no part {part!r}")
            return None
        if column not in self._answers.columns:
            raise InvalidInputError(f"the answers lack the part column {column!r}")
        names = self._answers[column].cast(pl.String)
        chosen = names != "ignored" if part is None else names == part
        rows = np.flatnonzero(chosen.fill_null(value=False).to_numpy())
        if not len(rows):
            parts = sorted(str(name) for name in names.unique().to_list())
            raise InvalidInputError(f"no row of the answers is of part {part!r}; parts: {parts}")
        return rows


def score_submission(
    spec: SubmissionSpec,
    submission: object,
    answers: object,
    *,
    part: str | None = None,
    evidence: Evidence | None = None,
) -> Score:
    """Check a submission against the answers and score it.

    Args:
        spec: What a submission must look like, and the metric.
        submission: Path of a CSV file (also gzipped), or a table: polars, pandas, pyarrow, or a
            mapping of columns.
        answers: The truth, likewise.
        part: Part of the answers to score; all ids are checked in any case.
        evidence: What to hold the submission against for more findings: a human leaderboard,
            the sample, other submissions, other code.

    Returns:
        The score, with warnings and findings.

    Raises:
        InvalidSubmissionError: The submission has errors; `issues` holds them all.
        UndefinedMetricError: The metric has no value on these data.
        InvalidInputError: The spec and the answers do not fit together.
    """
    return Scorer(spec, answers).score(submission, part=part, evidence=evidence)


def validate(spec: SubmissionSpec, submission: object, answers: object = None) -> list[Issue]:
    """Everything that is wrong with a submission, at once; an empty list if nothing is.

    Args:
        spec: What a submission must look like.
        submission: Path of a CSV file, or a table.
        answers: The truth, or any table with the ids asked for, such as the sample submission.
            Without it, which ids there are is not checked.
    """
    if answers is None:
        submitted = read_submission(spec, submission, None)
        return _with_malformed(spec, submitted)
    frame, _ = _read_answers(answers)
    _, keys = answer_keys(spec, frame)
    return _with_malformed(spec, read_submission(spec, submission, keys))


def align(spec: SubmissionSpec, submission: object, answers: object) -> pl.DataFrame:
    """The target columns of a sound submission, row by row as in the answers.

    Args:
        spec: What the submission must look like; a metric is not needed.
        submission: Path of a CSV file, or a table.
        answers: The answers; only their ids are read.

    Raises:
        InvalidSubmissionError: The submission has errors; `issues` holds them all.
    """
    frame, _ = _read_answers(answers)
    _, keys = answer_keys(spec, frame)
    submitted = read_submission(spec, submission, keys)
    if not submitted.valid:
        raise InvalidSubmissionError(_summary(list(submitted.issues)), submitted.issues)
    columns = {
        name: values.tolist() if values.dtype == object else values
        for name, values in submitted.columns.items()
    }
    return pl.DataFrame(columns)


def _with_malformed(spec: SubmissionSpec, submitted: Submitted) -> list[Issue]:
    issues = list(submitted.issues)
    if submitted.valid and spec.metric is not None:
        issues += prediction_argument(spec, submitted.columns, submitted.keys)[1]
    return issues


def _read_answers(answers: object, *, numeric: Sequence[str] = ()) -> tuple[pl.DataFrame, str]:
    most = Limits(max_bytes=1 << 36, max_rows=1 << 32, max_field_chars=1 << 31)
    try:
        return read_table(answers, limits=most, numeric=dict.fromkeys(numeric, pl.Float64))
    except UnreadableTableError as error:
        raise InvalidInputError(f"answers: {error.issue.message}") from error


def _summary(issues: list[Issue]) -> str:
    errors = [issue.message for issue in issues if issue.severity == "error"]
    return "invalid submission: " + "; ".join(errors[:5]) + ("; ..." if errors[5:] else "")


@cache
def _versions() -> dict[str, str]:
    found = {name: version(name) for name in ("agentbench-scoring", "numpy", "polars")}
    return {"python": platform.python_version(), **found}
