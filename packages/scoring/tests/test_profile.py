"""Performance profiles and AUP, against MLGym's published table and by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring.errors import InvalidInputError, UndefinedMetricError
from agentbench_scoring.profile import (
    aup,
    aup_mledojo,
    aup_mlgym,
    mlgym_tau_max,
    performance_profile,
    score_distribution,
)

MLGYM = json.loads((Path(__file__).parent / "data" / "mlgym_scores.json").read_text("utf-8"))

# Two tasks, one in each direction. Ratios: A 1 and 2, B 10 and 1, C 2 and 100.
SCORES = {"A": [10.0, 2.0], "B": [1.0, 1.0], "C": [5.0, 100.0]}
HIGHER = [True, False]


@pytest.mark.parametrize("split", ["aggregate", "test"])
def test_mlgym_published_aup(split: str) -> None:
    attempts = {kind: MLGYM[f"{kind}_{split}"] for kind in ("best", "last")}
    tasks = list(attempts["best"])
    higher = [task not in MLGYM["minimise"] for task in tasks]
    agents = list(attempts["best"][tasks[0]])
    scores = {
        kind: {agent: [table[task][agent] for task in tasks] for agent in agents}
        for kind, table in attempts.items()
    }
    tau_max = mlgym_tau_max(list(scores.values()), higher, baseline="baseline")
    assert tau_max == 1.5
    published = MLGYM[f"aup_{split}"]
    for kind, column in (("best", "Best AUP"), ("last", "Last AUP")):
        areas = aup_mlgym(scores[kind], higher, tau_max, 500, baseline="baseline")
        for agent, row in published.items():
            # The published scores are rounded to 3 decimals.
            assert round(areas[agent], 3) == pytest.approx(row[column], abs=0.0011), agent


def test_profile_by_hand() -> None:
    found = performance_profile(SCORES, HIGHER, [0.0, 0.31, 1.0, 2.0])
    assert found == {
        "A": [0.5, 1.0, 1.0, 1.0],
        "B": [0.5, 0.5, 1.0, 1.0],
        "C": [0.0, 0.5, 0.5, 1.0],
    }


def test_aup_by_hand() -> None:
    found = aup(SCORES, HIGHER, 2.0)
    log2 = np.log10(2.0)
    assert found["A"] == pytest.approx((2 + (2 - log2)) / 2)
    assert found["B"] == pytest.approx((1 + 2) / 2)
    assert found["C"] == pytest.approx(((2 - log2) + 0) / 2)


def test_mlgym_sum_approaches_the_exact_area() -> None:
    exact = aup(SCORES, HIGHER, 2.0)
    coarse = aup_mlgym(SCORES, HIGHER, 2.0, 11)
    fine = aup_mlgym(SCORES, HIGHER, 2.0, 200_001)
    for agent in SCORES:
        assert fine[agent] == pytest.approx(exact[agent], abs=2e-5)
        assert coarse[agent] <= exact[agent] + 1e-12


def test_a_missing_result_is_never_reached() -> None:
    scores = {"A": [1.0, None], "B": [1.0, 1.0]}
    assert performance_profile(scores, [True, True], [0.0, 50.0])["A"] == [0.5, 0.5]
    assert aup(scores, [True, True], 1.0)["A"] == pytest.approx(0.5)


def test_mlgym_feasibility_rule() -> None:
    """On the one task C is worse than the baseline: it takes 1.05 x 4, the worst feasible ratio."""
    scores = {"A": [8.0], "base": [2.0], "C": [1.0], "D": [None]}
    found = aup_mlgym(scores, [True], 1.0, 100_001, baseline="base")
    expected = 1.0 - np.log10(4.0 * 1.05)
    assert found["C"] == pytest.approx(expected, abs=2e-5)
    assert found["D"] == pytest.approx(expected, abs=2e-5)


def test_mledojo_charges_invalid_results_twice_the_worst() -> None:
    """Ratios A 1, B 4, C invalid 8: tau_max = log10 8."""
    found = aup_mledojo({"A": [8.0], "B": [2.0], "C": [None]}, [True])
    assert found.tau_max == pytest.approx(np.log10(8))
    assert found.areas == pytest.approx({"A": np.log10(8), "B": np.log10(2), "C": 0.0})


def test_mledojo_caps_ratios_at_100() -> None:
    found = aup_mledojo({"A": [1e6], "B": [1.0]}, [True])
    assert found.tau_max == pytest.approx(2.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf"), float("-inf")])
def test_ratios_need_positive_finite_scores(bad: float) -> None:
    with pytest.raises(UndefinedMetricError, match="positive"):
        aup({"A": [1.0], "B": [bad]}, [True], 1.0)


def test_nan_is_a_missing_result_and_a_task_without_any_is_undefined() -> None:
    with pytest.raises(UndefinedMetricError, match="no result"):
        aup({"A": [float("nan")], "B": [None]}, [True], 1.0)


def test_shapes_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="has 2 scores"):
        aup({"A": [1.0, 2.0]}, [True], 1.0)
    with pytest.raises(InvalidInputError, match="baseline"):
        aup_mlgym({"A": [1.0]}, [True], 1.0, baseline="base")


def test_score_distribution_is_a_survival_function() -> None:
    found = score_distribution({"A": [[0.1, 0.5], [0.5, 0.9]]}, [0.0, 0.5, 0.95])
    assert found == {"A": [1.0, 0.25, 0.0]}


@given(
    scores=st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3),
    unit=st.floats(1e-3, 1e3),
    higher=st.booleans(),
)
def test_profile_does_not_depend_on_units(
    scores: list[float], unit: float, *, higher: bool
) -> None:
    table = {name: [x] for name, x in zip("ABC", scores, strict=True)}
    scaled = {name: [x[0] * unit] for name, x in table.items()}
    assert aup(scaled, [higher], 3.0) == pytest.approx(aup(table, [higher], 3.0), abs=1e-9)
    assert max(performance_profile(table, [higher], [0.0]).values()) == [1.0]
