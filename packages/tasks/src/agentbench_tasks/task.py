"""What a task is: a frozen record, read from YAML, that says everything and runs nothing."""

import hashlib
import json
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from agentbench_scoring import UnknownMetricError, get_metric
from agentbench_tasks.recipe import Recipe
from agentbench_tasks.record import Record, expand_names

FeedbackPolicy = Literal["none", "validity", "validation", "public", "public+private"]
Modality = Literal["tabular", "text", "image", "audio", "timeseries", "multimodal", "graph", "code"]
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")]


class Command(Record):
    """A command as data; tasks never run it.

    Args:
        argv: Program and arguments.
        cwd: Working directory, relative to the task's folder.
        timeout_s: Wall-clock limit in seconds.
    """

    argv: tuple[str, ...]
    cwd: str = "."
    timeout_s: float = Field(default=3600, gt=0)


class Resources(Record):
    """What one run may use: cores, memory and disk in MiB, GPUs, seconds, network."""

    cpus: float = Field(default=2, gt=0)
    memory_mib: int = Field(default=4096, gt=0)
    disk_mib: int = Field(default=4096, gt=0)
    gpus: int = Field(default=0, ge=0)
    wall_s: float = Field(default=3600, gt=0)
    network: bool = False


class Anchor(Record):
    """A reference score, where it comes from, and when it was taken."""

    value: float
    source: str
    date: date


class Anchors(Record):
    """Reference scores of a task, in its metric.

    Args:
        trivial: What needs no learning: the majority class, the mean, the sample submission.
        strong: A tuned model; margin 1 by definition.
        baseline: The organisers' baseline.
        median: The median human team.
        human: The human reference that reports compare with.
        best: The best human team.
    """

    trivial: Anchor | None = None
    strong: Anchor | None = None
    baseline: Anchor | None = None
    median: Anchor | None = None
    human: Anchor | None = None
    best: Anchor | None = None


class BoardSummary(Record):
    """Quantiles of a leaderboard by rank from the best: `p10` is the score at rank ceil(0.1 n)."""

    n: int = Field(gt=0)
    best: float
    p1: float
    p5: float
    p10: float
    p25: float
    p50: float
    p75: float
    p90: float
    worst: float


class Board(Record):
    """The human leaderboards of a competition, as far as they can be trusted.

    Args:
        private: The final board.
        public: The board shown during the competition; None when it is constant or a copy.
        n_teams: Teams that took part; more than `private.n` when the board is cut.
        issues: What is wrong with the boards.
    """

    private: BoardSummary
    public: BoardSummary | None = None
    n_teams: int | None = Field(default=None, gt=0)
    issues: tuple[str, ...] = ()


class Provenance(Record):
    """Where a task comes from and what its data may be used for."""

    url: str
    licence: str
    licence_url: str | None = None
    host: str | None = None
    size_bytes: int | None = Field(default=None, ge=0)


class Metric(Record):
    """A metric of agentbench-scoring by name: the score is `offset + scale * metric`.

    Args:
        name: Its name there.
        params: Its parameters.
        scale: 1 but where a board, or MLE-Dojo's variant, counts on another scale.
        offset: 0 but there.
    """

    name: str
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    scale: float = Field(default=1, gt=0)
    offset: float = 0


class Column(Record):
    """One predicted column of a submission.

    Args:
        type: What a cell holds.
        values: The values allowed; for a class label, all classes.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
    """

    type: Literal["float", "int", "str"]
    values: tuple[str | int, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


class Submission(Record):
    """The table that an agent hands in: id columns, then one or more predicted columns.

    In a task file a key of `columns` may stand for many: `f1..f9` or `a|b|c`.
    """

    id: tuple[str, ...] = Field(min_length=1)
    columns: dict[str, Column] = Field(min_length=1)

    @field_validator("columns")
    @classmethod
    def _written_out(cls, columns: dict[str, Column]) -> dict[str, Column]:
        """Short forms of many names (`f1..f9`, `a|b|c`) to one entry each."""
        return {name: spec for key, spec in columns.items() for name in expand_names([key])}


class SubmissionTask(Record):
    """A task that is answered by a table of predictions.

    Args:
        name: Slug; a variant carries a suffix, e.g. `titanic.mle-dojo`.
        version: Rises with every change that changes scores.
        title: One line.
        description: What the agent reads about the problem, in our own words.
        modality: Kind of data.
        task_type: Kind of prediction.
        difficulty: How hard people and models found it.
        family: Tasks of one family are not independent (clusters for statistics).
        tags: Free words to search by.
        suites: Published suites and their parts that hold it: `mle-dojo`, `mle-dojo/eval`,
            `mle-bench/low`, `dsbench`, `lite`, `quick`, ...
        metric: The metric that the final score uses.
        higher_is_better: Stated here, and checked against the metric.
        submission: The table to hand in.
        recipe: How the data are prepared.
        resources: What one run may use.
        feedback: What an agent may learn from the grader by default.
        anchors: Reference scores.
        board: Human leaderboards.
        provenance: Where it comes from.
        known_issues: What a user should know before trusting a score.
        hide: Paths, relative to the Python import roots, that a sandbox must hide because they
            hold or make the task's answers.
        stand_in: Raw files by path, their columns and what each holds, for `synthesise`.
        variants: Overrides by variant name, merged into this record (see `catalogue.load_task`).
    """

    kind: Literal["submission"]
    name: Slug
    version: int = Field(gt=0)
    title: str
    description: str
    modality: Modality
    task_type: Literal[
        "binary",
        "multiclass",
        "multilabel",
        "ordinal",
        "regression",
        "multi_regression",
        "distribution",
        "ranking",
        "recommendation",
        "retrieval",
        "matching",
        "detection",
        "segmentation",
        "span_extraction",
        "sequence",
        "generation",
    ]
    difficulty: Literal["easy", "medium", "hard"] | None = None
    family: Slug
    tags: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    metric: Metric
    higher_is_better: bool
    submission: Submission
    recipe: Recipe
    resources: Resources = Resources()
    feedback: FeedbackPolicy = "public"
    anchors: Anchors = Anchors()
    board: Board | None = None
    provenance: Provenance
    known_issues: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    stand_in: dict[str, dict[str, str]] = Field(default_factory=dict[str, dict[str, str]])
    variants: dict[Slug, dict[str, Any]] = Field(default_factory=dict[Slug, dict[str, Any]])

    @model_validator(mode="after")
    def _shown(self) -> Self:
        if self.feedback in ("validation", "public") and self.recipe.answers.public == 0:
            raise ValueError(
                f"feedback is {self.feedback!r}, but recipe.answers.public is 0: nothing can be"
                " shown; choose none, validity or public+private"
            )
        return self

    @model_validator(mode="after")
    def _direction(self) -> Self:
        try:
            spec = get_metric(self.metric.name).spec
        except UnknownMetricError:
            return self  # of a package that is not installed here; grading will say so
        if spec.higher_is_better != self.higher_is_better:
            raise ValueError(
                f"higher_is_better is {self.higher_is_better}, but metric {self.metric.name!r} has"
                f" higher_is_better={spec.higher_is_better}"
            )
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the whole record: two tasks with one digest are the same task."""
        record = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(record.encode()).hexdigest()


Task = SubmissionTask
"""Every kind of task; `kind` tells them apart."""
