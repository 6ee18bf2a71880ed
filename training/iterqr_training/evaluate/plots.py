"""The report's plots as inline SVG. Colours come from the page's CSS classes, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from iterqr_training.evaluate.calibration import Reliability
from iterqr_training.experiments.estimate import Estimate
from iterqr_training.experiments.svg import WIDTH, line, svg, text
from iterqr_training.experiments.wording import decimal, interval

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
    scale = (WIDTH - left - right) / (highest or 1.0)
    drawn = Markup("")
    for number, bar in enumerate(bars):
        y = number * _ROW + 4
        drawn += text(left - 6, y + 13, bar.label, "end", "label")
        value = bar.estimate.value
        if not math.isfinite(value):
            drawn += text(left, y + 13, "not measured", "start")
            continue
        told = f"{bar.label}: {decimal(value)} ({interval(bar.estimate)})"
        drawn += Markup(
            '<rect class="channel" x="{}" y="{}" width="{:.1f}" height="12" rx="2"><title>{}</title></rect>'
        ).format(left, y + 3, max(0.0, value) * scale, told)
        if math.isfinite(bar.estimate.low):
            ends = left + max(0.0, bar.estimate.low) * scale, left + bar.estimate.high * scale
            drawn += line(ends[0], y + 9, ends[1], y + 9, "axis")
        drawn += text(left + max(value, _high(bar), 0.0) * scale + 6, y + 13, decimal(value), "start")
    return svg(len(bars) * _ROW + 6, label, drawn)


def reliability_plot(label: str, said: Reliability, calibrated: Reliability) -> Markup:
    """What is said against what is so, as said and calibrated; a good system is on the diagonal.

    A point's area is the number of rewrites behind it.
    """
    height, left, right, top, bottom = 260, 46, 14, 12, 34
    span, rise = WIDTH - left - right, height - top - bottom

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * span, top + (1 - y) * rise

    drawn = Markup("")
    for share in (0.0, 0.5, 1.0):
        y = place(0, share)[1]
        drawn += line(left, y, WIDTH - right, y, "grid" if share else "axis")
        drawn += text(left - 6, y + 4, f"{share:.0%}", "end")
        drawn += text(place(share, 0)[0], height - 12, f"{share:g}", "middle")
    drawn += line(*place(0, 0), *place(1, 1), "mark")
    most = max((each.rewrites for each in (*said.bins, *calibrated.bins)), default=1)
    for reliability, style, name in ((said, "same", "as said"), (calibrated, "channel", "calibrated")):
        for each in reliability.bins:
            x, y = place(each.said, each.good_share)
            told = f"{name}: {decimal(each.said)} said, {each.good_share:.0%} good of {each.rewrites}"
            radius = 2 + 7 * math.sqrt(each.rewrites / most)
            drawn += Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>').format(
                style, x, y, radius, told
            )
    return svg(height, label, drawn)


def _high(bar: Bar) -> float:
    return bar.estimate.high if math.isfinite(bar.estimate.high) else bar.estimate.value
