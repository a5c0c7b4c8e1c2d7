"""Scores of open research tasks: distance from a baseline to the best human, cost, simplicity.

MLRC-Bench (arXiv 2504.09702) measures how much of the margin between a baseline and the best human
solution an agent closes; AIRS-Bench and RE-Bench normalise by a state of the art or a reference.
Scores are signed by an explicit direction, and quotients without a meaning raise
:class:`UndefinedMetricError`. Margins are in percent and never clipped.
"""

import ast
import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError

_SAME_SCORE = 1e-3
_MAX_SOURCE_BYTES = 4 * 1024 * 1024


class CapabilityLevel(StrEnum):
    """How far one run got (MLRC-Bench)."""

    L1 = "L1"
    """Nothing ran on the development split."""
    L2 = "L2"
    """A method ran on the development split, none on the test split."""
    L3 = "L3"
    """Better than the baseline on neither split."""
    L4 = "L4"
    """Better on the development split, worse on the test split."""
    L5 = "L5"
    """Up to 5 % of the margin to the human, or within 0.001 of the baseline."""
    L6 = "L6"
    """5 to 100 % of the margin."""
    L7 = "L7"
    """Better than the human."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSummary:
    """Margins of repeated runs of one task, in percent; failed runs count as 0.

    Attributes:
        best: the maximum over all k runs, as MLRC-Bench reports; it grows with k.
        mean: over all k runs.
        median: over all k runs.
        k: runs, failures included.
        failed: runs without a margin.
    """

    best: float
    mean: float
    median: float
    k: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Complexity:
    """Logical lines of a submission.

    Attributes:
        logical_lines: statements of all Python files.
        files: Python files counted.
        unparsed: files that are not valid Python; their non-blank lines were counted instead.
    """

    logical_lines: int
    files: int
    unparsed: tuple[str, ...]


def relative_improvement_to_human(
    agent: float, baseline: float, human: float, *, higher_is_better: bool
) -> float:
    """Margin closed, in percent: 100 (agent - baseline) / (human - baseline).

    0 is the baseline, 100 the best human; not clipped at either end.

    Raises:
        UndefinedMetricError: the human is not better than the baseline, or a value is not finite.
    """
    sign = 1.0 if higher_is_better else -1.0
    gap = sign * (human - baseline)
    if not all(map(math.isfinite, (agent, baseline, human))) or gap <= 0:
        raise UndefinedMetricError(
            f"a margin needs finite scores and a human better than the baseline "
            f"(agent {agent}, baseline {baseline}, human {human}, "
            f"{'higher' if higher_is_better else 'lower'} is better)"
        )
    return 100.0 * sign * (agent - baseline) / gap


def absolute_improvement_to_baseline(
    agent: float, baseline: float, *, higher_is_better: bool
) -> float:
    """Improvement over the baseline in percent of its magnitude: 100 (s - b) / |b|.

    Raises:
        UndefinedMetricError: the baseline is 0 or a value is not finite.
    """
    if not (math.isfinite(agent) and math.isfinite(baseline)) or baseline == 0:
        raise UndefinedMetricError(
            f"needs a finite score and a finite baseline other than 0, not {agent} and {baseline}"
        )
    sign = 1.0 if higher_is_better else -1.0
    return 100.0 * sign * (agent - baseline) / abs(baseline)


def relative_runtime(seconds: float, baseline_seconds: float) -> float:
    """Efficiency objective, in percent: 100 (t - t_b) / t_b; negative is faster.

    Measure the baseline on the same machine: published runtimes are another machine's.

    Raises:
        UndefinedMetricError: a time that is not positive and finite.
    """
    return _relative_excess(seconds, baseline_seconds, "a runtime in seconds")


def relative_complexity(logical_lines: int, baseline_lines: int) -> float:
    """Simplicity objective, in percent: 100 (c - c_b) / c_b; negative is shorter.

    Raises:
        UndefinedMetricError: a count that is not positive.
    """
    return _relative_excess(float(logical_lines), float(baseline_lines), "a count of lines")


def logical_lines(code: str) -> int:
    """Logical lines of code: the number of statement nodes of the syntax tree.

    Imports, definitions and docstrings count, comments and blank lines do not (MLRC-Bench). The
    code is parsed, never run.

    Raises:
        InvalidInputError: not valid Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidInputError(f"not valid Python: {type(error).__name__}") from error
    return sum(isinstance(node, ast.stmt) for node in ast.walk(tree))


def submission_complexity(submission: str | Path | Mapping[str, str]) -> Complexity:
    """Logical lines over *all* Python files of a submission.

    MLRC-Bench counts the method's own file only, so moving code into a second module looks like
    simplicity. A file that does not parse counts by its non-blank lines, so breaking it hides
    nothing. Symbolic links are not followed.

    Args:
        submission: a file, a folder, or file name -> source.

    Raises:
        InvalidInputError: no Python file, or one larger than 4 MiB.
    """
    sources = _python_sources(submission) if isinstance(submission, str | Path) else submission
    if not sources:
        raise InvalidInputError(f"no Python file in {submission!s:.200}")
    total, unparsed = 0, list[str]()
    for name, code in sorted(sources.items()):
        try:
            total += logical_lines(code)
        except InvalidInputError:
            unparsed.append(name)
            total += sum(1 for line in code.splitlines() if line.strip())
    return Complexity(logical_lines=total, files=len(sources), unparsed=tuple(unparsed))


