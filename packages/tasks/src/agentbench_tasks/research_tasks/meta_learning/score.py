# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Scorer: predicted classes of the queries of every few-shot task."""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Arrays
from agentbench_tasks.research_score import OutputReader, Statistic
from agentbench_tasks.research_tasks.meta_learning.metric import normalised_accuracy

Array = np.ndarray[Any, Any]


def statistic(*, labels: Arrays, inputs: Arrays, read: OutputReader) -> Statistic:
    """Units are tasks; the score is a mean over domains of means over their tasks."""
    truth, domain = np.asarray(labels["query_label"]), np.asarray(labels["task_domain"])
    task, ways = np.asarray(inputs["query_task"]), np.asarray(inputs["ways"])
    predicted = read("predictions", truth.shape, "int")
    scores = np.array(
        [
            normalised_accuracy(truth[task == t], predicted[task == t], int(ways[t]))
            for t in range(len(ways))
        ]
    )

    def value(units: Array) -> float:
        of = domain[units]
        return float(np.mean([scores[units][of == d].mean() for d in np.unique(of)]))

    return Statistic(n=len(ways), value=value)
