"""Grade a submission on the host: score, place on the human board, margin between anchors."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from agentbench_scoring import Leaderboard, Medal, SubmissionSpec, TargetSpec, score_submission
from agentbench_tasks.build import ANSWERS, PART
from agentbench_tasks.errors import PreparationError
from agentbench_tasks.kaggle import read_board
from agentbench_tasks.preparation import PreparedTask
from agentbench_tasks.record import Record
from agentbench_tasks.task import BoardSummary, SubmissionTask

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
            the whole board where it was fetched with the data, else off its quantiles.
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
    """The task's submission format and metric as agentbench-scoring states them."""
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
        metric=task.metric.name,
        params=task.metric.params,
        answer_columns=task.recipe.answers.metric_columns,
        part_column=PART,
    )


def read_answers(prepared: PreparedTask) -> pl.DataFrame:
    """The answers, every column as text: ids, targets, extra columns, and the part of each row."""
    return pl.read_csv(prepared.private / ANSWERS, infer_schema=False).fill_null("")


def grade(
    prepared: PreparedTask,
    submission: str | Path | pl.DataFrame,
    *,
    part: Part = "private",
    answers: pl.DataFrame | None = None,
) -> Grade:
    """Grade a submission.

    The whole file is checked whatever the part: every id of the test set, once.

    Args:
        prepared: The prepared task.
        submission: A CSV file, or a table.
        part: Answers to score on: `public` is what feedback may show, `private` what the final
            score uses.
        answers: What `read_answers` returns, divided into parts in another way; by default as it
            was prepared.

    Raises:
        InvalidSubmissionError: From agentbench-scoring, with every issue found.
        UndefinedMetricError: From agentbench-scoring: the metric is not defined on this part.
        PreparationError: The task has no answers in that part.
    """
    task = prepared.task
    answers = read_answers(prepared) if answers is None else answers
    if part != "all" and part not in answers[PART].to_list():
        raise PreparationError(f"{task.name} has no {part} part: its test side is too small")
    result = score_submission(
        submission_spec(task), submission, answers, part=None if part == "all" else part
    )
    score = task.metric.offset + task.metric.scale * result.value
    board = (
        None if prepared.synthetic is not None else leaderboard(task, read_board(prepared.board))
    )
    human_rank = None if board is None else board.human_rank(score)
    margin = _margin(prepared, score)
    progress = min(max(margin or 0.0, 0.0), 1.0) if human_rank is None else human_rank
    return Grade(
        task=task.name,
        task_version=task.version,
        metric=task.metric.name,
        part=part,
        n=result.n_rows,
        score=score,
        higher_is_better=task.higher_is_better,
        human_rank=human_rank,
        position=None if board is None else board.position(score).position,
        medal=None if board is None else board.medal(score),
        margin=margin,
        progress=progress,
        sha256=result.submission_sha256,
    )


def leaderboard(task: SubmissionTask, scores: Sequence[float] = ()) -> Leaderboard | None:
    """The private board; None without one that ranks anybody.

    Args:
        task: The task, which has the board's quantiles.
        scores: The whole board as fetched; used if it is nearer to the private board's quantiles
            than to the public one's.
    """
    if task.board is None or task.board.private.best == task.board.private.worst:
        return None
    board = task.board.private
    if (
        scores
        and _gap(scores, board) <= _NEAR
        and (task.board.public is None or _gap(scores, board) <= _gap(scores, task.board.public))
    ):
        return Leaderboard(scores, higher_is_better=task.higher_is_better)
    quantiles = {0: board.best, 0.01: board.p1, 0.05: board.p5, 0.1: board.p10, 0.25: board.p25}
    quantiles |= {0.5: board.p50, 0.75: board.p75, 0.9: board.p90, 1: board.worst}
    return Leaderboard.from_quantiles(
        quantiles, n_teams=board.n, higher_is_better=task.higher_is_better
    )


_NEAR = 0.1


def _gap(scores: Sequence[float], board: BoardSummary) -> float:
    """Largest difference of the upper quantiles, as a share of their spread."""
    ranked = sorted(scores, reverse=board.best > board.p90)
    known = {0.01: board.p1, 0.1: board.p10, 0.25: board.p25, 0.5: board.p50}
    spread = abs(board.best - board.p50) or 1.0
    differences = [
        abs(ranked[max(math.ceil(share * len(ranked)), 1) - 1] - score) / spread
        for share, score in known.items()
    ]
    return max(differences)


def _margin(prepared: PreparedTask, score: float) -> float | None:
    anchors = prepared.task.anchors
    if prepared.synthetic is not None or anchors.trivial is None or anchors.strong is None:
        return None
    span = anchors.strong.value - anchors.trivial.value
    return (score - anchors.trivial.value) / span if span else None
