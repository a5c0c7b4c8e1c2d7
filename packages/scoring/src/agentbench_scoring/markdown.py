"""A report as Markdown: a leaderboard that renders on GitHub, comparisons, and what is wrong."""

import html
import math
import re
import unicodedata
from collections.abc import Sequence

from agentbench_scoring.aggregates import AgentSummary
from agentbench_scoring.intervals import Interval
from agentbench_scoring.measures import Measure
from agentbench_scoring.ratings import WinRate
from agentbench_scoring.report import Rating, Report
from agentbench_scoring.task_means import Estimate

_SPECIAL = re.compile(r"[\\`*_\[\]|~$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
MEASURE_NAMES: dict[Measure, str] = {
    "human_rank": "human rank",
    "margin": "margin %",
    "medal": "any medal",
    "gold": "gold",
    "valid": "valid",
    "score": "score",
}
_LEVEL_NOTE = (
    "The first interval is for **this suite** (the same tasks, new seeds), the second for **tasks "
    "like these** (new tasks, clustered by family); both are {level:.0%} intervals. A dash is an "
    "interval that the runs do not determine."
)


def render_markdown(report: Report) -> str:
    """The report as GitHub-flavoured Markdown; all text of the table is escaped."""
    parts = [
        f"# {escape_markdown(report.title)}",
        _leaderboard(report),
        _LEVEL_NOTE.format(level=report.aggregates.level),
        *_ratings(report),
        *_comparisons(report),
        *_problems(report),
        f"Made by {report.generator}, schema {report.schema_version}.",
    ]
    return "\n\n".join(parts) + "\n"


def escape_markdown(text: str) -> str:
    """Text that Markdown and HTML show as it is, on one line."""
    escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", plain(text))
    return html.escape(escaped, quote=False)


def plain(text: str, *, limit: int = 200) -> str:
    """Text without line breaks, control or direction characters, cut to ``limit``."""
    shown = "".join(
        " " if c in "\t\n\r" else "\N{REPLACEMENT CHARACTER}" if _is_hidden(c) else c for c in text
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def format_interval(interval: Interval | None, digits: int) -> str:
    """``[low, high]``, or a dash."""
    if interval is None:
        return "–"
    return f"[{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def format_estimate(found: Estimate, digits: int) -> str:
    """Value and both intervals."""
    return (
        f"{found.value:.{digits}f} {format_interval(found.suite, digits)} "
        f"{format_interval(found.population, digits)}"
    )


def format_p(p: float | None) -> str:
    """A p-value with two significant digits, or a dash."""
    if p is None:
        return "–"
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def digits_of(measure: Measure) -> int:
    """Decimals worth printing: margins are in percent, all else lies between 0 and 1."""
    return 1 if measure == "margin" else 3


def leader_group(report: Report, *, alpha: float = 0.05) -> set[str]:
    """The leader and every agent whose difference from it is not significant after Holm."""
    leader = report.aggregates.agents[0].entrant
    separate = {
        pair.b if pair.a == leader else pair.a
        for pair in report.comparisons
        if leader in {pair.a, pair.b} and pair.p_adjusted is not None and pair.p_adjusted < alpha
    }
    return {summary.entrant for summary in report.aggregates.agents} - separate


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def _leaderboard(report: Report) -> str:
    agents = report.aggregates.agents
    group = leader_group(report)
    rows = [_cells(report, summary, leading=summary.entrant in group) for summary in agents]
    headings = [name for name in rows[0] if any(row[name] for row in rows)]
    table = _table(headings, [[row[name] for name in headings] for row in rows])
    if len(group) == len(agents):
        return table
    return f"{table}\n\n▾ worse than the leader at the 5 % level (paired by task, Holm-adjusted)."


def _cells(report: Report, summary: AgentSummary, *, leading: bool) -> dict[str, str]:
    """Heading -> cell of one row of the leaderboard; empty where a number does not exist."""
    estimates = {
        name: format_estimate(summary.estimates[measure], digits_of(measure))
        if measure in summary.estimates
        else ""
        for measure, name in MEASURE_NAMES.items()
    }
    return {
        "#": f"{place(report, summary)}{'' if leading else ' ▾'}",
        "agent": escape_markdown(summary.agent),
        "model": escape_markdown(summary.model),
        "tasks": f"{summary.tasks}/{report.aggregates.tasks}",
        "runs": str(summary.runs),
        **estimates,
        "failed": str(summary.failed + summary.invalid),
        "hours": _number(summary.cost.total_wall_s, 3600.0, 1),
        "$": _number(summary.cost.total_cost_usd, 1.0, 2),
    }


def place(report: Report, summary: AgentSummary) -> int:
    """Rank by the headline measure; ties share it."""
    headline = report.aggregates.headline

    def value(s: AgentSummary) -> float:
        return s.estimates[headline].value if headline in s.estimates else -math.inf

    return 1 + sum(value(other) > value(summary) for other in report.aggregates.agents)


def _ratings(report: Report) -> list[str]:
    if report.ratings is None:
        return []
    rows = [
        [
            escape_markdown(r.entrant),
            f"{r.rating:.0f} {_both(r, 0)}",
            f"{r.ranks[0]}–{r.ranks[1]}",
            f"{r.win_rate.value:.3f} {_both(r.win_rate, 3)}",
        ]
        for r in report.ratings.ratings
    ]
    prior = (
        f" Some agents never took a point from others: {report.ratings.prior_ties:g} tied battle "
        "was added to every pair."
        if report.ratings.prior_ties
        else ""
    )
    return [
        "## Ratings",
        (
            "Bradley-Terry, mean 1000, 400 points are odds of ten to one; intervals resample "
            f"runs and families of tasks. Ranks are those of tasks like these.{prior}"
        ),
        _table(["agent", "rating", "ranks", "win rate"], rows),
    ]


def _both(found: Rating | WinRate, digits: int) -> str:
    return f"{format_interval(found.suite, digits)} {format_interval(found.population, digits)}"


def _comparisons(report: Report) -> list[str]:
    if not report.comparisons:
        return []
    digits = digits_of(report.aggregates.headline)
    rows = [
        [
            escape_markdown(c.a),
            escape_markdown(c.b),
            format_estimate(c.difference, digits),
            format_p(c.p),
            format_p(c.p_adjusted),
            f"{c.wins}/{c.ties}/{c.losses}",
        ]
        for c in report.comparisons
    ]
    return [
        f"## Paired differences of {MEASURE_NAMES[report.aggregates.headline]}",
        _table(["a", "b", "a − b", "p", "p (Holm)", "won/tied/lost"], rows),
    ]


def _problems(report: Report) -> list[str]:
    if not report.problems:
        return ["## What is wrong", "Nothing found."]
    lines = [
        f"- **{f.severity}** `{f.code}` ({f.count}): {escape_markdown(f.message)} "
        + ", ".join(escape_markdown(plain(e, limit=80)) for e in f.examples[:3])
        + (" …" if f.count > 3 else "")
        for f in report.problems
    ]
    return ["## What is wrong", "\n".join(lines)]


def _number(value: float | None, unit: float, digits: int) -> str:
    return "" if value is None else f"{value / unit:.{digits}f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
