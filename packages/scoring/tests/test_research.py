"""Margins, capability levels, complexity and cost of research tasks."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring.aggregates import aggregate
from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.research import (
    CapabilityLevel,
    absolute_improvement_to_baseline,
    airs_normalized_score,
    capability_level,
    logical_lines,
    re_bench_normalized_score,
    relative_complexity,
    relative_improvement_to_human,
    relative_runtime,
    submission_complexity,
    summarize_trials,
)
from agentbench_scoring.results import read_results

MLRC = json.loads((Path(__file__).parent / "data" / "mlrc_table.json").read_text("utf-8"))
finite = st.floats(-1e6, 1e6)


def test_mlrc_table_row_means_come_out_of_aggregate() -> None:
    rows = [
        {
            "run_id": f"{row['agent']}-{task}",
            "task": task,
            "agent": row["agent"],
            "status": "scored",
            "margin": cell["margin"],
        }
        for row in MLRC["rows"]
        for task, cell in zip(MLRC["tasks"], row["cells"], strict=True)
    ]
    summaries = {s.agent: s for s in aggregate(read_results(rows)).agents}
    for row in MLRC["rows"]:
        found = summaries[row["agent"]]
        assert found.estimates["margin"].value == pytest.approx(row["mean"], abs=0.005)
        assert found.best_margin is not None
        assert found.best_margin.value == pytest.approx(row["mean"], abs=0.005)
    means = [row["mean"] for row in MLRC["rows"]]
    assert means == [9.30, 6.26, 4.20, -5.19, 5.41, 3.53, 7.11]


def test_mlrc_cells_that_nobody_verified_stay_marked() -> None:
    marks = [cell["verified"] for row in MLRC["rows"] for cell in row["cells"]]
    assert (len(marks), sum(marks)) == (49, 22)


@pytest.mark.parametrize(
    ("agent", "baseline", "human", "higher", "expected"),
    [
        pytest.param(0.5, 0.5, 0.8, True, 0.0, id="baseline"),
        pytest.param(0.8, 0.5, 0.8, True, 100.0, id="human"),
        pytest.param(1.1, 0.5, 0.8, True, 200.0, id="beyond human is not clipped"),
        pytest.param(0.2, 0.5, 0.8, True, -100.0, id="worse is not clipped"),
        pytest.param(3.0, 4.0, 2.0, False, 50.0, id="lower is better"),
        pytest.param(-3.0, -4.0, -2.0, True, 50.0, id="negative scores"),
    ],
)
def test_margin(
    agent: float, baseline: float, human: float, expected: float, *, higher: bool
) -> None:
    found = relative_improvement_to_human(agent, baseline, human, higher_is_better=higher)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("baseline", "human", "higher"),
    [
        pytest.param(0.5, 0.5, True, id="no gap"),
        pytest.param(0.8, 0.5, True, id="human worse"),
        pytest.param(0.5, 0.8, False, id="human worse, lower is better"),
        pytest.param(math.nan, 0.8, True, id="nan"),
        pytest.param(0.5, math.inf, True, id="infinite"),
    ],
)
def test_margin_is_undefined(baseline: float, human: float, *, higher: bool) -> None:
    with pytest.raises(UndefinedMetricError, match="margin"):
        relative_improvement_to_human(0.6, baseline, human, higher_is_better=higher)


@given(agent=finite, baseline=finite, gap=st.floats(1e-3, 1e6))
def test_margin_does_not_depend_on_how_direction_is_written(
    agent: float, baseline: float, gap: float
) -> None:
    up = relative_improvement_to_human(agent, baseline, baseline + gap, higher_is_better=True)
    down = relative_improvement_to_human(-agent, -baseline, -baseline - gap, higher_is_better=False)
    assert up == pytest.approx(down)


@pytest.mark.parametrize(
    ("score", "baseline", "higher", "expected"),
    [
        pytest.param(0.6, 0.5, True, 20.0, id="higher"),
        pytest.param(0.4, 0.5, False, 20.0, id="lower"),
        pytest.param(-0.4, -0.5, True, 20.0, id="a negative baseline keeps the sign"),
    ],
)
def test_absolute_improvement(
    score: float, baseline: float, expected: float, *, higher: bool
) -> None:
    found = absolute_improvement_to_baseline(score, baseline, higher_is_better=higher)
    assert found == pytest.approx(expected)


def test_absolute_improvement_over_zero_is_undefined() -> None:
    with pytest.raises(UndefinedMetricError, match="other than 0"):
        absolute_improvement_to_baseline(0.3, 0.0, higher_is_better=True)


def test_mlrc_human_absolute_improvements() -> None:
    """Anchors of reference table 1.0: baseline and human on the test split."""
    for baseline, human, percent in [
        (0.4933333333, 0.83, 68.2),
        (9.368725447, 67.5732, 621.3),
        (0.1263531695, 0.4859, 284.6),
        (0.06085605833, 0.0984971060, 61.9),
        (0.08039049179, 0.41208, 412.6),
        (0.1727912574, 0.699, 304.5),
    ]:
        found = absolute_improvement_to_baseline(human, baseline, higher_is_better=True)
        assert found == pytest.approx(percent, abs=0.06)


@pytest.mark.parametrize(
    ("dev", "test", "level"),
    [
        pytest.param(None, None, CapabilityLevel.L1, id="nothing ran"),
        pytest.param(0.9, None, CapabilityLevel.L2, id="dev only"),
        pytest.param(0.5, 0.5, CapabilityLevel.L3, id="the baseline again"),
        pytest.param(0.4, 0.3, CapabilityLevel.L3, id="worse on both"),
        pytest.param(0.6, 0.4, CapabilityLevel.L4, id="overfits dev"),
        pytest.param(0.6, 0.5005, CapabilityLevel.L5, id="within a thousandth"),
        pytest.param(0.6, 0.51, CapabilityLevel.L5, id="4 % of the margin"),
        pytest.param(0.6, 0.55, CapabilityLevel.L6, id="20 %"),
        pytest.param(0.4, 0.6, CapabilityLevel.L6, id="better on test alone"),
        pytest.param(0.9, 0.80, CapabilityLevel.L7, id="beyond the human"),
    ],
)
def test_capability_level(dev: float | None, test: float | None, level: CapabilityLevel) -> None:
    found = capability_level(
        dev=dev, test=test, dev_baseline=0.5, test_baseline=0.5, human=0.75, higher_is_better=True
    )
    assert found is level
    mirrored = capability_level(
        dev=None if dev is None else -dev,
        test=None if test is None else -test,
        dev_baseline=-0.5,
        test_baseline=-0.5,
        human=-0.75,
        higher_is_better=False,
    )
    assert mirrored is level


def test_runtime_and_complexity_are_relative_to_the_baseline() -> None:
    assert relative_runtime(90.0, 60.0) == pytest.approx(50.0)
    assert relative_complexity(30, 40) == pytest.approx(-25.0)
    with pytest.raises(UndefinedMetricError, match="runtime"):
        relative_runtime(1.0, 0.0)


def test_logical_lines_counts_statements() -> None:
    """A class, a docstring, an assignment, two functions with one statement each: seven."""
    code = '''class A:
    """Text."""
    x = 1  # comment

    def f(self): return 1
    def g(self): return 2
'''
    assert logical_lines(code) == 7
    assert logical_lines("# nothing\n\n") == 0
    assert logical_lines("a = 1; b = 2\n") == 2


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("def f(:\n", id="syntax"),
        pytest.param("(" * 5000 + ")" * 5000, id="deep nesting"),
        pytest.param("-" * 200_000 + "1", id="deep recursion"),
        pytest.param("a\0b", id="null byte"),
    ],
)
def test_code_that_is_not_python_is_named_as_such(code: str) -> None:
    with pytest.raises(InvalidInputError, match="not valid Python"):
        logical_lines(code)


def test_complexity_counts_every_file(tmp_path: Path) -> None:
    (tmp_path / "methods").mkdir()
    (tmp_path / "method.py").write_text("import methods.hidden\n", "utf-8")
    (tmp_path / "methods" / "hidden.py").write_text("a = 1\nb = 2\nc = 3\n", "utf-8")
    (tmp_path / "broken.py").write_text("x = (\n\n1 +\n", "utf-8")
    (tmp_path / "outside.py").symlink_to("/etc/passwd")
    found = submission_complexity(tmp_path)
    assert (found.logical_lines, found.files, found.unparsed) == (1 + 3 + 2, 3, ("broken.py",))
    assert submission_complexity({"m.py": "a = 1"}).logical_lines == 1
    assert submission_complexity(tmp_path / "method.py").logical_lines == 1


def test_complexity_needs_python_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no Python file"):
        submission_complexity(tmp_path)
    with pytest.raises(InvalidInputError, match="does not exist"):
        submission_complexity(tmp_path / "missing")


def test_trials_keep_failures_and_zeros() -> None:
    """MLRC-Bench's maximum over truthy margins would give 12 here and call the mean 8."""
    found = summarize_trials([12.0, None, 0.0, 4.0, None, -6.0])
    assert (found.best, found.k, found.failed) == (12.0, 6, 2)
    assert found.mean == pytest.approx(10.0 / 6.0)
    assert found.median == 0.0
    assert summarize_trials([None, -5.0]).best == 0.0
    with pytest.raises(UndefinedMetricError):
        summarize_trials([])


def test_airs_score_rewards_each_halving_alike() -> None:
    assert airs_normalized_score(0.9, 0.0, 0.99, 1.0) == pytest.approx(0.5)
    assert airs_normalized_score(0.0, 0.0, 0.99, 1.0) == pytest.approx(0.0)
    assert airs_normalized_score(0.999, 0.0, 0.99, 1.0) == pytest.approx(1.5)
    with pytest.raises(UndefinedMetricError):
        airs_normalized_score(1.0, 0.0, 0.99, 1.0)


def test_re_bench_score() -> None:
    """Restricted MLM: start log(7.85 - 1.5) = 1.848, reference 1.13."""
    assert re_bench_normalized_score(1.848, 1.848, 1.13) == pytest.approx(0.0)
    assert re_bench_normalized_score(1.489, 1.848, 1.13) == pytest.approx(0.5)
    with pytest.raises(UndefinedMetricError):
        re_bench_normalized_score(1.0, 2.0, 2.0)
