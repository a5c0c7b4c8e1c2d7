"""IQLearn: scalable inverse reinforcement learning for language models."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentbench_irl.baselines import dft_loss, gem_loss, mle_loss
    from agentbench_irl.config import IQLearnConfig
    from agentbench_irl.linear import (
        linear_backend,
        linear_iqlearn_loss,
        linear_lse_and_target,
        linear_mixture_loss,
        needed_rows,
    )
    from agentbench_irl.losses import IQLearnMetrics, IQLearnOutput, iqlearn_loss, mixture_loss
    from agentbench_irl.online import OnlineIQLearnTrainer
    from agentbench_irl.rewards import rerank, text_rewards, token_rewards
    from agentbench_irl.trainer import IQLearnTrainer
    from agentbench_irl.transitions import IGNORE, TERMINAL, UNKNOWN, Transitions, next_scored

__all__ = [
    "IGNORE",
    "TERMINAL",
    "UNKNOWN",
    "IQLearnConfig",
    "IQLearnMetrics",
    "IQLearnOutput",
    "IQLearnTrainer",
    "OnlineIQLearnTrainer",
    "Transitions",
    "dft_loss",
    "gem_loss",
    "iqlearn_loss",
    "linear_backend",
    "linear_iqlearn_loss",
    "linear_lse_and_target",
    "linear_mixture_loss",
    "mixture_loss",
    "mle_loss",
    "needed_rows",
    "next_scored",
    "rerank",
    "text_rewards",
    "token_rewards",
]

# torch and transformers take seconds to import, so that names are found when asked for
_WHERE = {
    "IGNORE": "transitions",
    "TERMINAL": "transitions",
    "UNKNOWN": "transitions",
    "IQLearnConfig": "config",
    "IQLearnMetrics": "losses",
    "IQLearnOutput": "losses",
    "IQLearnTrainer": "trainer",
    "OnlineIQLearnTrainer": "online",
    "Transitions": "transitions",
    "dft_loss": "baselines",
    "gem_loss": "baselines",
    "iqlearn_loss": "losses",
    "linear_backend": "linear",
    "linear_iqlearn_loss": "linear",
    "linear_lse_and_target": "linear",
    "linear_mixture_loss": "linear",
    "mixture_loss": "losses",
    "mle_loss": "baselines",
    "needed_rows": "linear",
    "next_scored": "transitions",
    "rerank": "rewards",
    "text_rewards": "rewards",
    "token_rewards": "rewards",
}


def __getattr__(name: str) -> object:
    """Import what is asked for, when it is first asked for."""
    if name not in _WHERE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
