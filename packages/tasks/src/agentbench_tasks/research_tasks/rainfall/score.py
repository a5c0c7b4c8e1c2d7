# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Scorer: predicted rain against the rain that fell."""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Arrays
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.rainfall.metric import contingency, mean_csi


def statistic(*, labels: Arrays, inputs: Arrays, read: OutputReader) -> Statistic:
    """Units are samples: one scene of the satellite and the movie that follows."""
    del inputs
    observed = np.asarray(labels["rain"])
    hits, union = contingency(read("rain", observed.shape), observed)

    def value(units: np.ndarray[Any, Any]) -> float:
        return mean_csi(hits[units], union[units])

    return Statistic(n=len(observed), value=value)
