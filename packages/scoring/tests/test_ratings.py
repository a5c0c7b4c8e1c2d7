"""Elo and Bradley-Terry: against known solutions, laws, and the width of the bootstrap."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_scoring.errors import InvalidInputError, NotIdentifiableError, UndefinedMetricError
from agentbench_scoring.ratings import (
    Battle,
    battles_to_wins,
    bradley_terry,
    clustered_bradley_terry,
    elo,
    resampled_wins,
)

outcomes = st.sampled_from([0.0, 0.5, 1.0])


def simulate(
    n_tasks: int, n_agents: int, *, task_sd: float, seed: int = 0
) -> dict[str, list[np.ndarray]]:
    """Scores with an agent-by-task interaction shared by the seeds of a task."""
    rng = np.random.default_rng(seed)
    skill = np.linspace(-0.6, 0.6, n_agents)
    effect = rng.normal(size=(n_agents, n_tasks)) * task_sd
    return {
        f"agent-{i}": [skill[i] + effect[i, t] + rng.normal(size=3) * 0.3 for t in range(n_tasks)]
        for i in range(n_agents)
    }


def test_elo_by_hand() -> None:
    """Equal ratings: the winner takes k / 2; then a 16-point favourite that ties loses a little."""
    found = elo([("a", "b", 1), ("a", "b", 0.5)], k=32)
    expected = 1 / (1 + 10 ** (-32 / 400))
    assert found["a"] == pytest.approx(1016 + 32 * (0.5 - expected))
    assert found["a"] + found["b"] == pytest.approx(2000)


@given(st.lists(outcomes, min_size=1, max_size=30))
def test_elo_conserves_points(results: list[float]) -> None:
    names = ["a", "b", "c"]
    battles: list[Battle] = [(names[i % 3], names[(i + 1) % 3], o) for i, o in enumerate(results)]
    found = elo(battles, k=4)
    assert sum(found.values()) == pytest.approx(1000 * len(found))


def test_two_agents_have_the_closed_form() -> None:
    """Three wins in four: 400 log10 3 apart."""
    found = bradley_terry([("a", "b", 1)] * 3 + [("a", "b", 0)])
    assert found["a"] - found["b"] == pytest.approx(400 * math.log10(3))
    assert (found["a"] + found["b"]) / 2 == pytest.approx(1000)


def test_scale_base_and_mean() -> None:
    found = bradley_terry([("a", "b", 1)] * 3 + [("b", "a", 1)], scale=1, base=math.e, mean=0)
    assert found["a"] == pytest.approx(math.log(3) / 2)


@given(data=st.data(), m=st.integers(2, 6))
def test_the_score_equations_hold(data: st.DataObject, m: int) -> None:
    """At the maximum each agent's expected points equal its points (Zermelo 1929)."""
    names = [f"m{i}" for i in range(m)]
    # A cycle of wins makes it identifiable whatever the rest.
    battles: list[Battle] = [(names[i], names[(i + 1) % m], 1.0) for i in range(m) if m > 2]
    battles += [("m0", "m1", 1.0), ("m0", "m1", 0.0)] if m == 2 else []
    for _ in range(data.draw(st.integers(0, 25))):
        i, j = data.draw(st.permutations(range(m)).map(lambda p: p[:2]))
        battles.append((names[i], names[j], data.draw(outcomes)))
    found = bradley_terry(battles)
    for name in names:
        points = expected = 0.0
        for a, b, outcome in battles:
            if name in {a, b}:
                p = 1 / (1 + 10 ** ((found[b] - found[a]) / 400))
                points += outcome if name == a else 1 - outcome
                expected += p if name == a else 1 - p
        assert expected == pytest.approx(points, abs=1e-6)


