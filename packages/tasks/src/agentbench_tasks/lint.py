"""Is a task fit to measure with? Leaks, grading, the human board, determinism.

`lint` looks at one prepared task; `lint_board` needs no data; `lint_stand_in` prepares a synthetic
stand-in twice and looks at that. Every finding has a code (see `finding.MEANING`) and evidence.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl

from agentbench_scoring import (
    Metric,
    ScoringError,
    UnknownMetricError,
    get_metric,
)
from agentbench_tasks.build import PART, SAMPLE
from agentbench_tasks.finding import Finding
from agentbench_tasks.grading import grade, read_answers
from agentbench_tasks.leaks import find_leaks, read_text_table
from agentbench_tasks.nearest import nearest_neighbours
from agentbench_tasks.preparation import PreparedTask, prepare
from agentbench_tasks.task import BoardSummary, Task

_FEW = 30
_MULTICLASS_LOSSES = {"log_loss_multiclass", "kl_divergence"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInReport:
    """What linting a stand-in showed.

    Args:
        task: Name.
        findings: What is wrong; empty is clean.
        graded: Whether the metric is installed, so that the checks by grading ran.
        perfect: Score of the answers.
        sample: Score of the sample submission.
        learner: Score of nearest neighbours in the features; None where rows do not match answers.
        learned: Whether the learner beats the sample.
    """

    task: str
    findings: tuple[Finding, ...]
    graded: bool
    perfect: float | None = None
    sample: float | None = None
    learner: float | None = None
    learned: bool | None = None


def lint(prepared: PreparedTask) -> list[Finding]:
    """Check a prepared task and its board; real data or a stand-in."""
    answers = read_answers(prepared)
    return _look(prepared, answers, _scores(prepared, answers))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scores:
    """What the answers and the sample submission score; None where that is invalid or undefined."""

    perfect: float | None
    sample: float | None


def _scores(prepared: PreparedTask, answers: pl.DataFrame) -> _Scores | None:
    """The two scores; None where the metric is not installed."""
    if _metric(prepared.task) is None:
        return None
    return _Scores(
        perfect=_score(prepared, as_submission(prepared.task, answers)),
        sample=_score(prepared, prepared.public / SAMPLE),
    )


def _look(prepared: PreparedTask, answers: pl.DataFrame, scores: _Scores | None) -> list[Finding]:
    return [
        *_shape(prepared, answers),
        *find_leaks(prepared, answers.drop(PART)),
        *(() if scores is None else _grading(prepared, answers, scores)),
        *(lint_board(prepared.task) if prepared.synthetic is None else ()),
    ]


def lint_stand_in(task: Task, *, rows: int, seed: int = 0) -> StandInReport:
    """Prepare a stand-in twice, compare, and check it.

    Args:
        task: The task; one without a stand-in has data that need no network, and is looked at as
            it is.
        rows: Rows of the stand-in.
        seed: Its seed.

    Raises:
        TasksError: The recipe cannot be carried out on its stand-in.
    """
    size = rows if task.stand_in else None
    with tempfile.TemporaryDirectory() as folder:
        made = [prepare(task, Path(folder) / n, synthetic=size, seed=seed) for n in ("1", "2")]
        answers = read_answers(made[0])
        scores = _scores(made[0], answers)
        findings = _look(made[0], answers, scores)
        if made[0].digest != made[1].digest:
            evidence = f"digests {made[0].digest[:12]} and {made[1].digest[:12]}"
            findings.append(Finding(code="not-deterministic", severity="error", evidence=evidence))
        if scores is None:
            return StandInReport(task=task.name, findings=tuple(findings), graded=False)
        guess = nearest_neighbours(made[0])
        learner = None if guess is None else _score(made[0], guess)
        sign = 1 if task.higher_is_better else -1
        sample = scores.sample
        learned = None if learner is None or sample is None else sign * learner > sign * sample
        return StandInReport(
            task=task.name,
            findings=tuple(findings),
            graded=True,
            perfect=scores.perfect,
            sample=sample,
            learner=learner,
            learned=learned,
        )


def as_submission(task: Task, answers: pl.DataFrame) -> pl.DataFrame:
    """The answers as a submission would write them: boxes with a confidence, points for boxes."""
    name = next(iter(task.submission.columns))
    if task.metric.name == "point_in_box_f1":
        points = [_middles(str(cell)) for cell in answers[name].to_list()]
        return answers.with_columns(pl.Series(name, points))
    if task.metric.name not in _WRITTEN:
        return answers
    pattern, new = _WRITTEN[task.metric.name]
    return answers.with_columns(pl.col(name).str.replace_all(pattern, new))


def _middles(cell: str) -> str:
    """`name x y width height ...` to `name x y ...` at the boxes' middles."""
    words = cell.split()
    boxes = zip(*(words[place::5] for place in range(5)), strict=True)
    return " ".join(
        f"{name} {float(x) + float(w) / 2} {float(y) + float(h) / 2}" for name, x, y, w, h in boxes
    )


