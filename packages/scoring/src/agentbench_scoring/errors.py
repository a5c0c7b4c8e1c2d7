"""Errors: one root, each also a standard-library exception."""


class ScoringError(Exception):
    """Root of every error this package raises on purpose."""


class InvalidInputError(ScoringError, ValueError):
    """An argument or a file that cannot be used."""


class UndefinedMetricError(ScoringError, ArithmeticError):
    """The quantity does not exist on these data."""


class NotIdentifiableError(UndefinedMetricError):
    """Ratings have no finite maximum-likelihood estimate."""
