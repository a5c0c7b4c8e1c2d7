"""Errors: one root, each also a standard-library exception."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentbench_scoring.issue import Issue


class ScoringError(Exception):
    """Root of every error this package raises on purpose."""


class InvalidInputError(ScoringError, ValueError):
    """An argument or a file that cannot be used."""


class InvalidSubmissionError(InvalidInputError):
    """Predictions that cannot be scored; `issues` says everything that is wrong with them."""

    def __init__(self, message: str, issues: "Sequence[Issue]" = ()) -> None:
        """Keep the issues beside the message."""
        super().__init__(message)
        self.issues = tuple(issues)


class UnknownMetricError(InvalidInputError, LookupError):
    """No metric has this name."""


class MissingExtraError(ScoringError, ImportError):
    """A metric needs an optional dependency that is not installed."""


class UndefinedMetricError(ScoringError, ArithmeticError):
    """The quantity does not exist on these data."""


class DegenerateLeaderboardError(UndefinedMetricError):
    """A board that cannot rank anybody: empty, constant, or not finite."""


class NotIdentifiableError(UndefinedMetricError):
    """Ratings have no finite maximum-likelihood estimate."""
