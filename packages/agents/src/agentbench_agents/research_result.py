"""The objective scores of a research run, each on one machine and one test set.

    margin               100 (s - b) / (h - b): part of the way from the baseline to the reference
    absolute improvement 100 (s - b) / |b|
    runtime              100 (t - t_b) / t_b, the baseline run beside the method
    complexity           100 (c - c_b) / c_b, c logical lines over all method files

b is the baseline's score on the very inputs that gave s, so that "no change" is exactly 0; h is the
reference's score on them, measured once for each prepared instance.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbench_agents.errors import AgentsError
from agentbench_agents.protocol import (
    MethodRun,
    Runner,
    Snapshot,
    pristine_snapshot,
    reference_snapshot,
)

if TYPE_CHECKING:
    from agentbench_tasks.research import Phase
    from agentbench_tasks.research_data import PreparedResearch
    from agentbench_tasks.research_score import Evaluation

PHASES: "tuple[Phase, ...]" = ("dev", "test")
_Z95 = 1.959963984540054


class AnchorError(AgentsError, RuntimeError):
    """A baseline or reference method, which is ours, does not run here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAnchors:
    """Scores of baseline and reference on one prepared instance, by phase."""

    baseline: "Mapping[Phase, Evaluation]"
    reference: "Mapping[Phase, Evaluation]"

    def progress(self, phase: "Phase", score: float) -> float:
        """Part of the way from baseline to reference, unclipped."""
        base, ref = self.baseline[phase].value, self.reference[phase].value
        return (score - base) / (ref - base)


def instance_anchors(runner: Runner) -> InstanceAnchors:
    """Return the anchors of the runner's instance, measured the first time it is asked.

    They are kept beside the prepared task in `anchors-<digest>.json`; both methods get seed 0.

    Raises:
        AnchorError: A method of ours failed, or the reference is not better than the baseline.
    """
    prepared, runner = runner.prepared, replace(runner, seed=0)
    path = prepared.path.parent / f"anchors-{prepared.digest[:16]}.json"
    stored = _read(path)
    if stored is None:
        task = prepared.task
        stored = {
            name: {phase: asdict(_measure(runner, snapshot, method, phase)) for phase in PHASES}
            for name, snapshot, method in (
                ("baseline", pristine_snapshot(task), task.baseline_method),
                ("reference", reference_snapshot(task), "strong"),
            )
        }
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(stored), encoding="utf-8")
        temporary.replace(path)
    anchors = InstanceAnchors(
        baseline={p: _evaluation(stored["baseline"][p]) for p in PHASES},
        reference={p: _evaluation(stored["reference"][p]) for p in PHASES},
    )
    sign = 1 if prepared.task.higher_is_better else -1
    for phase in PHASES:
        if sign * (anchors.reference[phase].value - anchors.baseline[phase].value) <= 0:
            raise AnchorError(
                f"{prepared.task.name}: on {phase} the reference is not better than the baseline; "
                f"remove {prepared.path} to draw another instance"
            )
    return anchors


def _measure(runner: Runner, snapshot: Snapshot, method: str, phase: "Phase") -> "Evaluation":
    run = runner.run(snapshot, method, phase)
    if run.evaluation is None:
        raise AnchorError(
            f"{runner.prepared.task.name}: {method} on {phase}: {run.status}: {run.reason}"
        )
    return run.evaluation


def _evaluation(stored: Mapping[str, Any]) -> "Evaluation":
    from agentbench_tasks.research_score import Evaluation

    return Evaluation(value=stored["value"], n=stored["n"], replicates=tuple(stored["replicates"]))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearchOutcome:
    """The result of one run.

    Attributes:
        method: The method that was tested; None if nothing was.
        snapshot: Digest of its files.
        dev: Its score on the development inputs.
        status: How its test went: `ok`, `failed`, `timeout`, `invalid`, or `untested`.
        reason: Why it is not ok.
        test: Its score on the test inputs.
        baseline: The baseline's score on the same inputs, in the same run.
        reference: The reference's score on the same inputs.
        margin: Percent, unclipped; 0 for a test that failed, for then the baseline stays.
        margin_low: Lower end of its 95 % interval (jackknife of the ratio over test units).
        margin_high: Upper end.
        margin_clipped: In [0, 100].
        absolute_improvement: Percent.
        runtime_s: Seconds of the test run.
        relative_runtime: Percent of the baseline's, in the same run on the same machine.
        logical_lines: Over all method files.
        relative_complexity: Percent.
        level: Capability level L1 to L7 (MLRC-Bench).
        gap: Dev score minus test score: how far the choice overfitted.
        remarks: What was ignored or noticed.
    """

    method: str | None = None
    snapshot: str | None = None
    dev: float | None = None
    status: str = "untested"
    reason: str = ""
    test: float | None = None
    baseline: float | None = None
    reference: float | None = None
    margin: float = 0.0
    margin_low: float | None = None
    margin_high: float | None = None
    margin_clipped: float = 0.0
    absolute_improvement: float | None = None
    runtime_s: float | None = None
    relative_runtime: float | None = None
    logical_lines: int | None = None
    relative_complexity: float | None = None
    level: str = "L1"
    gap: float | None = None
    remarks: tuple[str, ...] = ()


def outcome(
    prepared: "PreparedResearch",
    anchors: InstanceAnchors,
    *,
    snapshot: Snapshot,
    method: str,
    dev: float,
    tested: MethodRun,
    baseline: MethodRun,
) -> ResearchOutcome:
    """Put the objective scores of a tested submission together.

    Raises:
        AnchorError: The baseline did not run.
    """
    from agentbench_scoring import research as scores
    from agentbench_tasks.research_score import jackknife_se

    task, base = prepared.task, baseline.evaluation
    if base is None:
        raise AnchorError(f"{task.name}: the baseline: {baseline.reason}")
    up, reference = task.higher_is_better, anchors.reference["test"].value
    lines = scores.submission_complexity(snapshot.sources()).logical_lines
    pristine = scores.submission_complexity(pristine_snapshot(task).sources()).logical_lines
    level = scores.capability_level(
        dev=dev,
        test=tested.score,
        dev_baseline=anchors.baseline["dev"].value,
        test_baseline=base.value,
        human=reference,
        higher_is_better=up,
    )
    failed = ResearchOutcome(
        method=method,
        snapshot=snapshot.digest,
        dev=dev,
        status=tested.status,
        reason=tested.reason,
        baseline=base.value,
        reference=reference,
        runtime_s=round(tested.seconds, 3),
        logical_lines=lines,
        relative_complexity=scores.relative_complexity(lines, pristine),
        level=level.value,
        remarks=(*snapshot.remarks, *tested.remarks),
    )
    if tested.evaluation is None:
        return failed
    score = tested.evaluation.value
    margin = 100 * (score - base.value) / (reference - base.value)
    replicates = zip(
        tested.evaluation.replicates,
        base.replicates,
        anchors.reference["test"].replicates,
        strict=True,
    )
    half = 100 * _Z95 * jackknife_se([(s - b) / (h - b) for s, b, h in replicates])
    absolute = None
    if base.value:
        absolute = scores.absolute_improvement_to_baseline(score, base.value, higher_is_better=up)
    return replace(
        failed,
        test=score,
        margin=margin,
        margin_low=margin - half,
        margin_high=margin + half,
        margin_clipped=min(100.0, max(0.0, margin)),
        absolute_improvement=absolute,
        relative_runtime=scores.relative_runtime(tested.seconds, baseline.seconds),
        gap=dev - score,
    )
