"""Grades on the two halves of the public part, for the feedback policy `validation`.

Ids of the public part are put in the order of their SHA-256; the first half of them is the
validation half, on which the agent sees scores, the rest the selection half, on which the final
submission is chosen. So what an agent optimised against is not what chooses (hidden consistent
evaluation, as in AIRA₂, arXiv 2603.26499), and neither is what scores it, the private part.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

    from agentbench_tasks import Grade, PreparedTask

Half = Literal["validation", "selection"]


def grade_half(prepared: "PreparedTask", submission: Path, half: Half) -> "Grade":
    """Grade a submission on one half of the public part.

    Returns:
        A grade of the part `public`, with score, place, margin and progress of the half.

    Raises:
        agentbench_scoring.InvalidSubmissionError: As `agentbench_tasks.grade`.
        agentbench_scoring.UndefinedMetricError: The metric has no value on this half.
    """
    from agentbench_scoring import score_submission
    from agentbench_tasks import grade
    from agentbench_tasks.grading import leaderboard, read_answers, submission_spec

    task = prepared.task
    whole = grade(prepared, submission, part="public")
    answers = halve(read_answers(prepared), task.submission.id)
    result = score_submission(submission_spec(task), submission, answers, part=half)
    board = leaderboard(task) if prepared.synthetic is None else None
    human_rank = None if board is None else board.human_rank(result.value)
    margin = None
    trivial, strong = task.anchors.trivial, task.anchors.strong
    if whole.margin is not None and trivial is not None and strong is not None:
        margin = (result.value - trivial.value) / (strong.value - trivial.value)
    progress = min(max(margin or 0.0, 0.0), 1.0) if human_rank is None else human_rank
    return whole.model_copy(
        update={
            "n": result.n_rows,
            "score": result.value,
            "human_rank": human_rank,
            "position": None if board is None else board.position(result.value).position,
            "medal": None if board is None else board.medal(result.value),
            "margin": margin,
            "progress": progress,
        }
    )


def halve(answers: "pl.DataFrame", id_columns: tuple[str, ...]) -> "pl.DataFrame":
    """Replace the part `public` by `validation` and `selection`; an id is in one of them."""
    import polars as pl

    from agentbench_tasks.build import PART

    keys = ["\x1f".join(row) for row in answers.select(id_columns).iter_rows()]
    parts: list[str] = answers[PART].to_list()
    public = {key for key, part in zip(keys, parts, strict=True) if part == "public"}
    ordered = sorted(public, key=lambda key: hashlib.sha256(key.encode()).digest())
    first = set(ordered[: (len(ordered) + 1) // 2])
    named = [
        part if part != "public" else "validation" if key in first else "selection"
        for key, part in zip(keys, parts, strict=True)
    ]
    return answers.with_columns(pl.Series(PART, named))