def test_bradley_terry_is_a_logistic_regression() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(3)
    battles: list[Battle] = []
    rows: list[np.ndarray] = []
    labels: list[int] = []
    for _ in range(400):
        i, j = rng.choice(5, 2, replace=False)
        win = int(rng.random() < 1 / (1 + math.exp((j - i) * 0.5)))
        battles.append((f"m{i}", f"m{j}", win))
        row = np.zeros(5)
        row[[i, j]] = 1, -1
        rows.append(row)
        labels.append(win)
    fit = linear.LogisticRegression(C=1e8, fit_intercept=False, tol=1e-10, max_iter=10_000)
    weights = fit.fit(np.array(rows), labels).coef_[0] * 400 / math.log(10)
    expected = weights - weights.mean() + 1000
    found = bradley_terry(battles)
    assert [found[f"m{i}"] for i in range(5)] == pytest.approx(expected.tolist(), abs=0.05)


@pytest.mark.parametrize(
    "battles",
    [
        pytest.param([("a", "b", 1)], id="never lost"),
        pytest.param([("a", "b", 0.5), ("c", "d", 0.5)], id="never met"),
        pytest.param([("a", "b", 0.5), ("c", "a", 1), ("c", "b", 1)], id="one unbeaten"),
    ],
)
def test_what_has_no_maximum_is_an_error(battles: list[Battle]) -> None:
    with pytest.raises(NotIdentifiableError, match="never took a point"):
        bradley_terry(battles)
    found = bradley_terry(battles, prior_ties=0.5)
    assert all(math.isfinite(r) for r in found.values())


def test_the_error_names_who_never_scored() -> None:
    with pytest.raises(NotIdentifiableError, match="b never took a point from a"):
        bradley_terry([("a", "b", 1)])


@pytest.mark.parametrize("battle", [("a", "b", 0.7), ("a", "a", 1), ("a", "b", math.nan)])
def test_battles_are_checked(battle: Battle) -> None:
    for rate in (elo, bradley_terry):
        with pytest.raises(InvalidInputError):
            rate([battle])


def test_no_battles_no_ratings() -> None:
    with pytest.raises(UndefinedMetricError):
        bradley_terry([])


def test_runs_become_battles_of_weight_one_per_task() -> None:
    agents, wins = battles_to_wins(
        {
            "a": [[1.0, 3.0], [-math.inf], []],
            "b": [[2.0, 0.0, 3.0], [-math.inf, 0.0], [1.0]],
        }
    )
    assert agents == ["a", "b"]
    # Task 1: a's 1 beats 0; a's 3 beats 2 and 0 and ties 3. Task 2: a failed; one of b's too.
    assert wins[0, 0, 1] == pytest.approx((1 + 2 + 0.5) / 6)
    assert wins[1, 0, 1] == pytest.approx(0.25)
    assert wins[:2].sum(axis=(1, 2)).tolist() == [1.0, 1.0]
    assert not wins[2].any()


def test_a_tie_band_widens_ties() -> None:
    _, wins = battles_to_wins({"a": [[1.0]], "b": [[1.05]]}, tie_band=0.1)
    assert wins[0, 0, 1] == 0.5


def test_clustered_point_estimate_is_the_plain_one() -> None:
    agents, wins = battles_to_wins(simulate(30, 4, task_sd=0.5))
    found = clustered_bradley_terry(wins, agents, range(30), rounds=50)
    battles: list[Battle] = []
    for i, a in enumerate(agents):
        for j, b in enumerate(agents[:i]):
            won = round(wins[:, i, j].sum() * 18)
            battles += [(a, b, 1)] * won + [(a, b, 0)] * (30 * 18 - won)
    assert found.ratings == pytest.approx(bradley_terry(battles), abs=1e-6)
    assert sum(found.ratings.values()) / 4 == pytest.approx(1000)
    for agent in agents:
        low, high = found.intervals[agent]
        assert low < found.ratings[agent] < high
        best, worst = found.ranks[agent]
        assert 1 <= best <= worst <= 4


