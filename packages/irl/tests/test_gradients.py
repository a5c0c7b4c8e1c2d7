"""Gradients in float64 against differences, one case for each thing that changes them."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch's stubs leave parts unknown)
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from agentbench_irl.linear import linear_iqlearn_loss, linear_mixture_loss
from agentbench_irl.losses import iqlearn_loss, mixture_loss
from agentbench_irl.transitions import IGNORE, Transitions, text_transitions

ACTIONS, WIDTH = 5, 4


def rows(*texts: str) -> Transitions:
    """Return texts packed into one row: A is written by the model, u read, a last "|" is a cut."""
    found, offset = list[Transitions](), 0
    for number, text in enumerate(texts):
        written = torch.tensor([letter == "A" for letter in text.rstrip("|")])
        tokens = (torch.arange(len(written)) + number) % ACTIONS
        one = text_transitions(tokens, written, truncated=text.endswith("|"))
        found.append(one.at(offset))
        offset += len(written)
    return Transitions(
        targets=torch.cat([one.targets for one in found]),
        successor=torch.cat([one.successor for one in found]),
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    rows: Transitions = field(default_factory=lambda: rows("uAAAAA"))
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    head: dict[str, Any] = field(default_factory=dict[str, Any])
    mixture: bool = False


CASES = {
    "plain": Case(),
    "temperature": Case(options={"temperature": 0.7}),
    "discount": Case(options={"discount": 0.9}),
    "td weight 0": Case(options={"td_weight": 0.0}),
    "td weight 1": Case(options={"td_weight": 1.0}),
    "mask": Case(rows=rows("uuuAAA")),
    "packing": Case(rows=rows("uAAA", "uAA", "uuAAAA")),
    "terminal value": Case(options={"terminal_value": 1.3}),
    "terminal excluded": Case(rows=rows("uAAA").without_terminal()),
    "truncation": Case(rows=rows("uAAAA|")),
    "truncation in a prompt": Case(rows=rows("uAAuu|")),
    "turns": Case(rows=rows("uAAuuAAuA")),
    "soft cap": Case(head={"softcap": 2.0}),
    "logit scale": Case(head={"logit_scale": 1.7}),
    "weights": Case(mixture=True),
    "normalizer": Case(options={"normalizer": 3.0}),
    "hellinger": Case(options={"divergence": "hellinger"}),
    "js": Case(options={"divergence": "js"}),
    "kl": Case(options={"divergence": "kl"}),
    "everything": Case(
        rows=rows("uAAuuAA", "uuAAA|", "uAAu|"),
        options={"temperature": 0.7, "discount": 0.9, "td_weight": 0.6, "terminal_value": 0.4},
        head={"softcap": 2.0, "logit_scale": 1.7},
        mixture=True,
    ),
}


def inputs(case: Case) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Return hidden states, a head, and the arguments that both kinds of loss share."""
    make = torch.Generator().manual_seed(0)
    count = len(case.rows.targets)
    hidden = torch.randn(count, WIDTH, generator=make, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(ACTIONS, WIDTH, generator=make, dtype=torch.float64, requires_grad=True)
    shared: dict[str, Any] = {"td_weight": 0.3, "successor": case.rows.successor} | case.options
    if case.mixture:
        names = ("expert_weight", "value_weight", "td_row_weight")
        drawn = torch.rand(3, count, generator=make, dtype=torch.float64)
        shared |= dict(zip(names, drawn, strict=True))
    assert (case.rows.targets != IGNORE).any()
    return hidden, weight, shared


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_on_logits(case: Case) -> None:
    hidden, weight, shared = inputs(case)
    loss = mixture_loss if case.mixture else iqlearn_loss

    def of_logits(x: Tensor, w: Tensor) -> Tensor:
        z = case.head.get("logit_scale", 1.0) * x @ w.t()
        if "softcap" in case.head:
            z = case.head["softcap"] * torch.tanh(z / case.head["softcap"])
        return loss(z, case.rows.targets, **shared).loss

    assert torch.autograd.gradcheck(of_logits, (hidden, weight))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_on_hidden_states(case: Case) -> None:
    """Differences along random directions: a loss that is differentiated once has no gradcheck."""
    hidden, weight, shared = inputs(case)
    loss = linear_mixture_loss if case.mixture else linear_iqlearn_loss
    two_rows = 2 * ACTIONS * 8 / 2**20

    def of_hidden(x: Tensor, w: Tensor) -> Tensor:
        return loss(x, w, case.rows.targets, logits_mib=two_rows, **shared, **case.head).loss

    check_directions(of_hidden, (hidden, weight))


def check_directions(function: Callable[..., Tensor], at: tuple[Tensor, ...]) -> None:
    gradients = torch.autograd.grad(function(*at), at)
    step = 1e-5
    for seed in range(8):
        make = torch.Generator().manual_seed(seed)
        way = [torch.randn(one.shape, generator=make, dtype=one.dtype) for one in at]
        with torch.no_grad():
            ahead, behind = (
                function(*(one + sign * step * d for one, d in zip(at, way, strict=True)))
                for sign in (1, -1)
            )
        expected = (ahead - behind) / (2 * step)
        along = sum((g * d).sum() for g, d in zip(gradients, way, strict=True))
        torch.testing.assert_close(torch.as_tensor(along), expected, rtol=1e-7, atol=1e-8)


def test_of_the_weights_of_a_mixture() -> None:
    case = CASES["everything"]
    hidden, weight, shared = inputs(case)
    names = ("expert_weight", "value_weight", "td_row_weight")
    given = tuple(shared.pop(name).requires_grad_() for name in names)
    logits = (hidden @ weight.t()).detach()

    def of_weights(*row_weights: Tensor) -> Tensor:
        named: dict[str, Any] = dict(zip(names, row_weights, strict=True))
        return mixture_loss(logits, case.rows.targets, **named, **shared).loss

    assert torch.autograd.gradcheck(of_weights, given)


def test_of_the_terminal_value() -> None:
    hidden, weight, shared = inputs(CASES["packing"])
    logits, targets = (hidden @ weight.t()).detach(), CASES["packing"].rows.targets

    def of_terminal(value: Tensor) -> Tensor:
        return iqlearn_loss(logits, targets, terminal_value=value, **shared).loss

    value = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(of_terminal, (value,))
