"""The aggregates by the names and argument names that other code relies on."""

import inspect
from typing import Any

import pytest

import agentbench_scoring as scoring

SCORES = {"A": [0.9, 0.8], "B": [0.6, 0.9], "base": [0.5, 0.4]}
BATTLES = [["A", "B", 1], ["B", "A", 0.5], ["A", "B", 0]]
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("adjust_pvalues", {"p": [0.01, 0.04], "method": "holm"}),
    ("aup", {"scores": SCORES, "higher_is_better": [True, True], "tau_max": 1.0}),
    (
        "aup_mlgym",
        {"scores": SCORES, "higher_is_better": [True, True], "tau_max": 1.0, "grid": 500},
    ),
    ("best_of_k", {"scores": [0.1, 0.2], "k": 1, "higher_is_better": True}),
    ("bradley_terry", {"battles": BATTLES, "scale": 400, "base": 10, "mean": 1000}),
    ("clustered_se", {"values": [1.0, 2.0], "clusters": [0, 1], "correction": "G/(G-1)"}),
    ("elo", {"battles": BATTLES, "k": 4, "init": 1000, "scale": 400, "base": 10}),
    ("friedman", {"scores": [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0]]}),
    ("iqm", {"scores": [[0.1, 0.2], [0.3, 0.4]]}),
    ("mcnemar", {"b": 3, "c": 5}),
    ("mean_win_rate", {"scores": {"A": [1], "B": [2], "C": [3]}, "higher_is_better": [True]}),
    (
        "normalized_regret",
        {"agent": 0.5, "best": 0.9, "worst": 0.1, "higher_is_better": True},
    ),
    ("optimality_gap", {"scores": [[0.5]], "gamma": 1.0}),
    ("paired_difference", {"a": [1.0, 2.0, 4.0], "b": [0.0, 2.0, 1.0]}),
    ("pass_at_k", {"n": 5, "c": 2, "k": 2}),
    ("pass_hat_k", {"n": 5, "c": 2, "k": 2}),
    (
        "performance_profile",
        {"scores": SCORES, "higher_is_better": [True, True], "taus": [0.0, 0.1]},
    ),
    ("probability_of_improvement", {"x": [[0.5], [0.6]], "y": [[0.4]]}),
    (
        "relative_improvement_to_human",
        {"agent": 0.5, "baseline": 0.4, "human": 0.8, "higher_is_better": True},
    ),
    ("sem", {"values": [1.0, 2.0]}),
    ("sign_test", {"wins": 3, "losses": 1}),
    ("t_interval", {"values": [1.0, 2.0], "level": 0.95}),
    ("wilcoxon_signed_rank", {"a": [1.0, 2.0], "b": [0.0, 3.0]}),
    ("wilson_interval", {"successes": 3, "n": 5, "level": 0.95}),
]
ATTRIBUTES = {
    "friedman": ("statistic",),
    "mcnemar": ("p",),
    "paired_difference": ("mean", "se", "p"),
    "sign_test": ("p",),
    "wilcoxon_signed_rank": ("p",),
}


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=[name for name, _ in CALLS])
def test_contract(name: str, arguments: dict[str, Any]) -> None:
    function = getattr(scoring, name)
    assert name in scoring.__all__
    assert set(arguments) <= set(inspect.signature(function).parameters)
    found = function(**arguments)
    for attribute in ATTRIBUTES.get(name, ()):
        assert isinstance(getattr(found, attribute), float)
    if name in {"aup", "aup_mlgym", "performance_profile"}:
        assert set(found) == {"A", "B", "base"}
    if name in {"t_interval", "wilson_interval"}:
        low, high = found
        assert low < high
