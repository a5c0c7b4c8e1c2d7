# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Accuracy of a merged model on every expert's task."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def character_accuracy(predicted: Array, answers: Array) -> Array:
    """Return the part of characters that are right, per task and prompt: (tasks, N).

    Args:
        predicted: (tasks, N, length).
        answers: Same shape.
    """
    return (predicted == answers).mean(2)
