# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch and transformers annotate their classes in part)
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentbench_irl.config import IQLearnConfig
from agentbench_irl.errors import ConfigError, DataError, UnsupportedModelError
from agentbench_irl.pretrained import last_checkpoint
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm, tiny_encoder_decoder
from agentbench_irl.trainer import IQLearnTrainer

PROMPTS: list[dict[str, Any]] = [
    {"prompt": f"{number} plus {number}: ", "completion": str(2 * number)} for number in range(12)
]


def trainer(
    directory: Path,
    examples: list[dict[str, Any]],
    *,
    model: nn.Module | None = None,
    **options: Any,  # noqa: ANN401 - fields of IQLearnConfig
) -> IQLearnTrainer:
    defaults: dict[str, Any] = {
        "output_dir": str(directory),
        "max_steps": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "optim": "sgd",
        "lr_scheduler_type": "constant",
        "disable_tqdm": True,
        "save_strategy": "no",
        "use_cpu": True,
    }
    return IQLearnTrainer(
        tiny_causal_lm() if model is None else model,
        IQLearnConfig(**(defaults | options)),
        train_dataset=examples,
        eval_dataset=examples,
        processing_class=byte_tokenizer(),
    )


def weights(run: IQLearnTrainer) -> Tensor:
    assert run.model is not None
    return torch.cat([weight.detach().flatten() for weight in run.model.parameters()])


@pytest.mark.parametrize("loss_type", ["iqlearn", "mle", "gem", "dft"])
def test_it_learns(tmp_path: Path, chats: list[dict[str, Any]], loss_type: str) -> None:
    run = trainer(
        tmp_path, chats, loss_type=loss_type, max_steps=25, optim="adamw_torch", learning_rate=1e-2
    )
    before = run.evaluate()
    run.train()
    after = run.evaluate()
    assert after["eval_accuracy"] > before["eval_accuracy"] + 0.3
    assert after["eval_nll"] < before["eval_nll"] / 2


def test_accumulated_small_batches_are_one_large_batch(
    tmp_path: Path, chats: list[dict[str, Any]]
) -> None:
    runs = [
        trainer(
            tmp_path,
            chats,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=8 // size,
        )
        for size in (8, 2, 1)
    ]
    for run in runs:
        run.train()
    assert runs[0].reward_scale.terminal_value is not None
    for run in runs[1:]:
        torch.testing.assert_close(weights(run), weights(runs[0]), rtol=1e-5, atol=1e-6)
        assert run.reward_scale.terminal_value == pytest.approx(
            runs[0].reward_scale.terminal_value, rel=1e-6
        )


