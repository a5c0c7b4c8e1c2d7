# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's stubs leave parts unknown)
import doctest
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

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


@pytest.mark.parametrize(
    ("text", "truncated", "loss"),
    [
        ("uuAAA", False, 1.013449),
        ("uAAuuAA", False, 1.053487),
        ("uAAA", True, 1.173600),
        ("uAAuu", True, 0.933374),
    ],
)
def test_numbers_of_the_module_docstring(text: str, *, truncated: bool, loss: float) -> None:
    written = torch.tensor([letter == "A" for letter in text])
    tokens = torch.arange(len(text)) % 2
    rows = text_transitions(tokens, written, truncated=truncated)
    out = iqlearn_loss(
        torch.zeros(len(text), 2), rows.targets, successor=rows.successor, td_weight=1.0
    )
    assert float(out.loss) == pytest.approx(loss, abs=1e-6)


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


OPTIONS: dict[str, Any] = {"td_weight": 0.3, "discount": 0.9, "terminal_value": 0.4}


@dataclass(frozen=True, kw_only=True)
class Alone:
    """Texts by themselves: logits, rows, summed loss and its gradients."""

    logits: list[Tensor]
    rows: list[Transitions]
    loss: Tensor
    gradients: list[Tensor]


def each_alone(documents: list[tuple[list[bool], bool]]) -> Alone:
    generator = torch.Generator().manual_seed(len(documents))
    rows = [rows_of(text) for text in documents]
    logits = [
        torch.randn(
            len(one.targets), 5, generator=generator, dtype=torch.float64, requires_grad=True
        )
        for one in rows
    ]
    losses = [
        iqlearn_loss(z, one.targets, successor=one.successor, normalizer=1.0, **OPTIONS).loss
        for z, one in zip(logits, rows, strict=True)
    ]
    loss = torch.stack(losses).sum()
    return Alone(
        logits=logits, rows=rows, loss=loss.detach(), gradients=list(gradient(loss, logits))
    )


def gradient(loss: Tensor, logits: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, logits, materialize_grads=True, allow_unused=True)


def laid_out(alone: Alone, which: list[int], *, left: int, right: int) -> tuple[Tensor, ...]:
    """Return logits, targets and successors of one row that holds some texts, and padding."""
    offset, moved = left, list[Transitions]()
    for index in which:
        moved.append(alone.rows[index].at(offset))
        offset += len(alone.rows[index].targets)
    pads = [torch.full((n,), IGNORE) for n in (left, right)]
    filler = [torch.full((n, 5), 7.0, dtype=torch.float64) for n in (left, right)]
    return (
        torch.cat([filler[0], *(alone.logits[index] for index in which), filler[1]]),
        torch.cat([pads[0], *(one.targets for one in moved), pads[1]]),
        torch.cat([pads[0] * 0, *(one.successor for one in moved), pads[1] * 0]),
    )


def same_as_alone(loss: Tensor, alone: Alone) -> None:
    torch.testing.assert_close(loss.detach(), alone.loss)
    torch.testing.assert_close(list(gradient(loss, alone.logits)), alone.gradients)


@settings(deadline=None)
@given(texts, st.integers(0, 3), st.integers(0, 3))
def test_packing_and_padding_side_change_neither_loss_nor_gradient(
    documents: list[tuple[list[bool], bool]], left: int, right: int
) -> None:
    """All texts in one row, with padding before and after."""
    alone = each_alone(documents)
    logits, targets, successor = laid_out(
        alone, list(range(len(documents))), left=left, right=right
    )
    out = iqlearn_loss(logits, targets, successor=successor, normalizer=1.0, **OPTIONS)
    same_as_alone(out.loss, alone)


@settings(deadline=None)
@given(documents=texts, on_the_left=st.booleans())
def test_a_padded_batch_changes_neither_loss_nor_gradient(
    documents: list[tuple[list[bool], bool]], *, on_the_left: bool
) -> None:
    """One row per text, padded to the longest on one side."""
    alone = each_alone(documents)
    length = max(len(written) for written, _ in documents)
    parts = list[tuple[Tensor, ...]]()
    for number, (written, _) in enumerate(documents):
        missing = length - len(written)
        left, right = (missing, 0) if on_the_left else (0, missing)
        logits, targets, successor = laid_out(alone, [number], left=left, right=right)
        start = number * length
        parts.append((logits, targets, torch.where(successor >= 0, successor + start, successor)))
    logits, targets, successor = (torch.stack(part) for part in zip(*parts, strict=True))
    out = iqlearn_loss(logits, targets, successor=successor, normalizer=1.0, **OPTIONS)
    same_as_alone(out.loss, alone)


@settings(deadline=None)
@given(texts, st.data())
def test_splitting_and_accumulation_change_neither_loss_nor_gradient(
    documents: list[tuple[list[bool], bool]], data: st.DataObject
) -> None:
    """Batches of any of the texts, their losses over the tokens of all, gradients added up."""
    alone = each_alone(documents)
    batch_of = [data.draw(st.integers(0, 2)) for _ in documents]
    scored = sum(int((one.targets != IGNORE).sum()) for one in alone.rows)
    added = [torch.zeros_like(one) for one in alone.logits]
    total = torch.zeros((), dtype=torch.float64)
    for batch in set(batch_of):
        which = [index for index, number in enumerate(batch_of) if number == batch]
        logits, targets, successor = laid_out(alone, which, left=0, right=1)
        normalizer = max(scored, 1)
        out = iqlearn_loss(logits, targets, successor=successor, normalizer=normalizer, **OPTIONS)
        total += out.loss.detach()
        added = [a + b for a, b in zip(added, gradient(out.loss, alone.logits), strict=True)]
    torch.testing.assert_close(total * max(scored, 1), alone.loss)
    torch.testing.assert_close([one * max(scored, 1) for one in added], alone.gradients)


@settings(deadline=None)
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
