from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents.reward import REWARDS, Transition, absolute, delta, milestone, terminal

PROGRESS = st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=30)


def episode(progress: Sequence[float | None]) -> list[Transition]:
    steps: list[Transition] = []
    best = 0.0
    for i, p in enumerate(progress):
        after = max(best, p or 0.0)
        done = i == len(progress) - 1
        steps.append(Transition(before=best, after=after, progress=p, done=done))
        best = after
    return steps


@given(PROGRESS)
def test_delta_sums_to_the_best_progress(progress: list[float | None]) -> None:
    total = sum(delta(s) for s in episode(progress))
    assert total == pytest.approx(max((p for p in progress if p is not None), default=0.0))


@given(PROGRESS)
def test_terminal_and_delta_have_the_same_sum(progress: list[float | None]) -> None:
    steps = episode(progress)
    assert sum(terminal(s) for s in steps) == pytest.approx(sum(delta(s) for s in steps))


@given(PROGRESS)
def test_rewards_are_between_0_and_1(progress: list[float | None]) -> None:
    for reward in REWARDS.values():
        assert all(0 <= reward(s) <= 1 for s in episode(progress))


@given(st.floats(0, 1))
def test_resubmission_earns_nothing(p: float) -> None:
    first, second = episode([p, p])
    assert delta(first) == p
    assert delta(second) == 0


def test_absolute_pays_each_submission_as_the_paper_does() -> None:
    assert [absolute(s) for s in episode([0.5, None, 0.5])] == [0.5, 0.0, 0.5]


def test_milestones_are_quarters() -> None:
    step = Transition(before=0, after=0.6, progress=0.6, milestones_before=0, milestones_after=3)
    assert milestone(step) == 0.75
