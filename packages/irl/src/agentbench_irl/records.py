"""What the commands write and report: JSON Lines that can be gone on with, and flat tables."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from agentbench_irl.correlation import reward_correlation
from agentbench_irl.errors import ConfigError, DataError
from agentbench_irl.evaluate import QUALITY, Answers, Estimate, evaluate_answers
from agentbench_irl.reward_scale import RewardScale
from agentbench_irl.rewards import TextReward, text_rewards
from agentbench_irl.sweep import SweepPoint


class Records:
    """A JSON Lines file that grows by whole lines, and survives being killed.

    Args:
        path: Its directory is made if there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def keep(self, first: Callable[[int], int], *, total: int) -> int:
        """Drop a half-written line, and all lines from `first(whole lines)` on.

        Args:
            first: Which line to write next, from the number of whole lines there are.
            total: Lines in the end; a file with that many is left as it is.

        Returns:
            How many lines are kept.

        Raises:
            DataError: The file has more lines than there will be.
        """
        if not self.path.exists():
            return 0
        lines = self.path.read_bytes().split(b"\n")[:-1]
        if len(lines) > total:
            msg = f"{self.path} has {len(lines)} lines of {total}; it is of other data"
            raise DataError(msg)
        kept = len(lines) if len(lines) == total else first(len(lines))
        self.path.write_bytes(b"".join(line + b"\n" for line in lines[:kept]))
        return kept

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one line; NaN becomes null."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(row), ensure_ascii=False) + "\n")


def reward_columns(text: TextReward) -> dict[str, Any]:
    """Return what `agentbench-irl rewards` adds to an example."""
    return {
        "rewards": [float(reward) for reward in text.rewards.unbind()],
        "reward_sum": text.total("sum"),
        "reward_mean": text.total("mean"),
        "reward_min": text.total("min"),
        "reward_last": text.total("last"),
        "log_prob": float(text.log_probs.sum()),
        "entropy": float(text.entropies.mean()),
        "initial_value": text.initial_value,
        "tokens": len(text.tokens),
    }


def answer_report(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the metrics of what `generate` wrote.

    Raises:
        DataError: A line is not a reference and samples.
    """
    found = evaluate_answers(_answers(rows))
    return {
        name: asdict(value) if isinstance(value, Estimate) else value
        for name, value in found.items()
    }


def correlation_report(
    rows: Sequence[Mapping[str, Any]],
    model: Any,  # noqa: ANN401 - a language model
    tokenizer: Any,  # noqa: ANN401 - its tokenizer
    *,
    metric: str,
    directory: Path,
) -> dict[str, Any]:
    """Return how the rewards of a model agree with the quality of samples.

    Raises:
        ConfigError: There is no such metric.
        DataError: A line is not a prompt, a reference and samples.
    """
    if metric not in QUALITY:
        msg = f"metric {metric!r} is not one of {', '.join(QUALITY)}"
        raise ConfigError(msg)
    examples, quality, prompts = list[dict[str, str]](), list[float](), list[int]()
    for number, (row, answers) in enumerate(zip(rows, _answers(rows), strict=True)):
        for text in answers.samples:
            examples.append({"prompt": str(row.get("prompt", "")), "completion": text})
            quality.append(QUALITY[metric](text, answers.reference))
            prompts.append(number)
    found = list(text_rewards(model, tokenizer, examples, scale=RewardScale.load(directory)))
    table = reward_correlation(found, quality, prompts)
    entropy = sum(float(text.entropies.mean()) for text in found) / len(found)
    return {"entropy": entropy} | {name: asdict(row) for name, row in table.items()}


def sweep_report(points: Sequence[SweepPoint]) -> dict[str, Any]:
    """Return one entry per sampler."""
    return {
        f"T={p.sampler.temperature:g} top_p={p.sampler.top_p:g} min_p={p.sampler.min_p:g}": {
            "quality": asdict(p.quality),
            "diversity": asdict(p.diversity),
            "best": p.best,
        }
        for p in points
    }


def _answers(rows: Sequence[Mapping[str, Any]]) -> list[Answers]:
    picked = [{name: row.get(name) for name in ("samples", "reference")} for row in rows]
    try:
        return TypeAdapter(list[Answers]).validate_python(picked)
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"line {int(first['loc'][0]) + 1}: {first['loc'][1]}: {first['msg']}"
        raise DataError(msg) from error


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the same JSON with null where a number is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [finite(item) for item in cast("list[Any]", value)]
    return value
