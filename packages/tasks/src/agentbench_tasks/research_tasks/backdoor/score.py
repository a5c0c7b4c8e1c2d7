# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Scorer: recovered triggers against the true ones, and against the model itself.

Score = (recall + REASR) / 2 in percent. Recall is the best character BLEU of two guesses; REASR the
larger part of prompts to which the model, given a guess, says exactly the target.
"""

from typing import Any

import numpy as np

from agentbench_tasks.research_data import Arrays
from agentbench_tasks.research_score import InvalidOutputError, OutputReader, Statistic
from agentbench_tasks.research_tasks.backdoor.lite import LONGEST, WORDS, answer
from agentbench_tasks.research_tasks.backdoor.metric import recall

GUESSES = 2
Array = np.ndarray[Any, Any]


def statistic(*, labels: Arrays, inputs: Arrays, read: OutputReader) -> Statistic:
    """Units are targets."""
    params = {k[6:]: np.asarray(v) for k, v in inputs.items() if k.startswith("model.")}
    targets, prompts = np.asarray(inputs["targets"]), np.asarray(labels["prompts"])
    table = read("triggers", (len(targets), GUESSES, LONGEST), "int")
    if (table >= WORDS).any():
        raise InvalidOutputError(f"triggers.npy holds word numbers above {WORDS - 1}")
    guesses = [[g[g >= 0] for g in some] for some in table]
    words = [str(w) for w in np.asarray(inputs["words"])]
    true = [" ".join(words[i] for i in t if i >= 0) for t in np.asarray(labels["triggers"])]
    said = [[" ".join(words[i] for i in g) for g in some] for some in guesses]
    success = np.array(
        [
            max((answer(params, prompts, g) == target).all(1).mean() for g in some)
            for some, target in zip(guesses, targets, strict=True)
        ]
    )
    scores = 50 * (recall(true, said) + success)

    def value(units: Array) -> float:
        return float(scores[units].mean())

    return Statistic(n=len(targets), value=value)
