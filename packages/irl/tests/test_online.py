# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (torch and transformers annotate their classes in part)
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentbench_irl.collator import Collator
from agentbench_irl.config import IQLearnConfig
from agentbench_irl.data import Sample
from agentbench_irl.errors import ConfigError
from agentbench_irl.gail import Discriminator, GAILConfig, train_gail
from agentbench_irl.online import OnlineIQLearnTrainer, own_samples
from agentbench_irl.testing import byte_tokenizer, tiny_causal_lm, tiny_encoder_decoder
from agentbench_irl.trainer import IQLearnTrainer
from agentbench_irl.transitions import IGNORE, TERMINAL, text_transitions

EXAMPLES: list[dict[str, Any]] = [
    {"prompt": f"{number} plus {number}: ", "completion": str(2 * number)} for number in range(8)
]


def trainer(
    kind: type[IQLearnTrainer],
    directory: Path,
    *,
    model: nn.Module | None = None,
    **options: Any,  # noqa: ANN401 - fields of IQLearnConfig
) -> IQLearnTrainer:
    defaults: dict[str, Any] = {
        "output_dir": str(directory),
        "max_steps": 3,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "disable_tqdm": True,
        "save_strategy": "no",
        "use_cpu": True,
        "online_max_new_tokens": 6,
        "lr_scheduler_type": "constant",
    }
    return kind(
        tiny_causal_lm() if model is None else model,
        IQLearnConfig(**(defaults | options)),
        train_dataset=EXAMPLES,
        eval_dataset=EXAMPLES,
        processing_class=byte_tokenizer(),
    )


def weights(run: IQLearnTrainer) -> Tensor:
    assert run.model is not None
    return torch.cat([weight.detach().flatten() for weight in run.model.parameters()])


def test_no_own_samples_is_offline(tmp_path: Path) -> None:
    runs = [trainer(kind, tmp_path) for kind in (IQLearnTrainer, OnlineIQLearnTrainer)]
    for run in runs:
        run.train()
    torch.testing.assert_close(weights(runs[0]), weights(runs[1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder_decoder", [False, True])
def test_it_learns_online(tmp_path: Path, *, encoder_decoder: bool) -> None:
    model = tiny_encoder_decoder() if encoder_decoder else None
    run = trainer(OnlineIQLearnTrainer, tmp_path, model=model, online_mixin=0.25, max_steps=25)
    before = run.evaluate()
    run.train()
    after = run.evaluate()
    assert after["eval_nll"] < 0.6 * before["eval_nll"]
    assert after["eval_accuracy"] > before["eval_accuracy"]


def test_own_samples_answer_the_last_prompt() -> None:
    tokens = torch.tensor([5, 6, 7, 8, 9, 1])
    scored = torch.tensor([False, True, False, False, True, True])
    sample = Sample(tokens=tokens, rows=text_transitions(tokens, scored, truncated=False))
    (own,) = own_samples(
        tiny_causal_lm(),
        [sample],
        collator=Collator(pad_token_id=0),
        end=1,
        max_new_tokens=4,
        device=torch.device("cpu"),
    )
    assert own.tokens[:4].tolist() == [5, 6, 7, 8]
    assert (own.rows.targets[:3] == IGNORE).all()
    assert (own.rows.targets[3:-1] != IGNORE).all()
    if own.tokens[-1] != 1:  # it was cut: the last action is followed by the last hidden state
        assert own.rows.successor[-2] == len(own.tokens) - 1
    else:
        assert own.rows.successor[-2] == TERMINAL


def test_refuses_what_has_no_online_form(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="loss_type='mle', packing=True"):
        trainer(OnlineIQLearnTrainer, tmp_path, loss_type="mle", packing=True)


def test_gail_learns_what_the_data_says() -> None:
    """Prompt 2; the data answers 3 and ends. A random policy says 3 one time in eight."""
    tokens = torch.tensor([2, 3, 1])
    scored = torch.tensor([False, True, True])
    sample = Sample(tokens=tokens, rows=text_transitions(tokens, scored, truncated=False))
    policy = tiny_causal_lm(vocab_size=8)
    critic = Discriminator(tiny_causal_lm(vocab_size=8, seed=1))
    config = GAILConfig(
        steps=60,
        batch_size=32,
        learning_rate=3e-3,
        discriminator_learning_rate=3e-3,
        kl_weight=0.0,
        max_new_tokens=2,
    )

    def probability() -> float:
        with torch.no_grad():
            logits = policy(input_ids=tokens[None]).logits[0]
        return float(torch.softmax(logits[0], -1)[3])

    before = probability()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        steps = list(train_gail(policy, critic, [sample], config, pad_token_id=0, end=1))
    assert before < 0.3
    assert probability() > 0.8
    assert steps[-1].discriminator_accuracy < 0.9
    assert steps[-1].entropy < steps[0].entropy
