"""From rows to numbers: policies by hand, on tables small enough to check by eye."""

import math

import numpy as np
import pytest

from agentbench_scoring.aggregates import AgentSummary, aggregate
from agentbench_scoring.comparison import compare, compare_all
from agentbench_scoring.curves import budget_curves
from agentbench_scoring.errors import InvalidInputError
from agentbench_scoring.intervals import population_error
from agentbench_scoring.measures import Missing
from agentbench_scoring.problems import find_problems
from agentbench_scoring.results import Results, read_results
from agentbench_scoring.significance import paired_difference


def run(agent: str, task: str, seed: int = 0, **fields: object) -> dict[str, object]:
    """A row; scored where it has a rank, a margin or a score."""
    scored = any(fields.get(f) is not None for f in ("human_rank", "margin", "score"))
    row: dict[str, object] = {
        "run_id": f"{agent}/{task}/{seed}",
        "agent": agent,
        "task": task,
        "seed": seed,
        "status": "scored" if scored else "failed",
    }
    return row | fields


def summaries(results: Results, *, missing: Missing = "failure") -> dict[str, AgentSummary]:
    return {s.agent: s for s in aggregate(results, missing=missing).agents}


def test_failures_count_as_the_worst_outcome_and_tasks_weigh_equally() -> None:
    """Task 1: (0.8 + 0) / 2; task 2: 0.6. Runs would give 0.467."""
    table = read_results(
        [run("a", "t1", 0, human_rank=0.8), run("a", "t1", 1), run("a", "t2", 0, human_rank=0.6)]
    )
    found = summaries(table)["a"]
    assert found.estimates["human_rank"].value == pytest.approx((0.4 + 0.6) / 2)
    assert found.estimates["valid"].value == pytest.approx((0.5 + 1) / 2)
    assert (found.runs, found.scored, found.failed, found.invalid) == (3, 2, 1, 0)


@pytest.mark.parametrize(("missing", "value"), [("failure", 0.4), ("drop", 0.8)])
def test_a_task_never_run(missing: Missing, value: float) -> None:
    table = read_results(
        [
            run("a", "t1", human_rank=0.8),
            run("b", "t1", human_rank=0.5),
            run("b", "t2", human_rank=0.5),
        ]
    )
    found = summaries(table, missing=missing)["a"]
    assert found.estimates["human_rank"].value == pytest.approx(value)
    assert found.missing_tasks == ("t2",)


def test_infrastructure_failures_are_no_runs() -> None:
    table = read_results(
        [
            run("a", "t1", 0, human_rank=0.8),
            run("a", "t1", 1, status="infra"),
            run("a", "t2", status="infra"),
            run("b", "t2", human_rank=0.1),
        ]
    )
    found = summaries(table)["a"]
    assert found.estimates["human_rank"].value == pytest.approx(0.8)
    assert (found.runs, found.infra, found.missing_tasks) == (1, 2, ())
    assert {f.code for f in find_problems(table)} >= {"infra", "infra_only", "missing_tasks"}


def test_a_task_that_nobody_solved_still_counts() -> None:
    table = read_results([run("a", "t1", human_rank=0.8), run("a", "t2"), run("b", "t2")])
    assert summaries(table)["a"].estimates["human_rank"].value == pytest.approx(0.4)
    assert "nobody_scored" in {f.code for f in find_problems(table)}


def test_a_task_without_a_board_is_left_out_and_named() -> None:
    table = read_results([run("a", "t1", human_rank=0.8), run("a", "t2", score=3.0)])
    assert summaries(table)["a"].estimates["human_rank"].value == pytest.approx(0.8)
    (found,) = [f for f in find_problems(table) if f.code == "no_human_rank"]
    assert found.examples == ("t2",)


def test_medals_are_rates_with_width() -> None:
    table = read_results(
        [run("a", f"t{i}", s, human_rank=0.9, medal="gold") for i in range(4) for s in range(2)]
    )
    found = summaries(table)["a"].estimates
    assert found["gold"].value == found["medal"].value == 1.0
    for interval in (found["gold"].suite, found["gold"].population):
        assert interval is not None
        assert interval.low < 0.7
        assert interval.high == 1.0


