# pyright: basic
# (sums over numpy arrays, whose element types numpy's stubs do not know)
"""Forgetting quality of the NeurIPS 2023 machine unlearning competition.

For each example of the forget set, M unlearned and M retrained models give two samples of a
statistic. The best of several attacks that tell the two apart, by false positive rate fpr and false
negative rate fnr, bounds the epsilon of (epsilon, delta)-unlearning from below; small is good.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

DELTA = 0.01
Array = np.ndarray[Any, Any]


def epsilon(fpr: Sequence[float] | Array, fnr: Sequence[float] | Array) -> float:
    """Return the largest epsilon over attacks, at least 0.

    An attack with both rates 0 gives infinity; one with exactly one of them 0 is left out;
    otherwise epsilon = max(log(1 - delta - fpr) - log fnr, log(1 - delta - fnr) - log fpr), where
    a term of which the logarithm does not exist is ignored (both: infinity).
    """
    a, b = np.asarray(fpr, np.float64), np.asarray(fnr, np.float64)
    usable = (a > 0) & (b > 0)
    best = np.inf if ((a == 0) & (b == 0)).any() else 0.0
    a, b = a[usable], b[usable]
    if len(a):
        with np.errstate(invalid="ignore", divide="ignore"):
            terms = np.stack([np.log(1 - DELTA - a) - np.log(b), np.log(1 - DELTA - b) - np.log(a)])
        nothing = np.isnan(terms).all(0)
        largest = np.where(nothing, np.inf, np.nanmax(np.where(nothing, 0.0, terms), 0))
        best = max(best, float(largest.max()))
    return float(best)


def forgetting_quality(epsilons: Sequence[float] | Array) -> float:
    """Mean of H(eps) = 2 / 2^n, n the number of the half-unit bin of eps, 1 to 13."""
    bins = np.digitize(np.asarray(epsilons, np.float64), np.arange(13) * 0.5)
    return float(np.mean(2.0 / 2.0**bins))


def threshold_attacks(
    unlearned: Array, retrained: Array, *, pseudo_count: float = 1.0
) -> tuple[Array, Array]:
    """Rates of every single threshold, in both directions, estimated by Laplace's rule.

    k errors of n give (k + 1) / (n + 2): no rate is 0 for lack of models, so that `epsilon` leaves
    no attack out. With the bare k / n, a method that returns one network M times would be nearly
    perfect: every threshold beside it has a rate of 0, whatever the other rate says.

    Args:
        unlearned: Statistic of M unlearned models (M,).
        retrained: Statistic of retrained models (M',).
        pseudo_count: Errors, and models that are right, added to what was counted.

    Returns:
        fpr (retrained taken for unlearned) and fnr, one entry for each threshold and direction.
    """
    cuts = np.unique(np.concatenate([unlearned, retrained]))
    above_r = (retrained[None] > cuts[:, None]).sum(1)
    below_u = (unlearned[None] <= cuts[:, None]).sum(1)

    def rates(errors: Array, n: int) -> Array:
        counts = np.concatenate([errors, n - errors])
        return (counts + pseudo_count) / (n + 2 * pseudo_count)

    return rates(above_r, len(retrained)), rates(below_u, len(unlearned))


def forget_epsilons(unlearned: Array, retrained: Array, *, pseudo_count: float = 1.0) -> Array:
    """Return an epsilon for every forget example from statistics (M, S) and (M', S)."""
    pairs = zip(unlearned.T, retrained.T, strict=True)
    return np.array(
        [epsilon(*threshold_attacks(u, r, pseudo_count=pseudo_count)) for u, r in pairs]
    )


def official_forget_epsilons(unlearned: Array, retrained: Array) -> Array:
    """Epsilons as the competition and MLRC-Bench compute them, from bare rates of thresholds.

    For comparison only: one network in place of all unlearned ones comes out as forgotten nearly
    perfectly, and better than networks that were retrained.
    """
    return forget_epsilons(unlearned, retrained, pseudo_count=0.0)


def official_logistic_attack(unlearned: Array, retrained: Array) -> tuple[float, float]:
    """Rates of the logistic attack as MLRC-Bench computes it.

    It is fitted on 90 % and tried on 10 % of the models, which for 10 + 10 models is one of each:
    both rates are 0 by luck, and then epsilon is infinite. For comparison only.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedShuffleSplit

    x = np.concatenate([retrained, unlearned])[:, None]
    y = np.concatenate([np.zeros(len(retrained)), np.ones(len(unlearned))])
    rates = []
    for fit, test in StratifiedShuffleSplit(n_splits=2, random_state=0).split(x, y):
        guess = LogisticRegression().fit(x[fit], y[fit]).predict(x[test])
        rates.append([(guess[y[test] == 0] == 1).mean(), (guess[y[test] == 1] == 0).mean()])
    fpr, fnr = np.mean(rates, 0)
    return float(fpr), float(fnr)


def official_statistic(logits: Array) -> Array:
    """MLRC-Bench's attack statistic, -log max p, from logits (..., classes): (...).

    It is the cross-entropy of the *predicted* label, so that a network that is surely wrong looks
    like one that is surely right. For comparison only; `score.log_odds` asks for the true label.
    """
    top = logits.max(-1, keepdims=True)
    return np.log(np.exp(logits - top).sum(-1))


def official_retrained(statistic: Array, unlearned: Array, rng: np.random.Generator) -> Array:
    """MLRC-Bench's "retrained models" in its development phase, for comparison only.

    One retrained network, and around its statistic (S,) as many draws of Gaussian noise as there
    are unlearned models, with a tenth of the standard deviation of theirs (M, S). Retraining is
    not distributed like that: networks that were really retrained score 0.16 to 0.18, not 1.
    """
    return statistic + rng.standard_normal(unlearned.shape) * unlearned.std() / 10
