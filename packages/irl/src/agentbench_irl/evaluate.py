"""How good and how varied a model's answers are.

Quality needs references; diversity needs several samples per prompt. ROUGE comes from rouge-score,
BLEU and chrF from sacrebleu (extra `evaluation`). All are shares between 0 and 1.
"""
# rouge-score and sacrebleu have no annotations
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from agentbench_irl.errors import IRLError


class MissingExtraError(IRLError, ImportError):
    """A library of an extra is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model said to one prompt.

    Attributes:
        samples: Its answers.
        reference: The data's answer.
    """

    samples: Sequence[str]
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over prompts, with a 95 % bootstrap interval over prompts."""

    mean: float
    low: float
    high: float


def rouge(answer: str, reference: str) -> dict[str, float]:
    """Return ROUGE-1, -2 and -L F1 of one answer (Lin 2004), with stemming."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise _missing("rouge-score") from error
    names = ["rouge1", "rouge2", "rougeL"]
    scores = RougeScorer(names, use_stemmer=True).score(reference, answer)
    return {name: float(scores[name].fmeasure) for name in names}


def bleu(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return corpus BLEU (sacrebleu's default tokenisation), from 0 to 1."""
    return float(_sacrebleu().corpus_bleu(list(answers), [list(references)]).score) / 100


def chrf(answers: Sequence[str], references: Sequence[str]) -> float:
    """Return corpus chrF2, from 0 to 1."""
    return float(_sacrebleu().corpus_chrf(list(answers), [list(references)]).score) / 100


def self_bleu(samples: Sequence[str]) -> float:
    """Return mean BLEU of each sample against all others (Zhu et al. 2018): 1 is no diversity.

    NaN with fewer than two samples.
    """
    if len(samples) < 2:
        return math.nan
    metric = _sacrebleu().BLEU(effective_order=True)
    scores = [
        float(metric.sentence_score(text, [*samples[:i], *samples[i + 1 :]]).score)
        for i, text in enumerate(samples)
    ]
    return sum(scores) / len(scores) / 100


def distinct(samples: Sequence[str], n: int) -> float:
    """Return the share of different word n-grams among all of them (Li et al. 2016).

    >>> distinct(["a b a b"], 2)  # ab, ba, ab
    0.6666666666666666
    """
    grams = [
        tuple(words[start : start + n])
        for words in (text.split() for text in samples)
        for start in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else math.nan


def pass_at_k(correct: int, samples: int, k: int) -> float:
    """Return the unbiased pass@k, 1 - C(n-c, k) / C(n, k) (Chen et al. 2021).

    >>> pass_at_k(1, 4, 2)  # 1 - 3/6
    0.5

    Raises:
        ValueError: k is more than the number of samples.
    """
    if not 1 <= k <= samples:
        msg = f"pass@{k} needs at least {k} samples; there are {samples}"
        raise ValueError(msg)
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)


def exact_match(answer: str, reference: str) -> float:
    """Return 1 if both are the same but for surrounding white space, else 0."""
    return float(answer.strip() == reference.strip())


QUALITY: Mapping[str, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "rouge1": lambda answer, reference: rouge(answer, reference)["rouge1"],
    "rouge2": lambda answer, reference: rouge(answer, reference)["rouge2"],
    "rougeL": lambda answer, reference: rouge(answer, reference)["rougeL"],
}


def evaluate_answers(answers: Sequence[Answers], *, seed: int = 0) -> dict[str, Estimate | float]:
    """Return every metric that the answers allow.

    Args:
        answers: One entry per prompt, each with the same number of samples.
        seed: Of the bootstrap.

    Returns:
        Means over prompts with intervals: exact match, ROUGE, and pass@k of exact match for
        k = 1 and n; self_bleu, distinct1 and distinct2 within a prompt. Corpus BLEU and chrF are
        numbers, of the first sample.

    Raises:
        ValueError: There is no answer, or numbers of samples differ.
        MissingExtraError: The extra `evaluation` is not installed.
    """
    counts = {len(one.samples) for one in answers}
    if len(counts) != 1 or 0 in counts:
        msg = f"prompts have {sorted(counts) or 'no'} samples; each needs the same number"
        raise ValueError(msg)
    (n,) = counts
    columns: dict[str, list[float]] = {}
    for one in answers:
        matches = sum(exact_match(text, one.reference) for text in one.samples)
        scores = [rouge(text, one.reference) for text in one.samples]
        row = {name: sum(score[name] for score in scores) / n for name in scores[0]}
        row |= {f"pass@{k}": pass_at_k(int(matches), n, k) for k in {1, n}}
        row |= {"exact_match": matches / n, "self_bleu": self_bleu(one.samples)}
        row |= {f"distinct{k}": distinct(one.samples, k) for k in (1, 2)}
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    first, references = [one.samples[0] for one in answers], [one.reference for one in answers]
    estimates: dict[str, Estimate | float] = {
        name: bootstrap(column, seed=seed) for name, column in columns.items()
    }
    return estimates | {"bleu": bleu(first, references), "chrf": chrf(first, references)}


def bootstrap(values: Sequence[float], *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Return the mean of the values that are not NaN, with a percentile interval."""
    known = np.asarray([value for value in values if not math.isnan(value)])
    if not known.size:
        return Estimate(mean=math.nan, low=math.nan, high=math.nan)
    draws = np.random.default_rng(seed).integers(known.size, size=(resamples, known.size))
    low, high = np.quantile(known[draws].mean(axis=1), [0.025, 0.975])
    return Estimate(mean=float(known.mean()), low=float(low), high=float(high))


def _sacrebleu() -> Any:  # noqa: ANN401 - a module without annotations
    try:
        import sacrebleu
    except ImportError as error:
        raise _missing("sacrebleu") from error
    return cast("Any", sacrebleu)


def _missing(library: str) -> MissingExtraError:
    return MissingExtraError(
        f"{library} is not installed: pip install 'agentbench-irl[evaluation]'"
    )