def test_margins_best_mean_and_median() -> None:
    table = read_results(
        [
            *(run("a", "t1", s, margin=m) for s, m in enumerate([10.0, None, -4.0])),
            *(run("a", "t2", s, margin=m) for s, m in enumerate([None, None, -30.0])),
        ]
    )
    found = summaries(table)["a"]
    assert found.estimates["margin"].value == pytest.approx((2.0 - 10.0) / 2)
    assert found.median_margin == 0.0
    assert found.best_margin is not None
    assert found.best_margin.value == pytest.approx((10.0 + 0.0) / 2)


def test_attempts() -> None:
    """Medals 1 of 2 and 0 of 2: pass@1 .25, pass@2 .5, pass^2 0."""
    table = read_results(
        [
            run("a", "t1", 0, human_rank=0.9, medal="gold"),
            run("a", "t1", 1, human_rank=0.5),
            run("a", "t2", 0, human_rank=0.1),
            run("a", "t2", 1),
        ]
    )
    one, two = summaries(table)["a"].attempts
    assert (one.pass_at_k.value, two.pass_at_k.value, two.pass_hat_k.value) == (0.25, 0.5, 0.0)
    assert one.best_of_k is not None
    assert two.best_of_k is not None
    assert one.best_of_k.value == pytest.approx((0.7 + 0.05) / 2)
    assert two.best_of_k.value == pytest.approx((0.9 + 0.1) / 2)
    assert two.pass_at_k.suite is None


def test_single_runs_have_no_suite_interval_and_single_tasks_no_population_interval() -> None:
    once = summaries(read_results([run("a", t, human_rank=0.5) for t in ("t1", "t2")]))["a"]
    assert once.estimates["human_rank"].suite is None
    assert once.estimates["human_rank"].population is not None
    alone = summaries(read_results([run("a", "t1", s, human_rank=0.5 + s / 9) for s in (0, 1)]))[
        "a"
    ]
    assert alone.estimates["human_rank"].suite is not None
    assert alone.estimates["human_rank"].population is None


def test_order_is_by_headline_then_name() -> None:
    rows = [run(a, "t1", human_rank=h) for a, h in [("c", 0.5), ("a", 0.5), ("b", 0.9)]]
    assert [s.agent for s in aggregate(read_results(rows)).agents] == ["b", "a", "c"]


def test_models_are_separate_entrants() -> None:
    rows = [
        run("a", "t1", human_rank=0.5) | {"model": "m1"},
        run("a", "t1", 1, human_rank=0.9) | {"model": "m2"},
    ]
    found = aggregate(read_results(rows))
    assert [s.entrant for s in found.agents] == ["a · m2", "a · m1"]


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_level_is_checked(level: float) -> None:
    with pytest.raises(InvalidInputError, match="level"):
        aggregate(read_results([run("a", "t", human_rank=0.5)]), level=level)


