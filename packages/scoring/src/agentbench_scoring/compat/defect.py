"""A defect of a grader, and what that grader computes because of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agentbench_scoring.errors import UnknownMetricError


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One verified fault.

    Args:
        competitions: The slugs it concerns.
        fault: What the grader does, against what the competition asks.
        function: `(y_true, y_pred) -> float` as that grader computes, in the shapes of
            `agentbench_scoring.get_metric`; None where it is listed and not reproduced.
    """

    competitions: tuple[str, ...]
    fault: str
    function: Callable[..., float] | None = None


def function_of(defects: Iterable[Defect], competition: str, suite: str) -> Callable[..., float]:
    """The grader's function for a competition.

    Raises:
        UnknownMetricError: No reproduced defect concerns it: use the metric itself.
    """
    for defect in defects:
        if competition in defect.competitions and defect.function is not None:
            return defect.function
    raise UnknownMetricError(
        f"{suite} has no reproduced defect for {competition!r}; use the competition's own metric"
    )
