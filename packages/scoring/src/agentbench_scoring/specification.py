"""What a submission must look like."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.metrics import Metric, get_metric
from agentbench_scoring.reading import Limits


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TargetSpec(_Record):
    """One predicted column.

    Args:
        name: Its header.
        dtype: What a field holds. Text also carries lists, run-length codes and boxes; the
            metric says which.
        low: Smallest number allowed.
        high: Largest number allowed.
        values: The values allowed, all of them; empty if any is.
    """

    name: str
    dtype: Literal["float", "int", "str", "bool"] = "float"
    low: float | None = None
    high: float | None = None
    values: tuple[int | str, ...] = ()


class SubmissionSpec(_Record):
    """The table to hand in and the metric that scores it.

    Args:
        id_columns: Columns that together name a row.
        targets: The predicted columns, in the order in which the metric takes them.
        metric: Name of the metric; None where only the form is checked.
        params: Its parameters.
        id_dtype: "int" compares ids as integers (`7`, `7.0`), "str" as text; "auto" is "int" if
            every id of the answers is an integer written without leading zeros.
        answer_columns: Where the answers differ: from a field of the metric's truth (or a
            parameter such as `sample_weight`) to the column or columns that hold it. A plain
            truth is the field `y_true`. By default truth columns carry the targets' names.
        part_column: Column of the answers that assigns each row to a part, such as "public" and
            "private"; rows of the part "ignored" must be submitted and are never scored.
        repeat_ids: Whether an id may fill several rows, whose fields then form one list in the
            order of the file (ranked guesses, one mask a row).
        n_rows: Rows that the table must have, where that is known without answers.
        limits: Sizes not to exceed.
    """

    id_columns: tuple[str, ...] = Field(min_length=1)
    targets: tuple[TargetSpec, ...] = Field(min_length=1)
    metric: str | None = None
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    id_dtype: Literal["auto", "int", "str"] = "auto"
    answer_columns: dict[str, str | tuple[str, ...]] = Field(
        default_factory=dict[str, str | tuple[str, ...]]
    )
    part_column: str | None = None
    repeat_ids: bool = False
    n_rows: int | None = Field(default=None, gt=0)
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [*self.id_columns, *(target.name for target in self.targets)]
        if len(set(names)) != len(names):
            raise ValueError(f"column names repeat: {names}")
        if self.metric is not None:
            known = {p.name for p in self.scored_by.spec.parameters}
            columns = [name for name in self.answer_columns if name in known]
            self.scored_by.check_params({**self.params, **dict.fromkeys(columns)})
        return self

    @property
    def scored_by(self) -> Metric:
        """The metric itself; raises `InvalidInputError` if none is named."""
        if self.metric is None:
            raise InvalidInputError("the spec names no metric, so nothing can be scored")
        return get_metric(self.metric)
