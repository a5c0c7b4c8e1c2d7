"""What the commands print of research runs: trials together, and a judge's opinions."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agentbench_agents.research_report import ResearchSummary, summarise_research
from agentbench_agents.run import RunResult

_SHOWN = 5
_DIMENSIONS = ("clarity", "validity", "rigorousness", "innovativeness", "generalizability")


def print_research(results: Sequence[RunResult], console: Console) -> None:
    """Print a row for each task and agent: best@k, mean@k with its interval, and what it cost."""
    summaries = summarise_research(results)
    if not summaries:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    several = len({s.agent for s in summaries}) > 1
    names = (
        "task",
        *(("agent",) if several else ()),
        "k",
        "failed",
        "best@k",
        "95 % (units)",
        "mean@k",
        "95 % (trials)",
        "dev - test",
        "runtime",
        "lines",
        "levels",
    )
    for name in names:
        left = name in ("task", "agent", "levels")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for s in summaries:
        table.add_row(
            escape(s.task),
            *((escape(s.agent),) if several else ()),
            str(s.k),
            str(s.failed),
            _percent(s.best),
            _interval(s.best_interval),
            _percent(s.mean),
            _interval(s.mean_interval),
            "–" if s.gap is None else f"{s.gap:+.4f}",
            _signed(s.relative_runtime),
            _signed(s.relative_complexity),
            " ".join(f"{level}×{n}" if n > 1 else level for level, n in s.levels.items()),
        )
    console.print()
    console.print(table)
    console.print(
        "Margins over k trials, a failed trial being 0 %; runtime and logical lines against the "
        "baseline's. The best trial's interval is over its test units, not widened for having been "
        "chosen; the mean's is over trials, or over test units where there is one.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if any(s.task.endswith("-lite") for s in summaries):
        console.print(
            "A lite task's reference is a strong method of ours: its margins are not those of "
            "published tables, whose reference are people.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    _print_remarks(summaries, console)


def research_json(results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """The same as data."""
    return [asdict(summary) for summary in summarise_research(results)]


def judge_and_print(
    results: Sequence[RunResult], directory: Path, name: str, *, base_url: str | None, quiet: bool
) -> None:
    """Have a model judge what was tested; print means, and how they go with the margins.

    Raises:
        agentbench_agents.models.ModelError: The model cannot be had.
    """
    from agentbench_agents.models import open_model
    from agentbench_agents.research_judge import judge_runs
    from agentbench_scoring import UndefinedMetricError, judge_correlation

    model = open_model(name, base_url=base_url)
    try:
        judged = judge_runs(results, directory, model)
    finally:
        model.close()
    if quiet:
        return
    console = Console(highlight=False, width=None if Console().is_terminal else 160)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", *_DIMENSIONS, "mean", "with code"):
        table.add_column(column, justify="left" if column == "run" else "right", no_wrap=True)
    for j in judged:
        blind = {r.dimension.value: r.rating for r in j.ratings if not r.with_code}
        cells = ["–" if blind.get(d) is None else str(blind[d]) for d in _DIMENSIONS]
        means = [j.mean(with_code=False), j.mean(with_code=True)]
        cells += ["–" if m is None else f"{m:.1f}" for m in means]
        table.add_row(escape(j.run_id), *cells)
    console.print()
    console.print(table)
    margins = {r.run_id: r.margin for r in results}
    try:
        found = judge_correlation(
            [j.mean(with_code=True) for j in judged], [margins[j.run_id] for j in judged]
        )
        text = (
            f"Spearman correlation of opinion and margin {found.rho:.2f} "
            f"(95 % {found.interval.low:.2f} to {found.interval.high:.2f}, {found.n} runs)."
        )
    except UndefinedMetricError as error:
        text = f"No correlation of opinion and margin: {error}."
    console.print(
        f"Opinions of {name}, 1 to 5, which enter no score. {text}", markup=False, soft_wrap=True
    )


def _print_remarks(summaries: Sequence[ResearchSummary], console: Console) -> None:
    """Print what was noticed, the most frequent first; a remark is an agent's text in part."""
    noticed = [s for s in summaries if s.remarks]
    if noticed:
        console.print("\nNoticed, without effect on a score:", highlight=False)
    for s in noticed:
        rows = sorted(s.remarks.items(), key=lambda row: (-row[1], row[0]))
        lines = [f"  {s.task}, {s.agent}, {n} of {s.k}: {remark}" for remark, n in rows[:_SHOWN]]
        if len(rows) > _SHOWN:
            lines.append(f"  ... and {len(rows) - _SHOWN} more, in result.json")
        for line in lines:
            plain = "".join(c if c.isprintable() else "?" for c in line)
            console.print(plain, markup=False, highlight=False, soft_wrap=True)


def _interval(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f} %"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} %"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.0f} %"