_WRITTEN = {
    "box_precision_map": (r"(\S+ \S+ \S+ \S+)", "1 ${1}"),
    "voc_map": (r"(\S+) (\S+ \S+ \S+ \S+)", "${1} 1 ${2}"),
}


def _metric(task: Task) -> Metric | None:
    try:
        return get_metric(task.metric.name)
    except UnknownMetricError:
        return None


def _score(prepared: PreparedTask, submission: Path | pl.DataFrame) -> float | None:
    try:
        return grade(prepared, submission, part="all").score
    except ScoringError:
        return None


def _shape(prepared: PreparedTask, answers: pl.DataFrame) -> Iterator[Finding]:
    """Is there data, are the ids the same, are there enough rows in both parts?"""
    recipe, ids = prepared.task.recipe, list(prepared.task.submission.id)
    others = [path for path in prepared.public.iterdir() if path.name not in _OWN]
    if not others:
        yield Finding(code="no-data", severity="error", evidence="public holds no data at all")
    for name in (recipe.train, recipe.test):
        path = prepared.public / (name or recipe.test)
        if name is not None and (not path.is_file() or path.stat().st_size == 0):
            yield Finding(code="no-data", severity="error", evidence=f"{name} is missing or empty")
    sample = read_text_table(prepared.public / SAMPLE)
    same = sample is not None and set(sample.select(ids).rows()) == set(answers.select(ids).rows())
    if not same:
        evidence = f"{SAMPLE} has other ids than the answers"
        yield Finding(code="ids-differ", severity="error", evidence=evidence)
    if prepared.synthetic is None and answers.height < _FEW:
        evidence = f"{answers.height} test rows"
        yield Finding(code="few-rows", severity="warning", evidence=evidence)
    if answers[PART].n_unique() < 2 and recipe.answers.public > 0:
        evidence = f"all {answers.height} answers are {answers[PART][0]}"
        yield Finding(code="one-part", severity="warning", evidence=evidence)


_OWN = {SAMPLE, "description.md"}


_UNDEFINED_ON_CONSTANTS = {"pearson", "spearman", "spearman_columns", "spearman_rows"}
"""Correlations: a constant sample submission is valid and has no score."""


def _grading(prepared: PreparedTask, answers: pl.DataFrame, scores: _Scores) -> Iterator[Finding]:
    """Answers are perfect, order does not matter, the sample grades, ones do not win."""
    task, perfect = prepared.task, scores.perfect
    answers = as_submission(task, answers)
    best = _best(task, get_metric(task.metric.name), answers)
    if perfect is None or (best is not None and abs(perfect - best) > 1e-6 * max(1.0, abs(best))):
        evidence = f"the answers score {perfect}, the best {task.metric.name} is {best}"
        yield Finding(code="answers-not-perfect", severity="error", evidence=evidence)
    shuffled = answers.sample(fraction=1.0, shuffle=True, seed=1)
    again = _score(prepared, shuffled)
    if again != perfect:
        evidence = f"the same rows shuffled score {again}, not {perfect}"
        yield Finding(code="order-matters", severity="error", evidence=evidence)
    yield from _sample(prepared, answers, scores)


