"""Figures as SVG text: forest plots of intervals and line plots, styled by the page's CSS.

Coordinates are numbers computed here; every label is escaped. Colours come from the classes
``series-0`` to ``series-7``; lines beyond eight repeat the colours dashed.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from agentbench_scoring.intervals import Interval

SERIES = 8
_WIDTH = 480.0
_LEFT, _RIGHT, _BOTTOM, _TOP = 44.0, 12.0, 42.0, 8.0
_ROW = 36.0
_FONT = 14.5  # size of letters where the page makes them largest, on a phone
_NARROW, _WIDE = frozenset("ijlftr .,:;'|!·()[]-"), frozenset("mwMW@%&<>=+−…")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One line of a forest plot.

    Attributes:
        label: shown above the line.
        value: the point.
        suite: interval drawn thick.
        population: interval drawn thin.
        note: shown at the right, the numbers in words.
        muted: drawn faintly, a difference that is not significant, say.
    """

    label: str
    value: float
    suite: Interval | None
    population: Interval | None
    note: str
    muted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a line plot; ``x`` ascending, same length as ``y``."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


def series_class(index: int) -> str:
    """CSS classes of the n-th agent."""
    dashed = f" dash-{index // SERIES % 3}" if index >= SERIES else ""
    return f"series-{index % SERIES}{dashed}"


def forest_plot(rows: Sequence[ForestRow], *, title: str, zero: float | None = None) -> str:
    """Points with a thick and a thin interval each, on one axis.

    Args:
        rows: top to bottom.
        title: for screen readers.
        zero: where to draw a reference line.
    """
    numbers = [n for row in rows for n in (row.value, *(row.suite or ()), *(row.population or ()))]
    numbers += [] if zero is None else [zero]
    ticks = nice_ticks(min(numbers), max(numbers))
    low, high = ticks[0], ticks[-1]
    inner = _WIDTH - 2 * _RIGHT

    def x(value: float) -> float:
        return _RIGHT + inner * (value - low) / (high - low)

    bottom = _TOP + _ROW * len(rows)
    parts = [_grid_line(x(t), _TOP, x(t), bottom) for t in ticks]
    parts += [_text(x(t), bottom + 16, _tick(t), "middle", "tick") for t in ticks]
    if zero is not None:
        parts.append(_segment(x(zero), _TOP, x(zero), bottom, "zero"))
    for i, row in enumerate(rows):
        y = _TOP + _ROW * i + 26
        muted = " muted" if row.muted else ""
        parts.append(f'<g class="row{muted}"><title>{_safe(f"{row.label}: {row.note}")}</title>')
        room = inner - _width(row.note)
        parts.append(_text(_RIGHT, y - 11, _cut(row.label, room), "start", "label"))
        parts.append(_text(_WIDTH - _RIGHT, y - 11, row.note, "end", "note"))
        if row.population:
            parts.append(_segment(x(row.population.low), y, x(row.population.high), y, "thin"))
        if row.suite:
            parts.append(_segment(x(row.suite.low), y, x(row.suite.high), y, "thick"))
        parts.append(f'<circle class="point" cx="{x(row.value):.1f}" cy="{y:.1f}" r="4.5"/></g>')
    return _svg(parts, bottom + 24, title)


def line_plot(
    lines: Sequence[Line], *, title: str, x_label: str, y_label: str, stairs: bool = False
) -> str:
    """Lines on common axes.

    Args:
        lines: in the order of the legend.
        title: for screen readers.
        x_label: under the axis.
        y_label: above the axis.
        stairs: hold each value until the next x; the last one to the right edge.
    """
    widths = [x for line in lines for x in line.x]
    xs = nice_ticks(0.0 if stairs else min(widths), max(widths))
    heights = [y for line in lines for y in line.y]
    ys = nice_ticks(min([0.0, *heights]), max(heights))
    height = 300.0
    top, bottom = _TOP + 16, height - _BOTTOM

    def px(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - xs[0]) / (xs[-1] - xs[0])

    def py(value: float) -> float:
        return bottom - (bottom - top) * (value - ys[0]) / (ys[-1] - ys[0])

    parts = [_grid_line(px(t), top, px(t), bottom) for t in xs]
    parts += [_grid_line(_LEFT, py(t), _WIDTH - _RIGHT, py(t)) for t in ys]
    parts += [_text(px(t), bottom + 16, _tick(t), "middle", "tick") for t in xs]
    parts += [_text(_LEFT - 6, py(t) + 4, _tick(t), "end", "tick") for t in ys]
    parts.append(_text((_LEFT + _WIDTH) / 2, height - 6, x_label, "middle", "axis"))
    parts.append(_text(4, 12, y_label, "start", "axis"))
    for i, line in enumerate(lines):
        points = _stairs(line, xs[-1]) if stairs else list(zip(line.x, line.y, strict=True))
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        parts.append(
            f'<polyline class="line {series_class(i)}" points="{path}">'
            f"<title>{_safe(line.label)}</title></polyline>"
        )
    return _svg(parts, height, title)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that cover [low, high], ascending, at least two."""
    if high - low <= 1e-9 * max(1e-3, abs(low), abs(high)):
        pad = max(abs(low), abs(high)) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def _stairs(line: Line, end: float) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for x, y in zip(line.x, line.y, strict=True):
        points += [(x, points[-1][1]), (x, y)]
    return [*points, (end, points[-1][1])]


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" aria-label="{_safe(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _segment(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _grid_line(x1: float, y1: float, x2: float, y2: float) -> str:
    return _segment(x1, y1, x2, y2, "grid")


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_safe(text)}</text>'
    )


def _width(text: str) -> float:
    """About how wide a text is, at most."""
    wide = sum(
        0.42 if letter in _NARROW else 0.68 if letter.isascii() and letter not in _WIDE else 1.0
        for letter in text
    )
    return wide * _FONT


def _cut(text: str, room: float) -> str:
    if _width(text) <= room:
        return text
    while text and _width(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"


def _tick(value: float) -> str:
    return f"{value + 0.0:.6g}" if abs(value) > 1e-12 else "0"


def _safe(text: str) -> str:
    return html.escape(text, quote=True)
