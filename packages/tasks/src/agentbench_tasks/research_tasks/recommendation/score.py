# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Scorer: ranked items against the item that came next."""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Arrays
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.recommendation.metric import DEPTH, reciprocal_ranks


def statistic(*, labels: Arrays, inputs: Arrays, read: OutputReader) -> Statistic:
    """Units are sessions."""
    del inputs
    truth = np.asarray(labels["next_item"])
    ranks = reciprocal_ranks(read("predictions", (len(truth), DEPTH), "int"), truth)

    def value(units: np.ndarray[Any, Any]) -> float:
        return float(ranks[units].mean())

    return Statistic(n=len(truth), value=value)