def capability_level(
    *,
    dev: float | None,
    test: float | None,
    dev_baseline: float,
    test_baseline: float,
    human: float,
    higher_is_better: bool,
) -> CapabilityLevel:
    """Capability level L1 to L7 of one run.

    Args:
        dev: best score on the development split, None when nothing ran.
        test: score on the test split, None when nothing ran.
        dev_baseline: the baseline's score on the development split.
        test_baseline: the baseline's score on the test split.
        human: the best human's score on the test split.
        higher_is_better: of all five.

    Raises:
        UndefinedMetricError: the human is not better than the baseline.
    """
    if test is None:
        return CapabilityLevel.L1 if dev is None else CapabilityLevel.L2
    sign = 1.0 if higher_is_better else -1.0
    margin = relative_improvement_to_human(
        test, test_baseline, human, higher_is_better=higher_is_better
    )
    gain = sign * (test - test_baseline)
    dev_gain = -math.inf if dev is None else sign * (dev - dev_baseline)
    if gain <= _SAME_SCORE and dev_gain <= _SAME_SCORE:
        return CapabilityLevel.L3
    if gain <= -_SAME_SCORE:
        return CapabilityLevel.L4
    if margin > 100.0:
        return CapabilityLevel.L7
    if margin < 5.0 or abs(gain) < _SAME_SCORE:
        return CapabilityLevel.L5
    return CapabilityLevel.L6


def airs_normalized_score(score: float, worst: float, sota: float, optimum: float) -> float:
    """AIRS-Bench: (phi(s) - phi(worst)) / (phi(sota) - phi(worst)), phi(s) = -log10 |s - optimum|.

    0 is the worst score seen, 1 the state of the art; the log rewards each halving of the
    distance to the optimum alike.

    Raises:
        UndefinedMetricError: a score equals the optimum, or sota is not closer to it than worst.
    """
    distances = [abs(x - optimum) for x in (score, worst, sota)]
    if not all(0 < d < math.inf for d in distances) or not distances[2] < distances[1]:
        raise UndefinedMetricError(
            "needs finite scores that differ from the optimum, and a state of the art closer to "
            f"it than the worst (score {score}, worst {worst}, sota {sota}, optimum {optimum})"
        )
    here, far, near = (-math.log10(d) for d in distances)
    return (here - far) / (near - far)


def re_bench_normalized_score(score: float, start: float, reference: float) -> float:
    """RE-Bench: (s - start) / (reference - start); 0 is the starting point, 1 the reference.

    Raises:
        UndefinedMetricError: the reference equals the start, or a value is not finite.
    """
    if not all(map(math.isfinite, (score, start, reference))) or reference == start:
        raise UndefinedMetricError(
            f"needs finite scores and a reference other than the start "
            f"(score {score}, start {start}, reference {reference})"
        )
    return (score - start) / (reference - start)


def summarize_trials(margins: Sequence[float | None]) -> TrialSummary:
    """Best, mean and median margin over all runs of a task, failures counting as 0.

    A failed run leaves the baseline in place, hence 0. MLRC-Bench keeps the maximum of the runs
    that succeeded, which drops failures and margins of exactly 0.

    Args:
        margins: percent, one per run; None for a run that failed.

    Raises:
        UndefinedMetricError: no run.
    """
    if not margins:
        raise UndefinedMetricError("no run of this task")
    values = [0.0 if m is None else m for m in margins]
    if not all(map(math.isfinite, values)):
        raise InvalidInputError("a margin is a finite number, or None for a failed run")
    return TrialSummary(
        best=max(values),
        mean=statistics.fmean(values),
        median=statistics.median(values),
        k=len(values),
        failed=sum(m is None for m in margins),
    )


def _relative_excess(value: float, baseline: float, what: str) -> float:
    if not (0 < value < math.inf and 0 < baseline < math.inf):
        raise UndefinedMetricError(f"{what} must be positive and finite: {value} and {baseline}")
    return 100.0 * (value - baseline) / baseline


def _python_sources(root: str | Path) -> dict[str, str]:
    path = Path(root)
    if not path.exists():
        raise InvalidInputError(f"{path} does not exist")
    found = [path] if path.is_file() else sorted(path.rglob("*.py"))
    sources: dict[str, str] = {}
    for file in found:
        if file.is_symlink() or not file.is_file():
            continue
        if file.stat().st_size > _MAX_SOURCE_BYTES:
            raise InvalidInputError(f"{file} is larger than 4 MiB")
        sources[file.relative_to(path).as_posix() if file != path else file.name] = file.read_text(
            encoding="utf-8", errors="replace"
        )
    return sources
