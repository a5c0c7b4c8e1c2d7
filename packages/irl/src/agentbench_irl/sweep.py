"""A model under many samplers: which of them no other beats in both quality and diversity.

A training method must be compared at each method's own best sampler; one temperature for all says
more about the temperature than about the method.
"""
# matplotlib is annotated in part
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedTokenizerBase

from agentbench_irl.errors import ConfigError
from agentbench_irl.evaluate import QUALITY, Estimate, MissingExtraError, bootstrap, self_bleu
from agentbench_irl.generation import Question, Sampler, generate

DEFAULT_SAMPLERS = (
    *(Sampler(temperature=t) for t in (0.3, 0.5, 0.7, 0.9, 1.0, 1.2)),
    *(Sampler(top_p=p) for p in (0.8, 0.9, 0.95)),
    *(Sampler(min_p=p) for p in (0.05, 0.1, 0.2)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One sampler's outcome.

    Attributes:
        sampler: How tokens were drawn.
        quality: Mean over prompts of the metric.
        diversity: Mean over prompts of 1 - Self-BLEU.
        best: No other point is at least as good in both and better in one.
    """

    sampler: Sampler
    quality: Estimate
    diversity: Estimate
    best: bool


def sweep(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[Question],
    *,
    samplers: Sequence[Sampler] = DEFAULT_SAMPLERS,
    metric: str = "rougeL",
    samples: int = 4,
    max_new_tokens: int = 128,
    batch_size: int = 8,
    seed: int = 0,
) -> list[SweepPoint]:
    """Return one point per sampler, the Pareto front marked.

    Args:
        model: What answers.
        tokenizer: Of the model.
        questions: Prompts and references.
        samplers: Each is tried on all prompts.
        metric: A name of `evaluate.QUALITY`.
        samples: Answers per prompt, at least 2.
        max_new_tokens: Longest answer.
        batch_size: Prompts per call.
        seed: Of sampling and of the bootstrap.

    Raises:
        ConfigError: There is no such metric, or too few samples.
    """
    if metric not in QUALITY:
        msg = f"metric {metric!r} is not one of {', '.join(QUALITY)}"
        raise ConfigError(msg)
    if samples < 2:
        msg = f"diversity needs at least 2 samples per prompt, not {samples}"
        raise ConfigError(msg)
    measured = list[tuple[Sampler, Estimate, Estimate]]()
    for sampler in samplers:
        answers = generate(
            model,
            tokenizer,
            [question.prompt for question in questions],
            samples=samples,
            sampler=sampler,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            seed=seed,
        )
        quality, diversity = list[float](), list[float]()
        for texts, question in zip(answers, questions, strict=True):
            scores = [QUALITY[metric](text, question.reference) for text in texts]
            quality.append(sum(scores) / len(scores))
            diversity.append(1 - self_bleu(texts))
        measured.append((sampler, bootstrap(quality, seed=seed), bootstrap(diversity, seed=seed)))
    front = pareto_front([(quality.mean, diversity.mean) for _, quality, diversity in measured])
    return [
        SweepPoint(sampler=sampler, quality=quality, diversity=diversity, best=index in front)
        for index, (sampler, quality, diversity) in enumerate(measured)
    ]


def pareto_front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Return which points no other beats; higher is better in both.

    >>> sorted(pareto_front([(1, 0), (0, 1), (0.5, 0.5), (0.4, 0.5), (1, 0)]))
    [0, 1, 2, 4]
    """
    return {
        index
        for index, (x, y) in enumerate(points)
        if not any(a >= x and b >= y and (a > x or b > y) for a, b in points)
    }


def plot_sweep(curves: dict[str, Sequence[SweepPoint]], path: Path) -> None:
    """Write quality over diversity, one curve per model, as PNG or SVG (extra `plots`).

    Args:
        curves: Name of a model to its points.
        path: Ends in .png or .svg.

    Raises:
        ConfigError: The file has another ending.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix not in {".png", ".svg"}:
        msg = f"a plot is a .png or .svg file, not {path.name}"
        raise ConfigError(msg)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        msg = "matplotlib is not installed: pip install 'agentbench-irl[plots]'"
        raise MissingExtraError(msg) from error
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="1 - Self-BLEU", ylabel="quality")
    for name, points in curves.items():
        front = sorted((p for p in points if p.best), key=lambda p: p.diversity.mean)
        x, y = [p.diversity.mean for p in points], [p.quality.mean for p in points]
        errors = [[p.quality.mean - p.quality.low for p in points]]
        errors.append([p.quality.high - p.quality.mean for p in points])
        marks = axes.errorbar(x, y, yerr=errors, fmt="o", alpha=0.5, label=name)
        colour = marks.lines[0].get_color()
        axes.plot([p.diversity.mean for p in front], [p.quality.mean for p in front], color=colour)
    axes.legend()
    figure.savefig(path)
