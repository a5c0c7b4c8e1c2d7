# pyright: reportUnknownMemberType=false
# (torch's stubs leave parts unknown)
import doctest
import math
from typing import Any

import numpy as np
import pytest
import torch

from agentbench_irl import rewards
from agentbench_irl.correlation import reward_correlation, spearman
from agentbench_irl.reward_scale import RewardScale
from agentbench_irl.rewards import TextReward, Total, rerank, text_rewards, token_rewards
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm, tiny_encoder_decoder
from agentbench_irl.transitions import IGNORE

EXAMPLES: list[dict[str, Any]] = [
    {"prompt": "one ", "completion": "two"},
    {"prompt": "a longer prompt, ", "completion": "x"},
    {"prompt": "p", "completion": "stopped", "truncated": True},
]


def test_docstring_examples() -> None:
    assert doctest.testmod(rewards).failed == 0


def test_unscored_rows_have_no_reward() -> None:
    found = token_rewards(torch.randn(2, 3, 4), torch.tensor([[1, IGNORE, 2], [0, 0, IGNORE]]))
    expected = [[False, True, False], [False, False, True]]
    assert found.isnan().tolist() == expected


def test_summed_reward_is_likelihood_plus_initial_value() -> None:
    """Σ r = log π + V(s_0) - V_term, at γ = 1, of finished texts."""
    scale = RewardScale(terminal_value=1.25)
    found = list(text_rewards(tiny_causal_lm(), byte_tokenizer(), EXAMPLES[:2], scale=scale))
    for text in found:
        expected = float(text.log_probs.sum()) + text.initial_value - 1.25
        assert text.total("sum") == pytest.approx(expected, abs=1e-4)


def test_batching_changes_nothing_and_a_cut_text_bootstraps() -> None:
    together = list(text_rewards(tiny_causal_lm(), byte_tokenizer(), EXAMPLES))
    alone = list(text_rewards(tiny_causal_lm(), byte_tokenizer(), EXAMPLES, batch_size=1))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.rewards, other.rewards, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(one.entropies, other.entropies, rtol=1e-5, atol=1e-5)
    # its last reward is log π + V - V' with V' near V, where a terminal value of 0 gives about V
    assert together[2].rewards[-1] < -4
    assert together[0].rewards[-1] > -1


def test_encoder_decoder() -> None:
    (found,) = text_rewards(tiny_encoder_decoder(), byte_tokenizer(), EXAMPLES[:1])
    assert len(found.tokens) == len("two") + 1
    assert found.total("sum") == pytest.approx(
        float(found.log_probs.sum()) + found.initial_value, abs=1e-4
    )


def test_relative_to_itself_is_zero() -> None:
    model = tiny_causal_lm()
    (found,) = text_rewards(model, byte_tokenizer(), EXAMPLES[:1], baseline=model)
    assert found.rewards.abs().max() == 0


@pytest.mark.parametrize(
    ("how", "expected"), [("sum", 2.0), ("mean", 1.0), ("min", -1.0), ("last", 3.0)]
)
def test_totals(how: Total, expected: float) -> None:
    values = torch.tensor([-1.0, torch.nan, 3.0])
    text = TextReward(
        tokens=torch.zeros(3), rewards=values, log_probs=values, entropies=values, initial_value=0
    )
    assert text.total(how) == expected


@pytest.mark.parametrize("prompt", ["say: ", [{"role": "user", "content": "say"}]])
def test_rerank_by_sum_is_likelihood_ranking(prompt: str | list[dict[str, Any]]) -> None:
    tokenizer, model = byte_tokenizer(), tiny_causal_lm(seed=3)
    candidates = ["a", "bcd", "zzzzzz", "q r"]
    order = rerank(model, tokenizer, prompt, candidates, total="sum")
    examples = [
        {"prompt": prompt, "completion": text}
        if isinstance(prompt, str)
        else {"prompt": prompt, "completion": [{"role": "assistant", "content": text}]}
        for text in candidates
    ]
    likelihood = [float(t.log_probs.sum()) for t in text_rewards(model, tokenizer, examples)]
    assert order == sorted(range(4), key=lambda i: -likelihood[i])


def test_spearman_with_ties() -> None:
    """Ranks 1 2.5 2.5 4 against 1 2 3 4: 4.5 / sqrt(4.5 * 5)."""
    found = spearman(np.array([1.0, 2.0, 2.0, 5.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_correlation_within_and_across_prompts_can_differ() -> None:
    """Within each prompt the order is reversed; across prompts the means dominate."""

    def text(reward: float) -> TextReward:
        value = torch.tensor([reward])
        return TextReward(
            tokens=value, rewards=value, log_probs=value, entropies=value, initial_value=0
        )

    found = reward_correlation(
        [text(r) for r in (1.0, 0.0, 11.0, 10.0)], [0.0, 0.1, 1.0, 1.1], prompts=[0, 0, 1, 1]
    )
    assert found["reward_sum"].spearman_within == -1
    assert found["reward_sum"].pearson_within == pytest.approx(-1)
    assert found["reward_sum"].prompts == 2
    assert found["reward_sum"].pearson > 0.9
    assert math.isnan(found["length"].spearman)
