# pyright: reportUnknownMemberType=false
# (torch's stubs leave parts unknown)
import doctest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentbench_irl import transitions
from agentbench_irl.losses import iqlearn_loss
from agentbench_irl.transitions import (
    IGNORE,
    TERMINAL,
    UNKNOWN,
    Transitions,
    decoder_transitions,
    next_scored,
    text_transitions,
)


def test_docstring_examples() -> None:
    assert doctest.testmod(transitions).failed == 0


@pytest.mark.parametrize(
    ("text", "truncated", "scored_rows", "successors"),
    [
        ("uuAAA", False, [1, 2, 3], [2, 3, TERMINAL]),
        ("uAAuuAA", False, [0, 1, 4, 5], [1, 4, 5, TERMINAL]),
        ("uAAA", True, [0, 1, 2], [1, 2, 3]),
        ("uAAuu", True, [0, 1], [1, UNKNOWN]),
        ("uAAuu", False, [0, 1], [1, TERMINAL]),
        ("AAA", False, [0, 1], [1, TERMINAL]),
        ("uuu", False, [], []),
    ],
    ids=["prompt", "turns", "cut", "cut-in-prompt", "last-word-read", "from-first-token", "mute"],
)
def test_rules_of_the_module_docstring(
    text: str, *, truncated: bool, scored_rows: list[int], successors: list[int]
) -> None:
    tokens = torch.arange(10, 10 + len(text))
    written = torch.tensor([letter == "A" for letter in text])
    rows = text_transitions(tokens, written, truncated=truncated)
    assert (rows.targets != IGNORE).nonzero().flatten().tolist() == scored_rows
    assert rows.targets[scored_rows].tolist() == [11 + row for row in scored_rows]
    assert rows.successor[scored_rows].tolist() == successors


def test_decoder_rows() -> None:
    labels = torch.tensor([5, 6, 7])
    ended = decoder_transitions(labels, truncated=False)
    cut = decoder_transitions(labels, truncated=True)
    assert (ended.targets.tolist(), ended.successor.tolist()) == ([5, 6, 7], [1, 2, TERMINAL])
    assert (cut.targets.tolist(), cut.successor[:2].tolist()) == ([5, 6, IGNORE], [1, 2])


def test_moving_and_dropping_the_terminal() -> None:
    rows = text_transitions(torch.arange(3), torch.tensor([0, 1, 1]).bool(), truncated=False)
    assert rows.at(10).successor.tolist() == [11, TERMINAL, UNKNOWN]
    assert rows.without_terminal().successor.tolist() == [1, UNKNOWN, UNKNOWN]


texts = st.lists(
    st.tuples(st.lists(st.booleans(), min_size=1, max_size=9), st.booleans()),
    min_size=1,
    max_size=5,
)


def rows_of(text: tuple[list[bool], bool]) -> Transitions:
    written, truncated = text
    tokens = torch.arange(len(written)) % 5
    return text_transitions(tokens, torch.tensor(written), truncated=truncated)


@given(texts, st.integers(0, 3), st.integers(0, 3))
def test_packing_and_padding_change_nothing(
    documents: list[tuple[list[bool], bool]], left: int, right: int
) -> None:
    """Sum of the losses alone = loss of the packed row, wherever padding is put."""
    generator = torch.Generator().manual_seed(len(documents))
    alone = [rows_of(text) for text in documents]
    logits = [
        torch.randn(len(rows.targets), 5, generator=generator, dtype=torch.float64)
        for rows in alone
    ]
    options = {"td_weight": 0.3, "discount": 0.9, "terminal_value": 0.4, "normalizer": 1.0}
    expected = sum(
        iqlearn_loss(z, rows.targets, successor=rows.successor, **options).loss  # pyright: ignore[reportArgumentType]
        for z, rows in zip(logits, alone, strict=True)
    )
    offset, moved = left, list[Transitions]()
    for rows in alone:
        moved.append(rows.at(offset))
        offset += len(rows.targets)
    pads = [torch.full((n,), IGNORE) for n in (left, right)]
    targets = torch.cat([pads[0], *(rows.targets for rows in moved), pads[1]])
    successor = torch.cat([pads[0] * 0, *(rows.successor for rows in moved), pads[1] * 0])
    filler = [torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (left, right)]
    packed = iqlearn_loss(
        torch.cat([filler[0], *logits, filler[1]]),
        targets,
        successor=successor,
        **options,  # pyright: ignore[reportArgumentType]
    ).loss
    torch.testing.assert_close(packed, torch.as_tensor(expected, dtype=torch.float64))


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4))
def test_next_scored_walks_every_scored_row_once(mask: list[list[bool]]) -> None:
    scored = torch.tensor(mask)
    successor = next_scored(torch.where(scored, 1, IGNORE)).flatten()
    for start, line in zip(range(0, scored.numel(), 4), mask, strict=True):
        expected = [start + t for t, is_scored in enumerate(line) if is_scored]
        walked = list[int]()
        at = expected[0] if expected else TERMINAL
        while at != TERMINAL:
            walked.append(at)
            at = int(successor[at])
        assert walked == expected
    assert (successor[~scored.flatten()] == UNKNOWN).all()
