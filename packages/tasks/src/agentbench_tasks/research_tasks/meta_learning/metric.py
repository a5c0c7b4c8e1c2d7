# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Normalised balanced accuracy, the metric of the Cross-Domain Meta-Learning challenge."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def normalised_accuracy(truth: Array, predicted: Array, ways: int) -> float:
    """(bac - 1/N) / (1 - 1/N) with bac the mean recall over the N classes of the task.

    0 is chance and 1 is perfect, for any number of classes; a class without queries counts 0
    only if it was predicted, as in scikit-learn's macro recall with zero_division=0.

    Args:
        truth: Class numbers (Q,).
        predicted: Class numbers (Q,).
        ways: Number of classes N of the task, at least 2.
    """
    classes = np.union1d(truth, predicted)
    hit = truth == predicted
    recalls = [hit[truth == c].mean() if (truth == c).any() else 0.0 for c in classes]
    return float((np.mean(recalls) - 1 / ways) / (1 - 1 / ways))
