# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Scorer: loads merged weights, never code, into its own transformer and asks it new prompts."""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Arrays
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.merging.metric import character_accuracy
from agentbench_tasks.research_tasks.transformer import decode

Array = np.ndarray[Any, Any]
_LARGEST = 1e3


def statistic(*, labels: Arrays, inputs: Arrays, read: OutputReader) -> Statistic:
    """Units are prompts, the same number for each task; the score is the mean over tasks."""
    shapes = {k[5:]: v.shape for k, v in inputs.items() if k.startswith("base.")}
    weights = {k: read(k, shape) for k, shape in shapes.items()}
    weights = {k: np.clip(v, -_LARGEST, _LARGEST).astype(np.float32) for k, v in weights.items()}
    prompts, answers = np.asarray(labels["prompts"]), np.asarray(labels["answers"])
    predicted = np.stack([decode(weights, p, answers.shape[2]) for p in prompts])
    right = character_accuracy(predicted, answers)

    def value(units: Array) -> float:
        return float(right[:, units].mean())

    return Statistic(n=right.shape[1], value=value)
