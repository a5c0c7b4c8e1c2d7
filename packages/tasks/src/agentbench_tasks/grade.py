"""Grade a submission against the answers of a prepared task, on the host."""

import hashlib
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from agentbench_scoring import SubmissionSpec, TargetSpec, align, get_metric
from agentbench_tasks.build import PART
from agentbench_tasks.prepare import PreparedTask
from agentbench_tasks.task import BoardSummary, Task

Part = Literal["public", "private", "all"]


class Grade(BaseModel):
    """What a submission is worth.

    Attributes:
        score: The task's metric on `part` of the answers.
        human_rank: Share of the teams on the board that it beats, in [0, 1]; None without a board.
        approximate: Whether the board is a summary by quantiles, so that the rank is interpolated.
        medal: Name of the medal, None without one.
        margin: (score - trivial) / (strong - trivial); None without both anchors. Unclipped.
        progress: The human rank, or the margin cut to [0, 1]: what rewards are made of.
        sha256: Of the file, where one was given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: float
    higher_is_better: bool
    part: Part
    n_rows: int
    human_rank: float | None = None
    approximate: bool = False
    medal: str | None = None
    margin: float | None = None
    progress: float
    sha256: str | None = None


def grade(
    prepared: PreparedTask, submission: str | Path | pl.DataFrame, *, part: Part = "private"
) -> Grade:
    """Check a submission on all ids and score it on a part of the answers.

    Raises:
        agentbench_scoring.InvalidSubmissionError: With everything that is wrong with it.
        agentbench_scoring.UndefinedMetricError: The metric is not defined on this part.
    """
    task = prepared.task
    answers = pl.read_csv(prepared.private / "answers.csv", infer_schema_length=None)
    predicted = align(submission_spec(task), submission, answers)
    rows = pl.repeat(True, answers.height, eager=True) if part == "all" else answers[PART] == part  # noqa: FBT003
    score = _score(task, answers.filter(rows), predicted.filter(rows))
    rank = None if task.board is None else human_rank(task, score)
    margin = _margin(task, score)
    progress = rank if rank is not None else min(1.0, max(0.0, margin or 0.0))
    return Grade(
        score=score,
        higher_is_better=task.higher_is_better,
        part=part,
        n_rows=int(rows.sum()),
        human_rank=rank,
        approximate=rank is not None,
        margin=margin,
        progress=progress,
        sha256=None if isinstance(submission, pl.DataFrame) else _sha256(Path(submission)),
    )


def submission_spec(task: Task) -> SubmissionSpec:
    """Return the table that a task wants, in the words of agentbench-scoring."""
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


def human_rank(task: Task, score: float) -> float:
    """Return the share of teams that a score beats, interpolated between the board's quantiles."""
    if task.board is None:
        raise ValueError(f"{task.name} has no leaderboard")
    quantiles = _quantiles(task.board.private)
    sign = 1.0 if task.higher_is_better else -1.0
    better = [(share, sign * value) for share, value in quantiles]
    if sign * score > better[0][1]:
        return 1.0
    for (low, above), (high, below) in zip(better, better[1:], strict=False):
        if sign * score >= below:
            width = above - below
            place = high if width == 0 else high - (high - low) * (sign * score - below) / width
            return 1.0 - place
    return 0.0


def _quantiles(board: BoardSummary) -> list[tuple[float, float]]:
    return [
        (0.0, board.best),
        (0.01, board.p1),
        (0.05, board.p5),
        (0.10, board.p10),
        (0.25, board.p25),
        (0.50, board.p50),
        (0.75, board.p75),
        (0.90, board.p90),
        (1.0, board.worst),
    ]


def _score(task: Task, answers: pl.DataFrame, predicted: pl.DataFrame) -> float:
    metric = get_metric(task.metric.name)
    names = list(task.submission.columns)
    if len(names) == 1:
        return metric(answers[names[0]], predicted[names[0]], **task.metric.params)
    return metric(
        answers.select(names).to_numpy(), predicted.select(names).to_numpy(), **task.metric.params
    )


def _margin(task: Task, score: float) -> float | None:
    trivial, strong = task.anchors.trivial, task.anchors.strong
    if trivial is None or strong is None or strong.value == trivial.value:
        return None
    return (score - trivial.value) / (strong.value - trivial.value)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
