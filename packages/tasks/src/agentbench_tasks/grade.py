"""Grade a submission on the host: score, place on the human board, margin between anchors."""

import hashlib
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from agentbench_scoring import SubmissionSpec, TargetSpec, align, get_metric
from agentbench_tasks.board import Medal, standing
from agentbench_tasks.build import ANSWERS, PART
from agentbench_tasks.errors import PreparationError
from agentbench_tasks.metric_input import metric_input
from agentbench_tasks.prepare import PreparedTask
from agentbench_tasks.record import Record
from agentbench_tasks.task import SubmissionTask

Part = Literal["public", "private", "all"]


class Grade(Record):
    """What a submission is worth on one part of the answers.

    Args:
        task: Name of the task.
        task_version: Its version.
        metric: Name of the metric.
        part: The part of the answers that was looked at.
        n: Answers in that part.
        score: The metric's value.
        higher_is_better: Direction of the metric.
        human_rank: Share of human teams beaten, in [0, 1]; None without a usable board. Read off
            the board's quantiles.
        position: Place on the board, 1 is the best.
        medal: Medal that the place would win.
        margin: (score - trivial) / (strong - trivial): 0 is no learning, 1 is the strong anchor;
            unclipped; None without both anchors.
        progress: `human_rank` if there is a board, else the margin clipped to [0, 1]; 0 without
            either. A reward's potential.
        sha256: Of the submission file.
    """

    task: str
    task_version: int
    metric: str
    part: Part
    n: int = Field(ge=0)
    score: float
    higher_is_better: bool
    human_rank: float | None = None
    position: int | None = None
    medal: Medal | None = None
    margin: float | None = None
    progress: float = Field(ge=0, le=1)
    sha256: str


def submission_spec(task: SubmissionTask) -> SubmissionSpec:
    """The task's submission format as agentbench-scoring states it."""
    return SubmissionSpec(
        id_columns=task.submission.id,
        targets=tuple(
            TargetSpec(
                name=name,
                dtype=column.type,
                low=column.minimum,
                high=column.maximum,
                values=column.values,
            )
            for name, column in task.submission.columns.items()
        ),
    )


def read_answers(prepared: PreparedTask) -> pl.DataFrame:
    """The answers, every column as text: ids, targets, extra columns, and the part of each row."""
    return pl.read_csv(prepared.private / ANSWERS, infer_schema=False).fill_null("")


def grade(
    prepared: PreparedTask, submission: str | Path | pl.DataFrame, *, part: Part = "private"
) -> Grade:
    """Grade a submission.

    The whole file is checked whatever the part: every id of the test set, once.

    Args:
        prepared: The prepared task.
        submission: A CSV file, or a table.
        part: Answers to score on: `public` is what feedback may show, `private` what the final
            score uses.

    Raises:
        InvalidSubmissionError: From agentbench-scoring, with every issue found.
        UndefinedMetricError: From agentbench-scoring: the metric is not defined on this part.
        PreparationError: The task has no answers in that part.
    """
    task = prepared.task
    answers = read_answers(prepared)
    aligned = align(submission_spec(task), submission, answers)
    keep = pl.Series([True] * answers.height) if part == "all" else answers[PART] == part
    if not keep.any():
        raise PreparationError(f"{task.name} has no {part} part: its test side is too small")
    metric = get_metric(task.metric.name)
    truth, prediction, extra = metric_input(
        task.metric.name, task.submission, answers.filter(keep), aligned.filter(keep)
    )
    score = metric(truth, prediction, **task.metric.params, **extra)
    place = None
    if prepared.synthetic is None:
        place = standing(task.board, score, higher_is_better=task.higher_is_better)
    margin = _margin(prepared, score)
    progress = place.human_rank if place else min(max(margin or 0.0, 0.0), 1.0)
    return Grade(
        task=task.name,
        task_version=task.version,
        metric=task.metric.name,
        part=part,
        n=int(keep.sum()),
        score=score,
        higher_is_better=task.higher_is_better,
        human_rank=None if place is None else place.human_rank,
        position=None if place is None else place.position,
        medal=None if place is None else place.medal,
        margin=margin,
        progress=progress,
        sha256=_digest(submission),
    )


def _margin(prepared: PreparedTask, score: float) -> float | None:
    anchors = prepared.task.anchors
    if prepared.synthetic is not None or anchors.trivial is None or anchors.strong is None:
        return None
    span = anchors.strong.value - anchors.trivial.value
    return (score - anchors.trivial.value) / span if span else None


def _digest(submission: str | Path | pl.DataFrame) -> str:
    if isinstance(submission, pl.DataFrame):
        return hashlib.sha256(submission.write_csv().encode()).hexdigest()
    with Path(submission).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
