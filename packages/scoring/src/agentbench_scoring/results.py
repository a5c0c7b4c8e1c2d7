"""The results table: one row per finished run, read from ``results.jsonl`` and checked.

Everything in a row may have been written by an agent's run, so it is validated, bounded in length
and never interpreted; reports escape it.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agentbench_scoring.errors import InvalidInputError

_MAX_LINE_BYTES = 4 * 1024 * 1024

Name = Annotated[str, Field(max_length=300)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(allow_inf_nan=False, ge=0)]
Status = Literal["scored", "invalid", "failed", "infra"]
Feedback = Literal["none", "validity", "validation", "public", "public+private"]


class Run(BaseModel):
    """One finished run of one agent on one task.

    Attributes:
        run_id: unique within a table.
        task: name of the task.
        task_version: digest or version; one table should hold one version of each task.
        family: tasks of one family are not independent; the task itself when empty.
        agent: name of the scaffold.
        model: name of the language model; may be empty.
        seed: of the run.
        status: ``scored``; ``invalid`` (a submission that the rules reject) and ``failed`` count
            as the worst outcome; ``infra`` is the laboratory's fault and counts as no run.
        score: raw metric, None unless scored.
        higher_is_better: direction of ``score``; needed to compare raw scores.
        human_rank: share of human teams beaten, 0 to 1 (the paper's form can reach -1/N).
        medal: gold, silver, bronze or None.
        margin: percent of the way from the baseline to the best human, unclipped.
        steps: actions taken.
        wall_s: seconds.
        tokens: of the language model, in and out.
        cost_usd: of the language model.
        feedback: what the agent could learn from the grader.
        error: why the run was invalid or failed: a short code, or a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    run_id: Name
    task: Annotated[Name, Field(min_length=1)]
    task_version: Name = ""
    family: Name = ""
    agent: Annotated[Name, Field(min_length=1)]
    model: Name = ""
    seed: int = 0
    status: Status
    score: Finite | None = None
    higher_is_better: bool | None = None
    human_rank: Annotated[Finite, Field(ge=-1, le=1)] | None = None
    medal: Literal["gold", "silver", "bronze"] | None = None
    margin: Finite | None = None
    steps: Annotated[int, Field(ge=0)] | None = None
    wall_s: NonNegative | None = None
    tokens: Annotated[int, Field(ge=0)] | None = None
    cost_usd: NonNegative | None = None
    feedback: Feedback | None = None
    error: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _blank_is_absent(cls, data: object) -> object:
        """None in a field that has a default means the default."""
        if not isinstance(data, Mapping):
            return data
        given = cast("Mapping[object, object]", data)
        row = {str(key): value for key, value in given.items() if value is not None}
        if isinstance(medal := row.get("medal"), str):
            row["medal"] = medal.lower()
        if isinstance(error := row.get("error"), str):
            row["error"] = error[:500]
        return row

    @model_validator(mode="after")
    def _score_matches_status(self) -> Self:
        outcome = (self.score, self.human_rank, self.margin)
        if self.status == "scored" and all(x is None for x in outcome):
            raise ValueError("a scored run needs a score, a human_rank or a margin")
        if self.status != "scored" and any(x is not None for x in (*outcome, self.medal)):
            raise ValueError(
                f"a run with status {self.status!r} has no score, rank, medal or margin"
            )
        return self

    @property
    def entrant(self) -> str:
        """Agent and model as one name."""
        return f"{self.agent} · {self.model}" if self.model else self.agent

    @property
    def cluster(self) -> str:
        """The unit that was sampled: the family, or the task where it has none."""
        return self.family or self.task

    @property
    def signed_score(self) -> float | None:
        """The raw score turned so that higher is better; None without a score or a direction."""
        if self.score is None or self.higher_is_better is None:
            return None
        return self.score if self.higher_is_better else -self.score


class Results(BaseModel):
    """A checked table of runs.

    Attributes:
        runs: one per ``run_id``.
        torn_lines: incomplete last lines that were skipped; a killed writer leaves one.
    """

    model_config = ConfigDict(frozen=True)

    runs: tuple[Run, ...]
    torn_lines: int = 0

    @cached_property
    def entrants(self) -> tuple[str, ...]:
        """Every agent and model, sorted."""
        return tuple(sorted({run.entrant for run in self.runs}))

    @cached_property
    def clusters(self) -> Mapping[str, str]:
        """Task -> family, sorted by task."""
        return dict(sorted((run.task, run.cluster) for run in self.runs))


def read_results(source: str | Path | Iterable[Mapping[str, object]]) -> Results:
    """Read and check a results table.

    Args:
        source: a ``results.jsonl`` file, a folder that holds one, or rows.

    Raises:
        InvalidInputError: no such file, no run, a row that is not valid (named by its line), or
            two different rows with one ``run_id``.
    """
    if isinstance(source, str | Path):
        rows, torn = _read_json_lines(Path(source))
    else:
        rows, torn = [(f"row {i}", row) for i, row in enumerate(source, 1)], 0
    runs: dict[str, Run] = {}
    for where, row in rows:
        try:
            run = Run.model_validate(row)
        except ValidationError as error:
            raise InvalidInputError(f"{where}: {_first_problem(error)}") from error
        if runs.setdefault(run.run_id, run) != run:
            raise InvalidInputError(
                f"{where}: run_id {run.run_id!r} appears with different results"
            )
    if not runs:
        raise InvalidInputError("the results table holds no run")
    table = Results(runs=tuple(runs.values()), torn_lines=torn)
    _check_families(table)
    return table


def _read_json_lines(path: Path) -> tuple[list[tuple[str, object]], int]:
    file = path / "results.jsonl" if path.is_dir() else path
    if not file.is_file():
        raise InvalidInputError(f"{file} does not exist; a results table is a results.jsonl file")
    rows: list[tuple[str, object]] = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if len(line) > _MAX_LINE_BYTES:
                raise InvalidInputError(f"{file}, line {number} is longer than 4 MiB")
            if not line.strip():
                continue
            try:
                rows.append((f"{file}, line {number}", json.loads(line, parse_constant=_reject)))
            except (ValueError, RecursionError) as error:
                if not line.endswith(b"\n"):
                    return rows, 1
                raise InvalidInputError(f"{file}, line {number} is not JSON: {error}") from error
    return rows, 0


def _reject(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in problem["loc"])
    value = repr(problem.get("input"))
    return f"{field or 'row'}: {problem['msg']} (got {value[:80]})"


def _check_families(table: Results) -> None:
    family: dict[str, str] = {}
    direction: dict[str, bool] = {}
    for run in table.runs:
        if family.setdefault(run.task, run.cluster) != run.cluster:
            raise InvalidInputError(
                f"task {run.task!r} is in two families, {family[run.task]!r} and {run.cluster!r}"
            )
        if run.higher_is_better is None:
            continue
        if direction.setdefault(run.task, run.higher_is_better) != run.higher_is_better:
            raise InvalidInputError(f"task {run.task!r} is scored in both directions")
