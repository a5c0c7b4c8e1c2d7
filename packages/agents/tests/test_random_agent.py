from pathlib import Path

import pytest

from agentbench_agents import Budget, Campaign, RunSpec
from agentbench_agents.agents.random import RandomAgent


@pytest.mark.parametrize("task", ["diabetes", "digits"])
def test_chance_scores_like_chance_and_a_seed_repeats_it(tmp_path: Path, task: str) -> None:
    specs = [
        RunSpec(
            task=task,
            agent="random",
            sandbox="local",
            seed=seed,
            budget=Budget(steps=4),
            data_root=str(tmp_path / "data"),
        )
        for seed in (0, 1)
    ]
    campaigns = [Campaign(tmp_path / name) for name in ("first", "second")]
    runs = [{r.seed: r for r in c.execute(c.plan(specs))} for c in campaigns]
    for results in runs:
        assert {r.status for r in results.values()} == {"scored"}
    first, again = runs
    assert first[0].score == again[0].score != first[1].score
    strong = first[0].margin
    assert strong is not None
    assert strong < 30


def test_a_part_of_the_steps_is_between_0_and_1() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        RandomAgent(guesses=1.5)