@pytest.mark.parametrize(
    "layout",
    [
        {"packing": True, "max_length": 64},
        {"packing": True, "max_length": 200, "padding_free": True},
        {"padding_free": True},
        {"pad_to_multiple_of": 16},
        {"per_device_eval_batch_size": 1},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_layout_changes_nothing(
    tmp_path: Path, chats: list[dict[str, Any]], layout: dict[str, Any], attention: str
) -> None:
    model = tiny_causal_lm()
    model.set_attn_implementation(attention)
    examples = [*chats[:7], {"text": "a plain text"}, {"text": "stopped", "truncated": True}]
    options: dict[str, Any] = {"model": model, "terminal_value": 0.3, "discount": 0.9}
    expected = trainer(tmp_path, examples, **options).evaluate()
    found = trainer(tmp_path, examples, **(options | layout)).evaluate()
    names = ["loss", "nll", "td", "scored", "value_initial", "value_terminal", "reward_std"]
    for name in names:
        assert found[f"eval_{name}"] == pytest.approx(expected[f"eval_{name}"], rel=1e-5), name


@pytest.mark.parametrize(
    "layout",
    [
        {"packing": True, "max_length": 64},
        {"packing": True, "max_length": 200, "padding_free": True},
        {"padding_free": True},
        {"pad_to_multiple_of": 16},
        {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 3},
    ],
    ids="-".join,
)
def test_layout_changes_no_gradient(
    tmp_path: Path, chats: list[dict[str, Any]], layout: dict[str, Any]
) -> None:
    """One plain step of gradient descent over all examples."""
    examples = [*chats[:7], {"text": "a plain text"}, {"text": "stopped", "truncated": True}]
    options: dict[str, Any] = {
        "terminal_value": 0.3,
        "discount": 0.9,
        "max_steps": 1,
        "max_grad_norm": 0.0,
        "per_device_train_batch_size": len(examples),
    }
    runs = [trainer(tmp_path, examples, **(options | other)) for other in ({}, layout)]
    start = weights(runs[0])
    for run in runs:
        run.train()
    steps = [weights(run) - start for run in runs]
    assert steps[0].norm() > 1e-3
    assert (steps[1] - steps[0]).norm() < 1e-5 * steps[0].norm()


def ignorant_models() -> list[nn.Module]:
    """Return models that do not look at position ids, or not to keep texts apart."""
    from transformers import BloomConfig, BloomForCausalLM, MambaConfig, MambaForCausalLM

    return [
        BloomForCausalLM(BloomConfig(vocab_size=258, hidden_size=32, n_layer=2, n_head=4)),
        MambaForCausalLM(MambaConfig(vocab_size=258, hidden_size=32, num_hidden_layers=2)),
    ]


@pytest.mark.parametrize("layout", [{"packing": True}, {"padding_free": True}], ids="-".join)
@pytest.mark.parametrize("model", ignorant_models(), ids=lambda model: type(model).__name__)
def test_packing_is_refused_where_texts_would_see_each_other(
    tmp_path: Path, chats: list[dict[str, Any]], layout: dict[str, Any], model: nn.Module
) -> None:
    run = trainer(tmp_path, chats, model=model, max_length=128, **layout)
    before = weights(run)
    with pytest.raises(UnsupportedModelError, match="does not keep texts apart"):
        run.train()
    assert torch.equal(weights(run), before)
    assert trainer(tmp_path, chats, model=model, max_steps=1).train().global_step == 1


def test_without_td_it_is_the_model_s_own_loss(tmp_path: Path, chats: list[dict[str, Any]]) -> None:
    """λ = 0 is the cross-entropy that transformers computes from labels."""
    run = trainer(tmp_path, chats[:6], td_weight=0.0, per_device_eval_batch_size=6)
    assert run.eval_dataset is not None
    (batch,) = list(run.get_eval_dataloader())
    targets = batch["targets"]
    labels = torch.full_like(targets, -100)
    labels[:, 1:] = targets[:, :-1]
    with torch.no_grad():
        out = tiny_causal_lm()(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels
        )
    assert run.evaluate()["eval_loss"] == pytest.approx(out.loss.item(), rel=1e-6)


def test_encoder_decoder(tmp_path: Path) -> None:
    run = trainer(
        tmp_path, PROMPTS, model=tiny_encoder_decoder(), max_steps=40, optim="adamw_torch"
    )
    before = run.evaluate()["eval_nll"]
    run.train()
    assert run.evaluate()["eval_nll"] < before / 2
    (batch,) = list(run.get_eval_dataloader())[:1]
    assert (batch["decoder_input_ids"][:, 0] == 0).all()
    assert torch.equal(batch["decoder_input_ids"][0, 1:3], batch["targets"][0, :2])


def test_auto_terminal_value_is_the_value_of_last_states(
    tmp_path: Path, chats: list[dict[str, Any]]
) -> None:
    run = trainer(tmp_path, chats, max_steps=1, per_device_train_batch_size=len(chats))
    expected = run.evaluate()["eval_value_terminal"]
    run.train()
    assert run.reward_scale.terminal_value == pytest.approx(expected, rel=1e-5)


def test_excluded_terminal_has_no_td_term(tmp_path: Path, chats: list[dict[str, Any]]) -> None:
    seen = trainer(tmp_path, chats, terminal_value=50.0).evaluate()
    excluded = trainer(tmp_path, chats, terminal_value="exclude").evaluate()
    assert seen["eval_loss"] > excluded["eval_loss"] + 1
    assert seen["eval_nll"] == pytest.approx(excluded["eval_nll"])


def test_saves_what_loads_again(tmp_path: Path, chats: list[dict[str, Any]]) -> None:
    from transformers import AutoModelForCausalLM

    run = trainer(tmp_path, chats)
    run.train()
    run.save_model()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(weights(run), torch.cat([w.flatten() for w in loaded.parameters()]))


@pytest.mark.parametrize("encoder_decoder", [False, True])
def test_card_says_what_was_trained_and_its_example_runs(
    tmp_path: Path,
    chats: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    encoder_decoder: bool,
) -> None:
    examples, model = (PROMPTS, tiny_encoder_decoder()) if encoder_decoder else (chats, None)
    run = trainer(tmp_path, examples, model=model, td_weight=0.25, discount=0.9, seed=7)
    run.train()
    run.save_model()
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    scored = int(sum(one.rows.targets.ge(0).sum() for (one,) in run.train_dataset))  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
    for line in (
        "library_name: transformers",
        "- iqlearn",
        "| λ (`td_weight`) | 0.25 |",
        "| γ (`discount`) | 0.9 |",
        f"| value after the end | {run.reward_scale.terminal_value} |",
        "| updates | 4 |",
        "| seed | 7 |",
        f"| torch | {torch.__version__.partition('+')[0]}",
    ):
        assert line in card
    assert f" {scored} |" in next(row for row in card.splitlines() if row.startswith("| training"))
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(code, {})  # noqa: S102 - the example of the card
    assert "tensor([" in capsys.readouterr().out


@pytest.mark.parametrize("loss_type", ["mle", "gem", "dft"])
def test_card_of_a_baseline_names_it(
    tmp_path: Path, chats: list[dict[str, Any]], loss_type: str
) -> None:
    run = trainer(tmp_path, chats, loss_type=loss_type)
    run.create_model_card(model_name="x")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"- {loss_type}\n" in card
    assert "td_weight" not in card


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_lora_trains_only_adapters(tmp_path: Path, chats: list[dict[str, Any]]) -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny_causal_lm()
    frozen = {name: weight.clone() for name, weight in base.named_parameters()}
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    run = trainer(tmp_path, chats, model=model, max_steps=20, optim="adamw_torch")
    run.train()
    run.save_model()
    assert run.evaluate()["eval_accuracy"] > 0.5
    assert (tmp_path / "adapter_model.safetensors").exists()
    assert "library_name: peft" in (tmp_path / "README.md").read_text(encoding="utf-8")
    for name, weight in model.get_base_model().named_parameters():
        if "lora" not in name:
            assert torch.equal(weight, frozen[name.replace("base_layer.", "")]), name


@pytest.mark.parametrize(
    "options",
    [
        {"activation_checkpointing": True},
        {"bf16": True},
        {"loss_backend": "logits"},
        {"loss_backend": "torch", "logits_mib": 0.01},
    ],
    ids=["checkpointing", "bf16", "logits", "small-chunks"],
)
def test_same_loss_with(
    tmp_path: Path, chats: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    plain, other = trainer(tmp_path, chats), trainer(tmp_path, chats, **options)
    losses = [run.train().training_loss for run in (plain, other)]
    assert losses[1] == pytest.approx(losses[0], rel=2e-2 if "bf16" in options else 1e-6)
    if "bf16" not in options:
        torch.testing.assert_close(weights(other), weights(plain), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("examples", "options", "error", "message"),
    [
        ([{"text": "abc"}], {"max_length": 1}, ConfigError, "max_length is 1"),
        ([], {}, DataError, "there is no example"),
        ([{"prompt": "long " * 9, "completion": "x"}], {"max_length": 9}, DataError, "cutting to"),
        ([{"question": "?"}], {}, DataError, "example 0: it needs .* it has question"),
        ([{"text": 3}], {}, DataError, "text must be a string, not int"),
        ([{"messages": [{"content": "a"}]}], {}, DataError, "must be an object with a role"),
        ([{"messages": []}], {}, DataError, "must be lists of messages"),
        ([{"text": "a", "truncated": "yes"}], {}, DataError, "truncated must be true or false"),
        ([{"text": "ab"}], {"label_smoothing_factor": 0.1}, ConfigError, "label_smoothing"),
        ([{"text": "ab"}], {"packing": True, "max_length": None}, ConfigError, "max_length"),
        ([{"text": "ab"}], {"discount": 1.1}, ConfigError, "discount is 1.1"),
        ([{"text": "ab"}], {"entropy_weight": 0.1}, ConfigError, "belongs to loss_type 'mle'"),
        (PROMPTS, {"model": tiny_encoder_decoder(), "packing": True}, ConfigError, "decoder-only"),
        ([{"text": "ab"}], {"model": tiny_causal_lm().model}, UnsupportedModelError, "LlamaModel"),
    ],
)
def test_refuses(
    tmp_path: Path,
    examples: list[dict[str, Any]],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        trainer(tmp_path, examples, **options)


def test_says_how_many_examples_truncation_silenced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    examples = [*PROMPTS, {"prompt": "long " * 50, "completion": "x"}]
    with caplog.at_level(logging.WARNING):
        run = trainer(tmp_path, examples, max_length=40)
    assert "1 of 13 examples are left out (examples 12)" in caplog.text
    assert run.train_dataset is not None
    assert len(run.train_dataset) == 12  # pyright: ignore[reportArgumentType]


def test_last_checkpoint_skips_half_written_ones(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step, state in ((5, '{"global_step": 5}'), (10, '{"global_'), (15, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            path = tmp_path / f"checkpoint-{step}" / "trainer_state.json"
            path.write_text(state, encoding="utf-8")
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-5")
