"""The objective scores of a research run, each on one machine and one test set.

    margin               100 (s - b) / (h - b): part of the way from the baseline to the reference
    absolute improvement 100 (s - b) / |b|
    runtime              100 (t - t_b) / t_b, the baseline run beside the method
    complexity           100 (c - c_b) / c_b, c logical lines over all method files

b is the baseline's score on the very inputs that gave s, so that "no change" is exactly 0. On a
lite task h is the reference's score on them, measured once for each prepared instance; on a full
task it is the published score of the best people. Where none was published for this test, there is
no margin.
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
    from agentbench_tasks.research import Phase, ResearchTask
    from agentbench_tasks.research_data import PreparedResearch
    from agentbench_tasks.research_score import Evaluation

PHASES: "tuple[Phase, ...]" = ("dev", "test")
_Z95 = 1.959963984540054


class AnchorError(AgentsError, RuntimeError):
    """A baseline or reference method, which is ours, does not run here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceAnchors:
    """Scores of baseline and reference on one prepared instance, by phase.

    Attributes:
        baseline: Measured here.
        reference: Measured here on a lite task; published, for the test alone, on a full one;
            empty where there is none.
    """

    baseline: "Mapping[Phase, Evaluation]"
    reference: "Mapping[Phase, Evaluation]"

    def progress(self, phase: "Phase", score: float, *, higher_is_better: bool = True) -> float:
        """Part of the way from baseline to reference, unclipped.

        Without a reference on dev, the way is as long as on test; without any, it is as long as
        the baseline's own size.
        """
        base = self.baseline[phase].value
        known: Phase = phase if phase in self.reference else "test"
        if known in self.reference:
            return (score - base) / (self.reference[known].value - self.baseline[known].value)
        sign = 1.0 if higher_is_better else -1.0
        return sign * (score - base) / (abs(base) or 1.0)


def anchors_file(prepared: "PreparedResearch") -> Path:
    """Where the anchors of an instance are kept: beside the prepared task.

    Another version of a task may score the same data otherwise, so the name has both.
    """
    name = f"anchors-v{prepared.task.version}-{prepared.digest[:16]}.json"
    return prepared.path.parent / name


def instance_anchors(runner: Runner) -> InstanceAnchors:
    """Return the anchors of the runner's instance, measured the first time it is asked.

    Methods get seed 0.

    Raises:
        AnchorError: A method of ours failed, or the reference is not better than the baseline.
    """
    prepared, runner = runner.prepared, replace(runner, seed=0)
    task = prepared.task
    path = anchors_file(prepared)
    stored = _read(path)
    if stored is None:
        measured = [("baseline", pristine_snapshot(task), task.baseline_method)]
        if task.lite:
            measured.append(("reference", reference_snapshot(task), "strong"))
        stored = {
            name: {phase: asdict(_measure(runner, snapshot, method, phase)) for phase in PHASES}
            for name, snapshot, method in measured
        }
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(stored), encoding="utf-8")
        temporary.replace(path)
    anchors = InstanceAnchors(
        baseline={p: _evaluation(stored["baseline"][p]) for p in PHASES},
        reference={p: _evaluation(stored["reference"][p]) for p in PHASES}
        if task.lite
        else _published(task),
    )
    sign = 1 if task.higher_is_better else -1
    for phase, reference in anchors.reference.items():
        if sign * (reference.value - anchors.baseline[phase].value) <= 0:
            advice = "another instance" if task.lite else "other files"
            raise AnchorError(
                f"{task.name}: on {phase} the reference is not better than the baseline; "
                f"remove {prepared.path} to prepare {advice}"
            )
    return anchors


def _published(task: "ResearchTask") -> "dict[Phase, Evaluation]":
    from agentbench_tasks.research_score import Evaluation

    reference = task.anchors.reference
    if reference is None:
        return {}
    return {"test": Evaluation(value=reference.test.value, n=0, replicates=())}


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
        margin: Percent, unclipped; 0 for a test that failed, for then the baseline stays. None on
            a task without a reference.
        margin_low: Lower end of its 95 % interval (jackknife of the ratio over test units).
        margin_high: Upper end.
        margin_clipped: In [0, 100].
        absolute_improvement: Percent.
        runtime_s: Seconds of the test run.
        relative_runtime: Percent of the baseline's, in the same run on the same machine.
        logical_lines: Over all method files.
        relative_complexity: Percent.
        level: Capability level L1 to L7 (MLRC-Bench); None where it needs a reference.
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
    margin: float | None = 0.0
    margin_low: float | None = None
    margin_high: float | None = None
    margin_clipped: float | None = 0.0
    absolute_improvement: float | None = None
    runtime_s: float | None = None
    relative_runtime: float | None = None
    logical_lines: int | None = None
    relative_complexity: float | None = None
    level: str | None = "L1"
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

    task, base = prepared.task, baseline.evaluation
    if base is None:
        raise AnchorError(f"{task.name}: the baseline: {baseline.reason}")
    up, reference = task.higher_is_better, anchors.reference.get("test")
    pristine = pristine_snapshot(task)
    lines = scores.submission_complexity(snapshot.sources()).logical_lines
    own_lines = scores.submission_complexity(pristine.sources()).logical_lines
    # "No change" is no progress, though its seed is not that of the anchors.
    unchanged = snapshot.digest == pristine.digest and method == task.baseline_method
    level = None
    if reference is not None:
        level = scores.capability_level(
            dev=dev,
            test=tested.score,
            dev_baseline=dev if unchanged else anchors.baseline["dev"].value,
            test_baseline=base.value,
            human=reference.value,
            higher_is_better=up,
        ).value
    failed = ResearchOutcome(
        method=method,
        snapshot=snapshot.digest,
        dev=dev,
        status=tested.status,
        reason=tested.reason,
        baseline=base.value,
        reference=None if reference is None else reference.value,
        margin=None if reference is None else 0.0,
        margin_clipped=None if reference is None else 0.0,
        runtime_s=round(tested.seconds, 3),
        logical_lines=lines,
        relative_complexity=scores.relative_complexity(lines, own_lines),
        level=level,
        remarks=(*snapshot.remarks, *tested.remarks),
    )
    if tested.evaluation is None:
        return failed
    score = tested.evaluation.value
    absolute = None
    if base.value:
        absolute = scores.absolute_improvement_to_baseline(score, base.value, higher_is_better=up)
    done = replace(
        failed,
        test=score,
        absolute_improvement=absolute,
        relative_runtime=scores.relative_runtime(tested.seconds, baseline.seconds),
        gap=dev - score,
    )
    return done if reference is None else _with_margin(done, tested.evaluation, base, reference)


def _with_margin(
    done: ResearchOutcome, found: "Evaluation", base: "Evaluation", reference: "Evaluation"
) -> ResearchOutcome:
    """Add the margin with its interval; a published reference is a constant."""
    from agentbench_tasks.research_score import jackknife_se

    margin = 100 * (found.value - base.value) / (reference.value - base.value)
    published = (reference.value,) * len(found.replicates)
    replicates = zip(
        found.replicates, base.replicates, reference.replicates or published, strict=True
    )
    half = 100 * _Z95 * jackknife_se([(s - b) / (h - b) for s, b, h in replicates])
    return replace(
        done,
        margin=margin,
        margin_low=margin - half,
        margin_high=margin + half,
        margin_clipped=min(100.0, max(0.0, margin)),
    )
