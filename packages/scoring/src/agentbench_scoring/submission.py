"""A submission that was read and checked, and everything that is wrong with one."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.fields import read_target
from agentbench_scoring.issue import Issue, IssueCode
from agentbench_scoring.keys import Keys, align, keyed, whole_ids
from agentbench_scoring.reading import UnreadableTableError, read_table
from agentbench_scoring.specification import SubmissionSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A submission that was read: its issues and, without errors, its columns.

    `columns` are in the order of the answers (of the file when no answers were given); `keys`
    name its rows.
    """

    issues: tuple[Issue, ...]
    columns: dict[str, NDArray[Any]]
    keys: Keys | None
    sha256: str | None

    @property
    def valid(self) -> bool:
        """Whether no issue is an error."""
        return all(issue.severity != "error" for issue in self.issues)


def read_submission(spec: SubmissionSpec, submission: object, answers: Keys | None) -> Submitted:
    """Read and check a submission, and bring its rows into the order of the answers' ids."""
    numeric: dict[str, Any] = {t.name: pl.Float64 for t in spec.targets if t.dtype == "float"}
    if answers is not None and isinstance(answers.values, np.ndarray):
        numeric[spec.id_columns[0]] = pl.Int64
    try:
        frame, sha256 = read_table(
            submission, limits=spec.limits, numeric={} if spec.repeat_ids else numeric
        )
    except UnreadableTableError as error:
        return Submitted(issues=(error.issue,), columns={}, keys=None, sha256=None)
    issues = _column_issues(spec, frame)
    if any(issue.severity == "error" for issue in issues):
        return Submitted(issues=tuple(issues), columns={}, keys=None, sha256=sha256)
    whole = spec.id_dtype == "int"
    if answers is not None:
        whole = isinstance(answers.values, np.ndarray)
    frame, keys, faults = keyed(
        frame, spec.id_columns, as_integers=whole, repeat_ids=spec.repeat_ids
    )
    issues += faults
    columns: dict[str, NDArray[Any]] = {}
    for target in spec.targets:
        columns[target.name], faults = read_target(target, frame[target.name], keys)
        issues += faults
    if spec.n_rows is not None and frame.height != spec.n_rows and answers is None:
        code: IssueCode = "missing_id" if frame.height < spec.n_rows else "unknown_id"
        message = f"{frame.height} rows instead of {spec.n_rows}"
        issues.append(Issue(code=code, message=message, count=abs(frame.height - spec.n_rows)))
    if answers is None:
        return Submitted(issues=tuple(issues), columns=columns, keys=keys, sha256=sha256)
    order, faults = align(answers, keys)
    issues += faults
    if order is not None:
        columns = {name: column[order] for name, column in columns.items()}
    return Submitted(issues=tuple(issues), columns=columns, keys=answers, sha256=sha256)


def answer_keys(spec: SubmissionSpec, answers: pl.DataFrame) -> tuple[pl.DataFrame, Keys]:
    """The answers (one row an id) and their keys.

    Raises:
        InvalidInputError: An id column lacks, an id repeats, or there are no rows.
    """
    lacking = [name for name in spec.id_columns if name not in answers.columns]
    if lacking:
        raise InvalidInputError(f"the answers lack the id column {lacking[0]!r}")
    if not answers.height:
        raise InvalidInputError("the answers hold no rows")
    first = spec.id_columns[0]
    whole = spec.id_dtype == "int"
    if len(spec.id_columns) > 1:
        whole = False
    elif spec.id_dtype == "auto" and (ids := whole_ids(answers[first])) is not None:
        answers, whole = answers.with_columns(ids), True
    answers, keys, issues = keyed(
        answers, spec.id_columns, as_integers=whole, repeat_ids=spec.repeat_ids
    )
    _, faults = align(keys, keys)
    for issue in [*issues, *faults]:
        raise InvalidInputError(f"answers: {issue.message} ({', '.join(issue.ids)})")
    return answers, keys


def _column_issues(spec: SubmissionSpec, frame: pl.DataFrame) -> list[Issue]:
    issues: list[Issue] = []
    wanted = [*spec.id_columns, *(target.name for target in spec.targets)]
    missing = [name for name in wanted if name not in frame.columns]
    extra = [name for name in frame.columns if name not in wanted]
    for code, severity, names, words in (
        ("missing_column", "error", missing, "columns are missing: "),
        ("extra_column", "warning", extra, "columns are not used: "),
    ):
        if names:
            issues.append(
                Issue(
                    code=cast("IssueCode", code),
                    severity=cast("Any", severity),
                    message=words + ", ".join(repr(name[:80]) for name in names[:10]),
                    count=len(names),
                    ids=tuple(name[:200] for name in names[:10]),
                )
            )
    if not missing and not frame.height:
        issues.append(Issue(code="empty", message="the table has a header and no rows"))
    return issues
