# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Mean reciprocal rank, as KDD Cup 2023 defines it and as MLRC-Bench computes it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

DEPTH = 100


def reciprocal_ranks(
    predicted: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return 1/rank of the true item among the first 100 predictions, 0 where it is not there.

    Args:
        predicted: Item numbers, best first, (N, 100); negative numbers are no prediction.
        truth: The next item, (N,).
    """
    found = (predicted[:, :DEPTH] == truth[:, None]) & (truth[:, None] >= 0)
    return np.where(found.any(1), 1.0 / (found.argmax(1) + 1), 0.0)


def official_reciprocal_rank(predicted: Sequence[str], truth: str) -> float:
    """What MLRC-Bench computes: the list went through a CSV file and came back as text.

    The "rank" is the offset of the true item in the text of the list, so that rank k of items of
    ten characters counts as 14 k - 11: a perfect predictor scores 1/3. For comparison with
    published numbers only.
    """
    place = str(list(predicted)).find(truth)
    return 1.0 / (place + 1) if place >= 0 else 0.0


def official_mean_reciprocal_rank(
    predicted: Sequence[Sequence[str]], truth: Sequence[str]
) -> float:
    """Mean of `official_reciprocal_rank` as MLRC-Bench takes it, for comparison only.

    Lists are not cut at 100, and sessions without a prediction are left out of the mean: answering
    the first session alone, and rightly, scores 1/3 too.
    """
    ranks = [official_reciprocal_rank(p, t) for p, t in zip(predicted, truth, strict=False)]
    return sum(ranks) / len(ranks)
