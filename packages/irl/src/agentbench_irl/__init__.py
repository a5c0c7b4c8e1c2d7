"""IQLearn: scalable inverse reinforcement learning for language models."""

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
    "mixture_loss",
    "next_scored",
]
