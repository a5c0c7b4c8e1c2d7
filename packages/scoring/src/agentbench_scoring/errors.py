"""Errors: one root, each also a standard-library exception."""

from dataclasses import dataclass
from typing import Literal


class ScoringError(Exception):
    """Root of every error this package raises on purpose."""


class InvalidInputError(ScoringError, ValueError):
    """An argument or a file that cannot be used."""


class UndefinedMetricError(ScoringError, ArithmeticError):
    """The quantity does not exist on these data."""


class NotIdentifiableError(UndefinedMetricError):
    """Ratings have no finite maximum-likelihood estimate."""


class UnknownMetricError(ScoringError, LookupError):
    """No metric has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One thing that is wrong with a submission.

    Attributes:
        code: A word for programs, such as `missing_ids`.
        message: A sentence for people.
        count: How many rows or columns it concerns.
        ids: The first ten of them.
        severity: A warning does not make a submission invalid.
    """

    code: str
    message: str
    count: int = 1
    ids: tuple[str, ...] = ()
    severity: Literal["error", "warning"] = "error"


class InvalidSubmissionError(ScoringError, ValueError):
    """A submission that cannot be scored; `issues` says everything that is wrong with it."""

    def __init__(self, issues: tuple[Issue, ...]) -> None:
        super().__init__("invalid submission: " + "; ".join(i.message for i in issues))
        self.issues = issues
