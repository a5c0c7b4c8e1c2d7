import doctest
import math
from pathlib import Path

import pytest

from agentbench_irl import evaluate, sweep
from agentbench_irl.errors import ConfigError, DataError
from agentbench_irl.evaluate import Answers, Estimate, evaluate_answers, pass_at_k, self_bleu
from agentbench_irl.generation import Sampler, generate, question_of
from agentbench_irl.sweep import plot_sweep
from agentbench_irl.sweep import sweep as run_sweep
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm, tiny_encoder_decoder


@pytest.mark.parametrize("module", [evaluate, sweep])
def test_docstring_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # pyright: ignore[reportArgumentType]


def test_rouge_by_hand() -> None:
    """`the cat sat` / `the cat ran home`: 2 of 3 and 2 of 4 words, 1 of 2 and 1 of 3 pairs."""
    found = evaluate.rouge("the cat sat", "the cat ran home")
    assert found["rouge1"] == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert found["rouge2"] == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert found["rougeL"] == pytest.approx(found["rouge1"])


def test_self_bleu_of_copies_is_one_and_of_strangers_is_low() -> None:
    assert self_bleu(["the same words again here"] * 3) == pytest.approx(1)
    assert self_bleu(["one two three four", "five six seven eight"]) < 0.1
    assert math.isnan(self_bleu(["alone"]))


@pytest.mark.parametrize(
    ("correct", "samples", "k", "expected"),
    [(0, 5, 5, 0), (5, 5, 1, 1), (2, 5, 1, 0.4), (1, 4, 4, 1), (2, 4, 2, 1 - 1 / 6)],
)
def test_pass_at_k(correct: int, samples: int, k: int, expected: float) -> None:
    assert pass_at_k(correct, samples, k) == pytest.approx(expected)


def test_evaluate_answers() -> None:
    found = evaluate_answers(
        [
            Answers(samples=["the cat sat down", "a dog"], reference="the cat sat down"),
            Answers(samples=["no", "no"], reference="the sun is up"),
        ]
    )
    match = found["exact_match"]
    assert isinstance(match, Estimate)
    assert (match.mean, match.low, match.high) == (0.25, 0, 0.5)
    best = found["pass@2"]
    assert isinstance(best, Estimate)
    assert best.mean == 0.5
    assert isinstance(found["bleu"], float)
    assert 0 < found["bleu"] < 1


def test_evaluate_answers_refuses_ragged_samples() -> None:
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        evaluate_answers(
            [Answers(samples=["a"], reference="a"), Answers(samples=["a", "b"], reference="a")]
        )


def test_question_of_an_agent_s_trajectory() -> None:
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "call"},
        {"role": "tool", "content": "result"},
        {"role": "assistant", "content": "answer"},
    ]
    asked = question_of({"messages": messages}, byte_tokenizer())
    assert asked.prompt == "<user>q</s>\n<assistant>call</s>\n<tool>result</s>\n<assistant>"
    assert asked.reference == "answer"
    with pytest.raises(DataError, match="answers anything"):
        question_of({"messages": messages[:1]}, byte_tokenizer())


@pytest.mark.parametrize("encoder_decoder", [False, True])
def test_generation_goes_on_where_it_stopped(*, encoder_decoder: bool) -> None:
    model = tiny_encoder_decoder() if encoder_decoder else tiny_causal_lm()
    prompts = ["a", "bc", "def", "g"]
    options: dict[str, int] = {"samples": 2, "max_new_tokens": 5, "batch_size": 2}
    whole = list(generate(model, byte_tokenizer(), prompts, **options))  # pyright: ignore[reportArgumentType]
    rest = generate(model, byte_tokenizer(), prompts[2:], seed=2, **options)  # pyright: ignore[reportArgumentType]
    assert [len(texts) for texts in whole] == [2, 2, 2, 2]
    assert list(rest) == whole[2:]
    assert whole[0][0] != whole[0][1]


def test_greedy_samples_are_equal() -> None:
    sampler = Sampler(temperature=0)
    options: dict[str, int] = {"samples": 2, "max_new_tokens": 5}
    (texts,) = generate(tiny_causal_lm(), byte_tokenizer(), ["a"], sampler=sampler, **options)  # pyright: ignore[reportArgumentType]
    assert texts[0] == texts[1]


def test_sweep_and_its_plot(tmp_path: Path) -> None:
    questions = [
        question_of({"prompt": text, "completion": "ab cd ef"}, byte_tokenizer())
        for text in ("one", "two")
    ]
    samplers = [Sampler(temperature=0), Sampler(temperature=1.0), Sampler(min_p=0.5)]
    points = run_sweep(
        tiny_causal_lm(),
        byte_tokenizer(),
        questions,
        samplers=samplers,
        samples=2,
        max_new_tokens=8,
    )
    assert [point.sampler for point in points] == samplers
    assert points[0].diversity.mean == pytest.approx(0, abs=1e-6)
    assert any(point.best for point in points)
    for suffix in ("png", "svg"):
        plot_sweep({"tiny": points}, tmp_path / f"front.{suffix}")
        assert (tmp_path / f"front.{suffix}").stat().st_size > 1000
    with pytest.raises(ConfigError, match=r"not front\.pdf"):
        plot_sweep({"tiny": points}, tmp_path / "front.pdf")
    with pytest.raises(ConfigError, match="'wer' is not one of exact_match"):
        run_sweep(tiny_causal_lm(), byte_tokenizer(), questions, metric="wer")
