"""Equity curves as one inline SVG: no script, no font, no request."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from math import ceil, floor, log10

from perpdesk.history.statistics import Curve
from perpdesk.history.trades import MS_PER_HOUR, utc

WIDTH, HEIGHT = 960, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 28
TICKS_WANTED = 5
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
DAY_MS = 24 * MS_PER_HOUR


def equity_svg(total: Curve, curves: Mapping[str, Curve]) -> str:
    """Net USD over time, the total in bold; stretches without data are shaded. A sentence when there is nothing to draw."""
    lines = {"total": total, **(curves if len(curves) > 1 else {})}
    values = [float(value) for curve in lines.values() for _, value in curve]
    if len(total) < 2:
        return "<p>There is no curve: fewer than two hours were covered.</p>"
    frame = _Frame(total[0][0], total[-1][0], min(0.0, *values), max(0.0, *values))
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Net USD over time" '
        'xmlns="http://www.w3.org/2000/svg">',
        *_shades(total, frame),
        *_grid(frame),
    ]
    for (name, curve), colour in zip(lines.items(), ("currentColor", *COLOURS * len(lines)), strict=False):
        width = 2.2 if name == "total" else 1.1
        points = " ".join(f"{frame.x(at_ms):.1f},{frame.y(float(value)):.1f}" for at_ms, value in curve)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    parts.append("</svg>")
    return "\n".join(parts) + _legend(list(lines))


class _Frame:
    """From times and dollars to pixels."""

    def __init__(self, start_ms: int, end_ms: int, low: float, high: float) -> None:
        self.start_ms, self.end_ms = start_ms, max(end_ms, start_ms + 1)
        pad = (high - low) * 0.05 or 1.0
        self.low, self.high = low - pad, high + pad

    def x(self, at_ms: int) -> float:
        return LEFT + (at_ms - self.start_ms) / (self.end_ms - self.start_ms) * (WIDTH - LEFT - RIGHT)

    def y(self, usd: float) -> float:
        return TOP + (self.high - usd) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)


def _shades(curve: Curve, frame: _Frame) -> Iterator[str]:
    for (before_ms, _), (after_ms, _) in pairwise(curve):
        if after_ms - before_ms > 2 * MS_PER_HOUR:
            left, right = frame.x(before_ms), frame.x(after_ms)
            yield (
                f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{HEIGHT - TOP - BOTTOM}" class="hole"/>'
            )


def _grid(frame: _Frame) -> Iterator[str]:
    for usd in _ticks(frame.low, frame.high):
        y = frame.y(usd)
        kind = "axis" if usd == 0 else "grid"
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="{kind}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{usd:g}</text>'
    for at_ms in _days(frame):
        yield f'<text x="{frame.x(at_ms):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{utc(at_ms):%Y-%m-%d}</text>'


def _ticks(low: float, high: float) -> list[float]:
    """Round values inside the range."""
    raw = (high - low) / TICKS_WANTED
    unit = 10.0 ** floor(log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    return [round(step * count, 10) for count in range(ceil(low / step), floor(high / step) + 1)]


def _days(frame: _Frame) -> Sequence[int]:
    """Midnights to name, at most seven and not at the very edge."""
    first = -(-frame.start_ms // DAY_MS)
    days = frame.end_ms // DAY_MS - first + 1
    every = max(ceil(days / 7), 1)
    named = ((first + count) * DAY_MS for count in range(0, max(days, 0), every))
    return [at_ms for at_ms in named if LEFT + 20 < frame.x(at_ms) < WIDTH - RIGHT - 30]


def _legend(names: list[str]) -> str:
    marks = [
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(names, ("currentColor", *COLOURS * len(names)), strict=False)
    ]
    return f'<p class="legend">{"".join(marks)}<span><i class="hole"></i>no data</span></p>'
