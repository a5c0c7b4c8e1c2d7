# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
# (torch's stubs leave parts unknown)
import doctest
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from agentbench_irl import baselines, divergences, losses
from agentbench_irl.divergences import penalty
from agentbench_irl.losses import iqlearn_loss, mixture_loss
from agentbench_irl.transitions import IGNORE, TERMINAL, UNKNOWN, next_scored


def batch(
    seed: int, *, rows: int = 11, actions: int = 7, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, rows, actions, generator=generator, dtype=dtype) * 2 + 1
    targets = torch.randint(actions, (2, rows), generator=generator)
    targets[torch.rand(2, rows, generator=generator) < 0.3] = IGNORE
    targets[:, 4] = 3
    return logits, targets


def wild_successor(targets: Tensor, seed: int) -> Tensor:
    """Any row may follow any row: the loss must not assume an order."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-2, targets.numel(), targets.shape, generator=generator)


def test_docstring_examples() -> None:
    for module in (losses, divergences, baselines):
        ran = doctest.testmod(module)
        assert ran.attempted > 0
        assert ran.failed == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_without_td_it_is_cross_entropy(dtype: torch.dtype) -> None:
    logits, targets = batch(0, dtype=dtype)
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss = iqlearn_loss(ours, targets, td_weight=0.0).loss
    expected = cross_entropy(
        (theirs if dtype == torch.float64 else theirs.float()).flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORE,
    )
    loss.backward()
    expected.backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    tolerance = 1e-15 if dtype == torch.float64 else 2e-7
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance, abs=tolerance)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance * 10, atol=tolerance)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("discount", [1.0, 0.9])
@pytest.mark.parametrize("semi_gradient", [False, True])
def test_gradient_has_the_closed_form(
    temperature: float, discount: float, *, semi_gradient: bool
) -> None:
    """dL/dz_t = g^V_t softmax(z_t / τ) + g^Q_t onehot(y_t), along a chain of rows.

    g^Q_t = (-1/τ + 2 λ r_t) / D
    g^V_t = 1 / (τ D) - 2 λ γ r_{t-1} / D, the last term absent with the semi-gradient
    """
    td_weight, terminal_value, rows = 0.3, 1.5, 9
    logits, targets = batch(3, rows=rows)
    z, y = logits[0].requires_grad_(), targets[0].clamp_min(0)
    iqlearn_loss(
        z,
        y,
        td_weight=td_weight,
        discount=discount,
        terminal_value=terminal_value,
        temperature=temperature,
        semi_gradient=semi_gradient,
    ).loss.backward()
    with torch.no_grad():
        value = temperature * torch.logsumexp(z / temperature, -1)
        q = z.gather(-1, y[:, None])[:, 0]
        next_value = torch.cat([value[1:], value.new_full((1,), terminal_value)])
        reward = q - discount * next_value
        g_q = (-1 / temperature + 2 * td_weight * reward) / rows
        g_v = torch.full_like(value, 1 / (temperature * rows))
        if not semi_gradient:
            g_v[1:] -= 2 * td_weight * discount * reward[:-1] / rows
        expected = g_v[:, None] * torch.softmax(z / temperature, -1)
        expected[torch.arange(rows), y] += g_q
    assert z.grad is not None
    torch.testing.assert_close(z.grad, expected, rtol=1e-12, atol=1e-12)


def test_offline_mixture_is_the_offline_loss() -> None:
    logits, targets = batch(4)
    mask = (targets != IGNORE).double()
    options = {"td_weight": 0.2, "discount": 0.95, "terminal_value": 0.3, "temperature": 0.8}
    successor = wild_successor(targets, 5)
    offline = iqlearn_loss(logits, targets, successor=successor, **options)  # pyright: ignore[reportArgumentType]
    mixture = mixture_loss(
        logits,
        targets,
        expert_weight=mask,
        value_weight=mask,
        td_row_weight=mask,
        successor=successor,
        **options,  # pyright: ignore[reportArgumentType]
    )
    torch.testing.assert_close(offline.loss, mixture.loss, rtol=1e-13, atol=0)
    torch.testing.assert_close(offline.metrics.sums, mixture.metrics.sums)


def test_total_reward_telescopes_without_discount() -> None:
    """Σ r = log π(y|x) + V(s_0) - V_term at γ = 1."""
    logits, _ = batch(8)
    targets = torch.tensor([1, 0, 6, 2, 2, 3, 5, 1, 0, 4, 2])
    rows = losses.soft_rows(logits[0], targets, terminal_value=2.5)
    log_likelihood = (rows.q - rows.value).sum()
    expected = log_likelihood + rows.value[0] - 2.5
    torch.testing.assert_close(rows.reward.sum(), expected)


def test_gauge_moves_only_the_last_reward_without_discount() -> None:
    logits, _ = batch(9)
    targets = torch.arange(11) % 7
    change = (
        losses.soft_rows(logits[0] + 5, targets).reward
        - losses.soft_rows(logits[0], targets).reward
    )
    expected = torch.zeros(11, dtype=torch.float64)
    expected[-1] = 5
    torch.testing.assert_close(change, expected)


DERIVATIVE = {
    "chi2": lambda x: 1 - x / 2,
    "hellinger": lambda x: 1 / (1 + x) ** 2,
    "js": lambda x: torch.exp(-x) / (2 - torch.exp(-x)),
    "kl": lambda x: torch.exp(-x),
}


@pytest.mark.parametrize("divergence", sorted(DERIVATIVE))
def test_divergence_has_the_derivative_of_its_table(divergence: str) -> None:
    """P'(r) = 1 - φ'(4 λ r), from the conjugates of the f-divergences."""
    td_weight = 0.2
    x = torch.linspace(-0.49, 3, 50, dtype=torch.float64)
    reward = (x / (4 * td_weight)).requires_grad_()
    penalty(reward, td_weight=td_weight, divergence=divergence).sum().backward()  # pyright: ignore[reportArgumentType]
    assert reward.grad is not None
    torch.testing.assert_close(reward.grad, 1 - DERIVATIVE[divergence](x))


@pytest.mark.parametrize("divergence", sorted(DERIVATIVE))
def test_divergence_is_convex_smooth_and_least_at_zero(divergence: str) -> None:
    reward = torch.linspace(-40, 40, 4001, dtype=torch.float64, requires_grad=True)
    cost = penalty(reward, td_weight=0.1, divergence=divergence)  # pyright: ignore[reportArgumentType]
    (slope,) = torch.autograd.grad(cost.sum(), reward)
    assert torch.isfinite(slope).all()
    assert (slope.diff() >= -1e-12).all()
    assert slope.diff().max() < 0.5
    assert cost.argmin() == 2000
    assert cost.min().item() == pytest.approx(0, abs=1e-12)


def test_unknown_successor_keeps_only_the_likelihood() -> None:
    logits, targets = batch(10)
    unknown = torch.full_like(targets, UNKNOWN)
    assert torch.equal(
        iqlearn_loss(logits, targets, td_weight=5.0, successor=unknown).loss,
        iqlearn_loss(logits, targets, td_weight=0.0).loss,
    )


def test_value_only_row_is_read_and_not_scored() -> None:
    """One scored row whose successor is a row with no target.

    V_0 = ln 2, Q_0 = 0, V_1 = ln 4: L = ln 2 + 0.5 (ln 4)².
    """
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    out = iqlearn_loss(
        logits,
        torch.tensor([0, IGNORE]),
        td_weight=0.5,
        successor=torch.tensor([1, TERMINAL]),
    )
    assert out.loss.item() == pytest.approx(math.log(2) + 0.5 * math.log(4) ** 2)
    assert out.metrics.means()["scored"] == 1


def test_padding_is_never_the_next_state() -> None:
    logits, _ = batch(11)
    targets = torch.tensor([[1, 2, 3, IGNORE, IGNORE], [4, 5, 6, 0, 1]])
    padded = iqlearn_loss(logits[:, :5], targets, td_weight=0.4, terminal_value=0.2).loss
    first = iqlearn_loss(logits[0, :3], targets[0, :3], td_weight=0.4, terminal_value=0.2).loss
    second = iqlearn_loss(logits[1, :5], targets[1], td_weight=0.4, terminal_value=0.2).loss
    torch.testing.assert_close(padded, (3 * first + 5 * second) / 8)


def test_metrics_are_the_means_they_name() -> None:
    """Two rows of a finished sequence: V = (ln 2, ln 4), Q = (0, ln 3), r = (-ln 4, ln 3)."""
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], dtype=torch.float64)
    means = iqlearn_loss(logits, torch.tensor([0, 0]), td_weight=1.0).metrics.means()
    reward = [-math.log(4), math.log(3)]
    assert means == pytest.approx(
        {
            "nll": (math.log(2) + math.log(4 / 3)) / 2,
            "td": (reward[0] ** 2 + reward[1] ** 2) / 2,
            "reward_mean": sum(reward) / 2,
            "reward_std": (reward[1] - reward[0]) / 2,
            "value_mean": math.log(8) / 2,
            "value_initial": math.log(2),
            "value_terminal": math.log(4),
            "saturated": 0.5,
            "accuracy": 1.0,
            "scored": 2.0,
        }
    )


def test_metrics_of_parts_add_up() -> None:
    logits, targets = batch(12)
    successor = next_scored(targets)
    whole = iqlearn_loss(logits, targets, td_weight=0.1, successor=successor)
    parts = [iqlearn_loss(logits[i], targets[i], td_weight=0.1) for i in range(2)]
    torch.testing.assert_close(
        whole.metrics.sums, (parts[0].metrics + parts[1].metrics).sums, rtol=1e-12, atol=1e-12
    )


def test_normalizer_replaces_the_count() -> None:
    logits, targets = batch(13)
    mean = iqlearn_loss(logits, targets, td_weight=0.1)
    total = iqlearn_loss(logits, targets, td_weight=0.1, normalizer=1.0)
    torch.testing.assert_close(total.loss, mean.loss * mean.metrics.sums[0])


def test_nothing_scored_is_zero_with_zero_gradient() -> None:
    logits = torch.randn(4, 5, requires_grad=True)
    out = iqlearn_loss(logits, torch.full((4,), IGNORE), td_weight=1.0)
    out.loss.backward()
    assert out.loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0
    assert math.isnan(out.metrics.means()["nll"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"td_weight": -1.0}, "td_weight is -1.0"),
        ({"td_weight": math.nan}, "td_weight is nan"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"targets": torch.zeros(3, dtype=torch.int64)}, r"\(4, 5\).*\(3,\)"),
        ({"divergence": "tv"}, "divergence 'tv' is not one of chi2, hellinger"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_refuses(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "logits": torch.zeros(4, 5),
        "targets": torch.zeros(4, dtype=torch.int64),
        "td_weight": 0.1,
    }
    with pytest.raises(ValueError, match=message):
        iqlearn_loss(**(arguments | change))  # pyright: ignore[reportArgumentType]