def _sample(prepared: PreparedTask, answers: pl.DataFrame, scores: _Scores) -> Iterator[Finding]:
    """The sample grades, worse than the answers; ones do not win; the board fits both."""
    task, perfect, sample = prepared.task, scores.perfect, scores.sample
    if sample is None:
        if task.metric.name not in _UNDEFINED_ON_CONSTANTS:
            evidence = "invalid, or the metric is undefined on it"
            yield Finding(code="sample-does-not-grade", severity="error", evidence=evidence)
        return
    sign = 1 if task.higher_is_better else -1
    if perfect is not None and sign * (perfect - sample) <= 0:
        evidence = f"the answers score {perfect}, the sample {sample}"
        yield Finding(code="answers-not-perfect", severity="error", evidence=evidence)
    if task.metric.name in _MULTICLASS_LOSSES:
        names = list(task.submission.columns)
        ones = _score(prepared, answers.with_columns([pl.lit("1").alias(n) for n in names]))
        if ones is not None and sign * ones > sign * sample + 1e-9:
            evidence = f"rows of ones score {ones}, the sample {sample}"
            yield Finding(code="unnormalised-wins", severity="error", evidence=evidence)
    if prepared.synthetic is None and task.board is not None:
        yield from _sample_on_board(task, sample, task.board.private)
        if perfect is not None and sign * (task.board.private.best - perfect) > 1e-6:
            evidence = f"the board's best is {task.board.private.best}, the answers score {perfect}"
            yield Finding(code="metric-off-board", severity="error", evidence=evidence)


def _best(task: Task, metric: Metric, answers: pl.DataFrame) -> float | None:
    """The best score on these answers; None where the metric has no best value.

    The rules of UW-Madison give a slice with no mask a Dice of 0 whatever is predicted.
    """
    best = metric.spec.best
    if best is None:
        return None
    if task.metric.name == "dice_hausdorff":
        masks = answers[next(iter(task.submission.columns))].str.strip_chars()
        empty = int((masks == "").sum()) / max(answers.height, 1)
        best -= float(task.metric.params.get("dice_weight", 0.4)) * empty
    return task.metric.offset + task.metric.scale * best


def _sample_on_board(task: Task, sample: float, board: BoardSummary) -> Iterator[Finding]:
    sign = 1 if task.higher_is_better else -1
    span = abs(board.best - board.p90)
    if sign * (sample - board.best) > 0 or sign * (board.worst - sample) > 10 * max(span, 1e-9):
        evidence = f"sample {sample:g}, board from {board.best:g} to {board.worst:g}"
        yield Finding(code="sample-off-board", severity="warning", evidence=evidence)


def lint_board(task: Task) -> list[Finding]:
    """Check what is known of the human board; needs no data."""
    if task.board is None:
        return []
    board = task.board
    return [
        *_quantiles(task, board.private, "private"),
        *([] if board.public is None else _quantiles(task, board.public, "public")),
        *_between_boards(task),
    ]


def _quantiles(task: Task, board: BoardSummary, name: str) -> Iterator[Finding]:
    values = [
        *(board.best, board.p1, board.p5, board.p10, board.p25),
        *(board.p50, board.p75, board.p90, board.worst),
    ]
    sign = 1 if task.higher_is_better else -1
    if len(set(values)) == 1:
        evidence = f"the {name} board is {values[0]:g} throughout"
        yield Finding(code="board-constant", severity="error", evidence=evidence)
    elif any(sign * later > sign * earlier for earlier, later in pairwise(values)):
        evidence = f"the {name} board gets better downwards"
        yield Finding(code="board-unsorted", severity="error", evidence=evidence)
    metric = _metric(task)
    if metric is not None:
        ends = (
            None if end is None else task.metric.offset + task.metric.scale * end
            for end in metric.spec.bounds
        )
        low, high = ends
        odd = [
            value
            for value in (board.best, board.p50)
            if (low is not None and value < low) or (high is not None and value > high)
        ]
        if odd:
            evidence = f"the {name} board has {odd[0]:g}, {task.metric.name} is in [{low}, {high}]"
            yield Finding(code="metric-off-board", severity="error", evidence=evidence)


def _between_boards(task: Task) -> Iterator[Finding]:
    board = task.board
    if board is None:
        return
    if board.n_teams is not None and board.private.n < 0.95 * board.n_teams:
        evidence = f"{board.private.n} of {board.n_teams} teams"
        yield Finding(code="board-truncated", severity="warning", evidence=evidence)
    if board.public is not None and board.public == board.private:
        evidence = "every quantile is equal"
        yield Finding(code="board-duplicate", severity="warning", evidence=evidence)
