"""IQLearn: scalable inverse reinforcement learning for language models."""

from agentbench_irl.linear import (
    linear_backend,
    linear_iqlearn_loss,
    linear_lse_and_target,
    linear_mixture_loss,
    needed_rows,
)
from agentbench_irl.losses import IQLearnMetrics, IQLearnOutput, iqlearn_loss, mixture_loss
from agentbench_irl.transitions import IGNORE, TERMINAL, UNKNOWN, Transitions, next_scored

__all__ = [
    "IGNORE",
    "TERMINAL",
    "UNKNOWN",
    "IQLearnMetrics",
    "IQLearnOutput",
    "Transitions",
    "iqlearn_loss",
    "linear_backend",
    "linear_iqlearn_loss",
    "linear_lse_and_target",
    "linear_mixture_loss",
    "mixture_loss",
    "needed_rows",
    "next_scored",
]
