import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbench_agents.spaces import AnyText


@given(st.text())
def test_any_unicode_is_inside(text: str) -> None:
    assert AnyText().contains(text)


@pytest.mark.parametrize("value", [b"bytes", 1, None, ["a"], "xxxx"])
def test_other_things_are_outside(value: object) -> None:
    assert not AnyText(3).contains(value)


def test_samples_are_inside_and_seeded() -> None:
    space = AnyText(8)
    space.seed(3)
    first = [space.sample() for _ in range(3)]
    space.seed(3)
    assert [space.sample() for _ in range(3)] == first
    assert all(space.contains(s) and len(s) == 8 for s in first)


def test_copies_are_equal() -> None:
    space = AnyText(5)
    assert space == copy.deepcopy(space) == pickle.loads(pickle.dumps(space))  # noqa: S301
    assert space != AnyText(6)


def test_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="masks"):
        AnyText().sample(mask=1)  # pyright: ignore[reportArgumentType]