def two_agents() -> tuple[Results, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.random(12), rng.random(12)
    rows = [run("a", f"t{i:02}", human_rank=float(v)) for i, v in enumerate(x)]
    rows += [run("b", f"t{i:02}", human_rank=float(v)) for i, v in enumerate(y)]
    return read_results(rows), x, y


def test_comparison_is_the_paired_t_test_when_tasks_are_alone() -> None:
    table, x, y = two_agents()
    found, expected = compare(table, "a", "b"), paired_difference(x, y)
    assert found.difference.value == pytest.approx(expected.mean)
    assert found.p == pytest.approx(expected.p)
    assert (found.wins, found.ties, found.losses) == (sum(x > y), 0, sum(x < y))
    assert found.probability_of_improvement == pytest.approx(np.mean(x > y))
    back = compare(table, "b", "a")
    assert back.difference.value == pytest.approx(-found.difference.value)
    assert back.p == pytest.approx(found.p)


def test_comparison_clusters_families() -> None:
    table, x, y = two_agents()
    labels = [f"f{i // 3}" for i in range(12)]
    family = {f"t{i:02}": label for i, label in enumerate(labels)}
    clustered = read_results([r.model_dump() | {"family": family[r.task]} for r in table.runs])
    found = compare(clustered, "a", "b").difference
    error = population_error(x - y, labels)
    assert found.families == 4
    assert found.population is not None
    assert error.df < 4
    assert found.population.high - found.population.low > 4.0 * error.se


def test_all_pairs_are_adjusted_together() -> None:
    rng = np.random.default_rng(1)
    rows = [
        run(a, f"t{i}", human_rank=float(np.clip(level + rng.normal() * 0.05, 0, 1)))
        for a, level in [("a", 0.2), ("b", 0.22), ("c", 0.8)]
        for i in range(10)
    ]
    pairs = {(c.a, c.b): c for c in compare_all(read_results(rows))}
    assert set(pairs) == {("a", "b"), ("a", "c"), ("b", "c")}
    for pair in pairs.values():
        assert pair.p is not None
        assert pair.p_adjusted is not None
        assert pair.p <= pair.p_adjusted <= min(1.0, 3 * pair.p) + 1e-12
    assert (pairs["a", "c"].p_adjusted or 1) < 0.001


def test_equal_agents_have_no_p_value() -> None:
    rows = [run(a, t, human_rank=0.5) for a in ("a", "b") for t in ("t1", "t2", "t3")]
    found = compare(read_results(rows), "a", "b")
    assert (found.p, found.p_wilcoxon, found.ties) == (None, None, 3)
    assert compare_all(read_results(rows))[0].p_adjusted is None


def test_medals_of_single_runs_get_mcnemar() -> None:
    rows = [
        run(a, f"t{i}", human_rank=0.5, medal="gold" if (a == "a") == (i < 6) else None)
        for a in ("a", "b")
        for i in range(7)
    ]
    found = compare(read_results(rows), "a", "b", measure="medal")
    assert found.p_mcnemar == pytest.approx(2 * (1 + 7) / 2**7)
    assert compare(read_results(rows), "a", "b").p_mcnemar is None


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("a", "a", "with itself"),
        ("a", "z", "'z' is not in the table"),
        ("a", "", "not in the table"),
    ],
)
def test_comparison_needs_two_known_agents(a: str, b: str, message: str) -> None:
    table, _, _ = two_agents()
    with pytest.raises(InvalidInputError, match=message):
        compare(table, a, b)
    with pytest.raises(InvalidInputError, match="no common scale"):
        compare(table, "a", "b", measure="score")


def test_budget_curve_ends_at_the_mean() -> None:
    table = read_results(
        [
            run("a", "t1", 0, human_rank=0.8, steps=10),
            run("a", "t1", 1, human_rank=0.4, steps=2),
            run("a", "t2", 0, human_rank=0.6, steps=5),
            run("a", "t2", 1, steps=1),
        ]
    )
    curves = budget_curves(table, "human_rank", ["a"])
    assert set(curves) == {"steps"}
    (curve,) = curves["steps"]
    assert curve.x == (2.0, 5.0, 10.0)
    assert curve.y == pytest.approx((0.1, 0.25, 0.45))
    assert curve.y[-1] == pytest.approx(summaries(table)["a"].estimates["human_rank"].value)


def test_problems_name_what_cannot_be_compared() -> None:
    rows = [
        run("a", "t1", 0, human_rank=0.5, task_version="1", feedback="public"),
        run("a", "t1", 1, human_rank=0.5, task_version="2", feedback="public+private"),
        run("a", "t2", 0, status="invalid", error="nan_prediction"),
        run("a", "t2", 1, human_rank=0.5),
        run("a", "t2", 2, score=0.5),
    ]
    found = {f.code: f for f in find_problems(read_results(rows))}
    assert {"mixed_task_versions", "mixed_feedback", "partial_human_rank"} <= {
        c for c, f in found.items() if f.severity == "error"
    }
    assert found["invalid"].message.endswith("nan_prediction")
    assert found["private_feedback"].examples == ("a/t1/1",)
    assert found["few_families"].count == 2
    assert found["no_direction"].examples == ("t2",)
