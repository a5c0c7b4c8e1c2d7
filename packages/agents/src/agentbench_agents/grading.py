"""Grades on the two halves of the public part, for the feedback policy `validation`.

Ids of the public part are put in the order of their SHA-256; the first half of them is the
validation half, on which the agent sees scores, the rest the selection half, on which the final
submission is chosen. So what an agent optimised against is not what chooses (hidden consistent
evaluation, as in AIRA₂, arXiv 2603.26499), and neither is what scores it, the private part. Rows
of one group (`part_by` of a task) are all public or all private, but may be in both halves.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agentbench_agents.errors import AgentsError

if TYPE_CHECKING:
    import polars as pl

    from agentbench_tasks import Grade, PreparedTask

Half = Literal["validation", "selection"]
_NEEDED = {"public": 1, "validation": 2}  # public ids, for a score to be shown


def check_parts(prepared: "PreparedTask", feedback: str) -> None:
    """Refuse a feedback policy for which a task has too few public answers.

    Raises:
        AgentsError: It has.
    """
    import polars as pl

    from agentbench_tasks.build import ANSWERS, PART

    needed = _NEEDED.get(feedback, 0)
    if needed == 0:
        return
    answers = pl.scan_csv(prepared.private / ANSWERS, infer_schema=False)
    public = answers.filter(pl.col(PART) == "public").select(prepared.task.submission.id)
    found = public.unique().head(needed).collect().height
    if found < needed:
        raise AgentsError(
            f"feedback {feedback!r} needs {needed} public answers and {prepared.task.name} has "
            f"{found}; choose none, validity or public+private"
        )


def grade_half(prepared: "PreparedTask", submission: Path, half: Half) -> "Grade":
    """Grade a submission on one half of the public part.

    Returns:
        A grade of the part `public`, with score, place, margin and progress of the half.

    Raises:
        agentbench_scoring.InvalidSubmissionError: As `agentbench_tasks.grade`.
        agentbench_scoring.UndefinedMetricError: The metric has no value on this half.
    """
    import polars as pl

    from agentbench_tasks import grade
    from agentbench_tasks.build import PART
    from agentbench_tasks.grading import read_answers

    halves = halve(read_answers(prepared), prepared.task.submission.id)
    asked = pl.when(pl.col(PART) == half).then(pl.lit("public")).otherwise(pl.lit("rest"))
    answers = halves.with_columns(asked.alias(PART))
    return grade(prepared, submission, part="public", answers=answers)


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
