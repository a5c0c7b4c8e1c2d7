"""A report as one self-contained HTML page: no network, no inline handlers, a strict policy.

The page's Content-Security-Policy admits exactly one style sheet and one script, by their hashes,
so text that slipped through the escaping could still not run.
"""

import base64
import hashlib
import html
import math
from collections.abc import Sequence
from importlib.resources import files
from string import Template

from agentbench_scoring.aggregates import AgentSummary
from agentbench_scoring.comparison import Comparison
from agentbench_scoring.figures import ForestRow, Line, forest_plot, line_plot, series_class
from agentbench_scoring.intervals import Interval
from agentbench_scoring.markdown import (
    MEASURE_NAMES,
    digits_of,
    format_interval,
    format_p,
    leader_group,
    place,
    plain,
)
from agentbench_scoring.measures import Measure
from agentbench_scoring.problems import Problem
from agentbench_scoring.report import Rating, Report
from agentbench_scoring.task_means import Estimate

_MAX_PAIRS = 28
_BUDGET_NAMES = {"steps": "steps per run", "cost_usd": "dollars per run"}


def render_page(report: Report) -> str:
    """The report as one HTML document; everything that came from the table is escaped."""
    folder = files("agentbench_scoring") / "report_page"
    style = (folder / "page.css").read_text(encoding="utf-8")
    script = (folder / "page.js").read_text(encoding="utf-8")
    template = Template((folder / "template.html").read_text(encoding="utf-8"))
    aggregates = report.aggregates
    return template.substitute(
        policy=(
            f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        title=_safe(report.title),
        generator=_safe(f"{report.generator}, schema {report.schema_version}"),
        agents=len(aggregates.agents),
        tasks=aggregates.tasks,
        families=aggregates.families,
        runs=sum(s.runs for s in aggregates.agents),
        problems=sum(f.severity != "note" for f in report.problems),
        level=f"{aggregates.level:.0%}",
        headline=_safe(MEASURE_NAMES[aggregates.headline]),
        leaderboard=_leaderboard(report),
        estimates=_estimates(report),
        differences=_differences(report),
        heat_map=_heat_map(report),
        curves=_curves(report),
        problem_table=_problems(report.problems),
        missing=(
            "counts as failed" if aggregates.missing == "failure" else "is left out of its means"
        ),
    )


def _leaderboard(report: Report) -> str:
    agents = report.aggregates.agents
    group = leader_group(report)
    measures: list[Measure] = [m for m in MEASURE_NAMES if any(m in s.estimates for s in agents)]
    ratings = {r.entrant: r for r in report.ratings.ratings} if report.ratings else {}
    headings = ["#", "agent", *(MEASURE_NAMES[m] for m in measures)]
    headings += ["win rate", "rating"] * bool(ratings) + ["runs", "failed", "hours", "$"]
    rows: list[str] = []
    for index, summary in enumerate(agents):
        rank = place(report, summary)
        mark = "" if summary.entrant in group else ' <abbr title="worse than the leader">▾</abbr>'
        cells = [
            _cell(f"{rank}{mark}", rank),
            _name_cell(summary, index),
            *(_estimate_cell(summary.estimates.get(m), digits_of(m)) for m in measures),
        ]
        if ratings:
            rating = ratings[summary.entrant]
            cells += [_win_cell(rating), _rating_cell(rating)]
        rows.append(f"<tr>{''.join(cells + _counts(summary))}</tr>")
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{_safe(h)}</button></th>'
        for h in headings
    )
    return (
        f'<table class="board sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _name_cell(summary: AgentSummary, index: int) -> str:
    swatch = f'<span class="swatch {series_class(index)}"></span>'
    name = f"{swatch}{_safe(summary.agent)}<small>{_safe(summary.model)}</small>"
    return f'<th scope="row" data-sort="{_safe(summary.entrant)}">{name}</th>'


def _rating_cell(rating: Rating) -> str:
    intervals = "".join(
        f"<small>{format_interval(i, 0)}</small>" for i in (rating.suite, rating.population)
    )
    return _cell(f"<b>{rating.rating:.0f}</b>{intervals}", rating.rating)


def _win_cell(rating: Rating) -> str:
    found = rating.win_rate
    intervals = "".join(
        f"<small>{format_interval(i, 3)}</small>" for i in (found.suite, found.population)
    )
    return _cell(f"<b>{found.value:.3f}</b>{intervals}", found.value)


def _counts(summary: AgentSummary) -> list[str]:
    cost = summary.cost
    failed = summary.failed + summary.invalid
    return [
        _cell(f"{summary.runs}<small>{summary.tasks} tasks</small>", summary.runs),
        _cell(f"{failed}<small>{summary.invalid} invalid</small>", failed),
        _cell(*_amount(cost.total_wall_s, 3600.0)),
        _cell(*_amount(cost.total_cost_usd, 1.0)),
    ]


def _amount(value: float | None, unit: float) -> tuple[str, float]:
    return ("–", -1.0) if value is None else (f"{value / unit:,.1f}", value / unit)


def _estimate_cell(found: Estimate | None, digits: int) -> str:
    if found is None:
        return _cell("–", -math.inf)
    return _cell(
        f"<b>{found.value:.{digits}f}</b>"
        f'<small title="this suite">{format_interval(found.suite, digits)}</small>'
        f'<small title="tasks like these">{format_interval(found.population, digits)}</small>',
        found.value,
    )


def _cell(content: str, sort: float) -> str:
    return f'<td data-sort="{sort:.10g}">{content}</td>'


def _estimates(report: Report) -> str:
    headline = report.aggregates.headline
    digits = digits_of(headline)
    rows = [
        ForestRow(
            label=plain(s.entrant, limit=38),
            value=s.estimates[headline].value,
            suite=s.estimates[headline].suite,
            population=s.estimates[headline].population,
            note=f"{s.estimates[headline].value:.{digits}f}",
        )
        for s in report.aggregates.agents
        if headline in s.estimates
    ]
    if not rows:
        return '<p class="empty">No run counts.</p>'
    return forest_plot(rows, title=f"{MEASURE_NAMES[headline]} of each agent with intervals")


def _differences(report: Report) -> str:
    pairs = report.comparisons
    if not pairs:
        return '<p class="empty">Only one agent: nothing to compare.</p>'
    note = ""
    if len(pairs) > _MAX_PAIRS:
        leader = report.aggregates.agents[0].entrant
        note = f"<p>The leader against each other agent; {len(pairs)} pairs are in the JSON.</p>"
        pairs = tuple(c for c in pairs if leader in {c.a, c.b})
    names = _short_names(report.aggregates.agents)
    rows = [_difference_row(c, names, digits_of(report.aggregates.headline)) for c in pairs]
    rows.sort(key=lambda row: -row.value)
    return note + forest_plot(rows, title="paired differences with intervals", zero=0.0)


def _short_names(agents: Sequence[AgentSummary]) -> dict[str, str]:
    """Entrants, the best first, and a name each: of its agent or its model, if that tells them."""
    for names in ([s.agent for s in agents], [s.model for s in agents]):
        if all(names) and len(set(names)) == len(agents):
            return dict(zip([s.entrant for s in agents], names, strict=True))
    return {s.entrant: s.entrant for s in agents}


def _difference_row(pair: Comparison, names: dict[str, str], digits: int) -> ForestRow:
    """The better-placed agent first, so that most differences point right."""
    order = list(names)
    turned = order.index(pair.a) > order.index(pair.b)
    a, b = (pair.b, pair.a) if turned else (pair.a, pair.b)
    found = _negated(pair.difference) if turned else pair.difference
    return ForestRow(
        label=f"{plain(names[a], limit=22)} − {plain(names[b], limit=22)}",
        value=found.value,
        suite=found.suite,
        population=found.population,
        note=f"{found.value:+.{digits}f}, p {format_p(pair.p_adjusted)}",
        muted=pair.p_adjusted is None or pair.p_adjusted >= 0.05,
    )


def _negated(found: Estimate) -> Estimate:
    turned = {"value": -found.value, "suite": _turn(found.suite)}
    return found.model_copy(update={**turned, "population": _turn(found.population)})


def _turn(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(-interval.high, -interval.low)


def _heat_map(report: Report) -> str:
    heat = report.heat_map
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button" title="{_safe(e)}">'
        f"<span>{_safe(plain(e, limit=30))}</span></button></th>"
        for e in heat.entrants
    )
    rows: list[str] = []
    for task, measure, values in zip(heat.tasks, heat.measures, heat.values, strict=True):
        cells = "".join(_heat_cell(v, measure) for v in values)
        other = "" if measure == report.aggregates.headline else MEASURE_NAMES[measure]
        rows.append(
            f'<tr><th scope="row" data-sort="{_safe(task)}" title="{_safe(task)}">'
            f"<span>{_safe(plain(task, limit=60))}</span><small>{other}</small></th>{cells}</tr>"
        )
    return (
        '<table class="heat sortable"><thead><tr><th scope="col" aria-sort="none">'
        f'<button type="button">task</button></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _heat_cell(value: float | None, measure: Measure) -> str:
    if value is None:
        return '<td class="none" data-sort="-1e9">·</td>'
    in_percent = measure == "margin"
    share = max(-1.0, min(1.0, value / 100.0 if in_percent else value))
    shade = f"{'m' if share < 0 else 'p'}{round(abs(share) * 10)}"
    text = f"{value:.0f}" if in_percent else f"{value:.2f}"
    return f'<td class="{shade}" data-sort="{value:.10g}">{text}</td>'


def _curves(report: Report) -> str:
    headline = MEASURE_NAMES[report.aggregates.headline]
    figures = [
        _figure(
            f"{headline} against {_BUDGET_NAMES[budget]}",
            "What stopping every run at that budget would have left; runs that needed more count "
            "as failures.",
            line_plot(
                [Line(label=c.entrant, x=c.x, y=c.y) for c in curves],
                title=f"{headline} against {_BUDGET_NAMES[budget]}",
                x_label=_BUDGET_NAMES[budget],
                y_label=headline,
                stairs=True,
            ),
            [c.entrant for c in curves],
        )
        for budget, curves in report.curves.items()
        if curves
    ]
    if report.profile is not None and report.profile.shares:
        lines = [
            Line(label=e, x=report.profile.thresholds, y=s)
            for e, s in report.profile.shares.items()
        ]
        figures.append(
            _figure(
                "Performance profile",
                f"Share of runs with a {headline} above τ; the higher line is the better agent.",
                line_plot(
                    lines, title="performance profile", x_label=f"τ ({headline})", y_label="share"
                ),
                [line.label for line in lines],
            )
        )
    return "".join(figures) or '<p class="empty">The runs report neither steps nor cost.</p>'


def _figure(heading: str, caption: str, drawing: str, labels: Sequence[str]) -> str:
    legend = "".join(
        f'<li><span class="swatch {series_class(i)}"></span>{_safe(plain(label, limit=48))}</li>'
        for i, label in enumerate(labels)
    )
    return (
        f"<figure><h3>{_safe(heading)}</h3>{drawing}<ul class='legend'>{legend}</ul>"
        f"<figcaption>{_safe(caption)}</figcaption></figure>"
    )


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return '<p class="empty">Nothing found.</p>'
    rows = [
        f'<tr class="{f.severity}"><td>{f.severity}</td><td><code>{_safe(f.code)}</code></td>'
        f"<td>{f.count}</td><td>{_safe(f.message)}"
        f"<small>{_safe('; '.join(plain(e, limit=90) for e in f.examples))}"
        f"{' …' if f.count > len(f.examples) else ''}</small></td></tr>"
        for f in problems
    ]
    return (
        '<table class="problems"><thead><tr><th>severity</th><th>code</th><th>count</th>'
        f"<th>what, and the first ten</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _safe(text: str) -> str:
    """Text for HTML content and double-quoted attributes."""
    return html.escape(plain(text, limit=300), quote=True)