def test_resampling_tasks_is_wider_than_resampling_battles() -> None:
    """With agent-by-task effects, battles of one task agree; treating them as independent lies."""
    scores = simulate(40, 4, task_sd=1.0)
    agents, wins = battles_to_wins(scores)
    by_task = clustered_bradley_terry(wins, agents, range(40), rounds=500)
    pairs = np.array(
        [
            [
                [float(scores[a][t][r] > scores[b][t][s]) if a != b else 0.0 for b in agents]
                for a in agents
            ]
            for t in range(40)
            for r in range(3)
            for s in range(3)
        ]
    )
    pairs = np.triu(pairs) + np.tril(1 - pairs.transpose(0, 2, 1), -1)
    by_battle = clustered_bradley_terry(pairs, agents, range(len(pairs)), rounds=500)
    ratio = [
        (by_task.intervals[a].high - by_task.intervals[a].low)
        / (by_battle.intervals[a].high - by_battle.intervals[a].low)
        for a in agents
    ]
    assert min(ratio) > 1.5


def test_families_are_resampled_whole() -> None:
    """Ten copies of each task are one family: intervals must be those of the tasks alone."""
    agents, wins = battles_to_wins(simulate(12, 3, task_sd=0.7))
    once = clustered_bradley_terry(wins, agents, range(12), rounds=300, seed=5)
    copies = clustered_bradley_terry(
        np.repeat(wins / 10, 10, axis=0),
        agents,
        np.repeat(range(12), 10).tolist(),
        rounds=300,
        seed=5,
    )
    for agent in agents:
        assert tuple(copies.intervals[agent]) == pytest.approx(tuple(once.intervals[agent]))


def test_resamples_without_a_maximum_are_counted() -> None:
    """One task out of three is the only one that b wins: many resamples miss it."""
    wins = np.zeros((3, 2, 2))
    wins[:2, 0, 1] = 1
    wins[2, 1, 0] = 1
    found = clustered_bradley_terry(wins, ["a", "b"], range(3), rounds=400)
    assert 0 < found.regularised < 400
    assert all(math.isfinite(x) for pair in found.intervals.values() for x in pair)


def test_suite_intervals_resample_the_runs_of_each_task() -> None:
    """One task, three runs each: two of three are drawn, so a share is a multiple of a quarter."""
    scores = {"a": [[1.0, 3.0, 5.0]], "b": [[2.0, 4.0, 0.0]]}
    found = resampled_wins(scores, rounds=300)
    assert found is not None
    assert found.shape == (300, 2, 2)
    assert np.allclose(found + found.transpose(0, 2, 1), 1 - np.eye(2))
    assert set(np.unique(found[:, 0, 1] * 4)) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert float(found[:, 0, 1].mean()) == pytest.approx(6 / 9, abs=0.04)
    assert resampled_wins({"a": [[1.0]], "b": [[2.0]]}) is None


def test_ratings_and_win_rates_have_both_intervals() -> None:
    scores = simulate(30, 3, task_sd=1.5)
    agents, wins = battles_to_wins(scores)
    found = clustered_bradley_terry(wins, agents, range(30), suite_wins=resampled_wins(scores))
    assert found.suite_intervals is not None
    for agent in agents:
        rate = found.win_rates[agent]
        assert rate.suite is not None
        assert rate.suite.low < rate.value < rate.suite.high
        assert rate.population.low < rate.value < rate.population.high
        # Agents differ most between tasks here, so other tasks are the larger uncertainty.
        assert np.ptp(found.suite_intervals[agent]) < np.ptp(found.intervals[agent])
    assert sum(r.value for r in found.win_rates.values()) == pytest.approx(1.5)


def test_one_family_cannot_be_resampled() -> None:
    wins = np.full((2, 2, 2), 0.5)
    with pytest.raises(UndefinedMetricError, match="one cluster"):
        clustered_bradley_terry(wins, ["a", "b"], ["f", "f"])


def test_the_same_seed_gives_the_same_intervals() -> None:
    agents, wins = battles_to_wins(simulate(20, 3, task_sd=0.5))
    runs = [clustered_bradley_terry(wins, agents, range(20), rounds=100, seed=s) for s in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0].intervals != runs[2].intervals
