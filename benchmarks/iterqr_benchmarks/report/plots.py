"""The report's plots as inline SVG. Colours come from the page's CSS classes, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from iterqr_benchmarks.evaluation.comparison import Comparison
from iterqr_benchmarks.evaluation.coverage import Coverage

_WIDTH = 370
_LEFT = 48
_RIGHT = 12


def gains_plot(gains: Sequence[tuple[str, float]]) -> Markup:
    """Change of precision@10 for each query, largest gain first: one bar each, up or down.

    Args:
        gains: Query and change, -1 to 1.
    """
    height, top, bottom = 200, 12, 12
    ordered = sorted(gains, key=lambda each: -each[1])
    high, low = max(ordered[0][1], 0.1), min(ordered[-1][1], -0.1)
    scale = (height - top - bottom) / (high - low)
    middle = top + high * scale
    slot = (_WIDTH - _LEFT - _RIGHT) / len(ordered)
    bars = Markup("")
    for number, (query, gain) in enumerate(ordered):
        x = _LEFT + number * slot
        size = max(abs(gain) * scale, 1.5)
        y = middle - size if gain > 0 else middle
        style = "up" if gain > 0 else "down" if gain < 0 else "same"
        bars += Markup(
            '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5">'
            "<title>{}: {:+.1f}</title></rect>"
        ).format(style, x + slot * 0.12, y, slot * 0.76, size, query, gain)
    axis = Markup("")
    for value in (high, 0.0, low):
        y = middle - value * scale
        axis += _line(_LEFT, y, _WIDTH - _RIGHT, y, "axis" if value == 0 else "grid")
        axis += _text(_LEFT - 6, y + 4, f"{value:+.1f}" if value else "0", "end")
    return _svg(height, "Change of precision@10 for each query, sorted", axis + bars)


def kinds_plot(kinds: Mapping[str, Comparison]) -> Markup:
    """Mean precision@10 of each kind of query, without and with the channel: two dots and the way between."""
    row, top, left = 30, 8, 138
    height = top + row * len(kinds) + 26
    span = _WIDTH - left - _RIGHT - 8
    drawn = Markup("")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + tick * span
        drawn += _line(x, top, x, height - 24, "grid")
        drawn += _text(x, height - 8, f"{tick:g}", "middle")
    for number, (kind, each) in enumerate(kinds.items()):
        y = top + row * (number + 0.5)
        before, after = (left + value.precision_at_10 * span for value in (each.plain, each.channel))
        drawn += _text(left - 12, y + 4, kind, "end", "label")
        drawn += _line(before, y, after, y, "way up" if after > before else "way down" if after < before else "way")
        drawn += _dot(before, y, "plain", f"{kind}, plain search: {each.plain.precision_at_10:.2f}")
        drawn += _dot(after, y, "channel", f"{kind}, with the channel: {each.channel.precision_at_10:.2f}")
    return _svg(height, "Mean precision@10 by kind of query, without and with the channel", drawn)


def coverage_plot(fused_after_ms: Sequence[float | None], coverage: Sequence[Coverage]) -> Markup:
    """Share of searches whose rewrites had come after a time (logarithmic), with the budgets marked."""
    height, top, bottom = 220, 14, 30
    low, high = math.log10(50), math.log10(max([5_000, *(each.budget_ms for each in coverage)]))
    span, rise = _WIDTH - _LEFT - _RIGHT, height - top - bottom

    def place(milliseconds: float, share: float) -> tuple[float, float]:
        x = _LEFT + (math.log10(max(milliseconds, 50)) - low) / (high - low) * span
        return min(x, _WIDTH - _RIGHT), top + (1 - share) * rise

    drawn = Markup("")
    for share in (0.0, 0.5, 1.0):
        y = place(50, share)[1]
        drawn += _line(_LEFT, y, _WIDTH - _RIGHT, y, "axis" if share == 0 else "grid")
        drawn += _text(_LEFT - 6, y + 4, f"{share:.0%}", "end")
    steps = [place(50, 0)]
    came = sorted(after for after in fused_after_ms if after is not None)
    for number, after in enumerate(came, start=1):
        x, y = place(after, number / len(fused_after_ms))
        steps += [(x, steps[-1][1]), (x, y)]
    steps.append((_WIDTH - _RIGHT, steps[-1][1]))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in steps)
    drawn += Markup('<polyline class="curve" points="{}"/>').format(points)
    for each in coverage:
        x, y = place(each.budget_ms, each.share)
        drawn += _line(x, top, x, height - bottom, "mark")
        drawn += _dot(x, y, "channel", f"{each.budget_ms:,} ms: {each.share:.0%}")
        drawn += _text(x, height - 12, _budget(each.budget_ms), "middle")
    return _svg(height, "Share of searches whose rewrites had come after a time", drawn)


def pair_plot(before: float, after: float) -> Markup:
    """One query's precision@10 without and with the channel on a line from 0 to 1."""
    left, span, y = 8, 104, 9
    ends = left + before * span, left + after * span
    way = "way up" if after > before else "way down" if after < before else "way"
    drawn = _line(left, y, left + span, y, "grid") + _line(ends[0], y, ends[1], y, way)
    drawn += _dot(ends[0], y, "plain", f"plain search: {before:.1f}")
    drawn += _dot(ends[1], y, "channel", f"with the channel: {after:.1f}")
    return Markup(
        '<svg class="pair" viewBox="0 0 120 18" role="img" aria-label="precision@10 {:.1f} to {:.1f}">{}</svg>'
    ).format(before, after, drawn)


def _budget(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds} ms"


def _svg(height: float, label: str, drawn: Markup) -> Markup:
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, height, label, drawn
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(style, x1, y1, x2, y2)


def _dot(x: float, y: float, style: str, title: str) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}</title></circle>').format(
        style, x, y, title
    )


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(style, x, y, anchor, text)
