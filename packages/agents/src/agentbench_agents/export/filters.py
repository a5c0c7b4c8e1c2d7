"""Which runs are worth training on."""

from collections.abc import Iterable

from agentbench_agents.errors import AgentParameterError
from agentbench_agents.run import RunResult


def select(results: Iterable[RunResult], keep: str) -> list[RunResult]:
    """Filter results; runs that failed for reasons of infrastructure are never kept.

    Args:
        results: Results of runs.
        keep: `all`, `scored`, `best-per-task`, `top-K` (of each task), or a comparison of `score`,
            `human_rank` or `margin` with a number by `>=` or `<=`.

    Raises:
        AgentParameterError: An unknown filter.
    """
    finished = [r for r in results if r.status != "infra"]
    if keep == "all":
        return finished
    scored = [r for r in finished if r.score is not None]
    if keep == "scored":
        return scored
    if keep == "best-per-task":
        return _top(scored, 1)
    if keep.startswith("top-") and keep[4:].isdigit():
        return _top(scored, int(keep[4:]))
    name, sign, value = _comparison(keep)
    known = [(r, getattr(r, name)) for r in scored]
    return [r for r, found in known if found is not None and sign * found >= sign * value]


def _top(results: list[RunResult], k: int) -> list[RunResult]:
    def goodness(result: RunResult) -> float:
        return (result.score or 0.0) * (1 if result.higher_is_better else -1)

    tasks = list(dict.fromkeys(r.task for r in results))
    ranked = sorted(results, key=goodness, reverse=True)
    return [r for task in tasks for r in [x for x in ranked if x.task == task][:k]]


def _comparison(keep: str) -> tuple[str, int, float]:
    for operator, sign in ((">=", 1), ("<=", -1)):
        name, found, value = keep.partition(operator)
        if found and name in ("score", "human_rank", "margin"):
            try:
                return name, sign, float(value)
            except ValueError:
                break
    raise AgentParameterError(
        f"unknown filter {keep!r}; write all, scored, best-per-task, top-K, or a comparison such "
        "as score>=0.9, human_rank>=0.5 or margin>=90"
    )
