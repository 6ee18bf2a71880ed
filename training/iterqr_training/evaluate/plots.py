"""The report's plots as inline SVG. Colours come from the page's CSS classes, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from iterqr_training.evaluate.calibration import Reliability
from iterqr_training.experiments.estimate import Estimate
from iterqr_training.experiments.wording import decimal, interval

_WIDTH = 370
_ROW = 22


@dataclass(frozen=True, slots=True)
class Bar:
    """One system's value."""

    label: str
    estimate: Estimate


def bars_plot(label: str, bars: Sequence[Bar]) -> Markup:
    """A bar for each system with its interval; undefined ones are told as such."""
    left, right = 110, 60
    highest = max(
        (max(bar.estimate.value, _high(bar)) for bar in bars if math.isfinite(bar.estimate.value)), default=0.0
    )
    scale = (_WIDTH - left - right) / (highest or 1.0)
    drawn = Markup("")
    for number, bar in enumerate(bars):
        y = number * _ROW + 4
        drawn += _text(left - 6, y + 13, bar.label, "end", "label")
        value = bar.estimate.value
        if not math.isfinite(value):
            drawn += _text(left, y + 13, "not measured", "start")
            continue
        told = f"{bar.label}: {decimal(value)} ({interval(bar.estimate)})"
        drawn += Markup(
            '<rect class="channel" x="{}" y="{}" width="{:.1f}" height="12" rx="2"><title>{}</title></rect>'
        ).format(left, y + 3, max(0.0, value) * scale, told)
        if math.isfinite(bar.estimate.low):
            ends = left + max(0.0, bar.estimate.low) * scale, left + bar.estimate.high * scale
            drawn += _line(ends[0], y + 9, ends[1], y + 9, "axis")
        drawn += _text(left + max(value, _high(bar), 0.0) * scale + 6, y + 13, decimal(value), "start")
    return _svg(len(bars) * _ROW + 6, label, drawn)


def reliability_plot(label: str, said: Reliability, calibrated: Reliability) -> Markup:
    """What is said against what is so, as said and calibrated; a good system is on the diagonal.

    A point's area is the number of rewrites behind it.
    """
    height, left, right, top, bottom = 260, 46, 14, 12, 34
    span, rise = _WIDTH - left - right, height - top - bottom

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * span, top + (1 - y) * rise

    drawn = Markup("")
    for share in (0.0, 0.5, 1.0):
        y = place(0, share)[1]
        drawn += _line(left, y, _WIDTH - right, y, "grid" if share else "axis")
        drawn += _text(left - 6, y + 4, f"{share:.0%}", "end")
        drawn += _text(place(share, 0)[0], height - 12, f"{share:g}", "middle")
    drawn += _line(*place(0, 0), *place(1, 1), "mark")
    most = max((each.rewrites for each in (*said.bins, *calibrated.bins)), default=1)
    for reliability, style, name in ((said, "same", "as said"), (calibrated, "channel", "calibrated")):
        for each in reliability.bins:
            x, y = place(each.said, each.good_share)
            told = f"{name}: {decimal(each.said)} said, {each.good_share:.0%} good of {each.rewrites}"
            radius = 2 + 7 * math.sqrt(each.rewrites / most)
            drawn += Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>').format(
                style, x, y, radius, told
            )
    return _svg(height, label, drawn)


def _high(bar: Bar) -> float:
    return bar.estimate.high if math.isfinite(bar.estimate.high) else bar.estimate.value


def _svg(height: float, label: str, drawn: Markup) -> Markup:
    return Markup('<svg class="plot" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, height, label, drawn
    )


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(style, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(style, x, y, anchor, text)
