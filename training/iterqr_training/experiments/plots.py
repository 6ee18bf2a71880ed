"""The report's plots as inline SVG. Colours come from the page's CSS classes, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from iterqr_training.experiments.estimate import Estimate
from iterqr_training.experiments.funnel import Funnel
from iterqr_training.experiments.sequential import ConfidenceSequence
from iterqr_training.experiments.svg import WIDTH, line, svg, text
from iterqr_training.experiments.wording import count, interval, lift_interval, percent, signed, signed_percent

_LEFT, _RIGHT = 58, 14


@dataclass(frozen=True, slots=True)
class LiftRow:
    """One metric's lift with its intervals by the tests that were made: name of the test and estimate."""

    label: str
    lifts: tuple[tuple[str, Estimate], ...]


def lifts_plot(rows: Sequence[LiftRow]) -> Markup:
    """A whisker for each interval beside the line of no lift; undefined ones are left out."""
    defined = [estimate for row in rows for _, estimate in row.lifts if math.isfinite(estimate.low)]
    label = "Relative lift of each metric with its intervals"
    if not defined:
        return _nothing(label)
    low, high = min(0.0, *(each.low for each in defined)), max(0.0, *(each.high for each in defined))
    left, right = 80, WIDTH - 12
    scale = (right - left) / ((high - low) or 1.0)

    def place(lift: float) -> float:
        return left + (lift - low) * scale

    drawn, y = Markup(""), 16.0
    for row in rows:
        drawn += text(12, y, row.label, "start", "label")
        drawn += line(place(0), y + 7, place(0), y + 7 + 16 * len(row.lifts), "axis")
        for test, estimate in row.lifts:
            y += 16
            drawn += text(12, y + 4, test, "start")
            if math.isfinite(estimate.low):
                drawn += _whisker(test, estimate, place(estimate.low), place(estimate.value), place(estimate.high), y)
        y += 26
    ends = {low: "start" if low < 0 else "middle", high: "end", 0.0: "middle"}
    for lift, anchor in ends.items():
        drawn += text(place(lift), y, signed_percent(lift) if lift else "0", anchor)
    return svg(y + 8, label, drawn)


def _whisker(test: str, estimate: Estimate, low: float, middle: float, high: float, y: float) -> Markup:
    style = "up" if estimate.low > 0 else "down" if estimate.high < 0 else "same"
    return Markup(
        '<g class="whisker {}"><title>{}: {} ({})</title>'
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/><circle cx="{:.1f}" cy="{:.1f}" r="4"/></g>'
    ).format(style, test, signed_percent(estimate.value), lift_interval(estimate), low, y, high, y, middle, y)


def sequence_plot(sequence: ConfidenceSequence) -> Markup:
    """The difference at the end of each day within the always-valid interval, around 0."""
    height, top, bottom = 220, 14, 34
    label = f"{sequence.metric.label}: difference by day"
    if not sequence.days:
        return _nothing(label)
    estimates = [each.difference for each in sequence.days]
    # The first days are so wide that nothing else would be seen: they may leave the picture.
    last = estimates[-1]
    reach = 2 * max(abs(last.low), abs(last.high))
    span, rise = WIDTH - _LEFT - _RIGHT, height - top - bottom

    def place(number: int, value: float) -> tuple[float, float]:
        share = number / (len(estimates) - 1) if len(estimates) > 1 else 0.5
        return _LEFT + share * span, top + (1 - max(-1.0, min(1.0, value / reach))) / 2 * rise

    lower = [place(number, each.low) for number, each in enumerate(estimates)]
    upper = [place(number, each.high) for number, each in enumerate(estimates)]
    middle = [place(number, each.value) for number, each in enumerate(estimates)]
    drawn = Markup("")
    for value in (reach, 0.0, -reach):
        y = place(0, value)[1]
        drawn += line(_LEFT, y, WIDTH - _RIGHT, y, "grid" if value else "axis")
        drawn += text(_LEFT - 6, y + 4, signed(value) if value else "0", "end")
    drawn += Markup('<polygon class="band" points="{}"/>').format(_points([*upper, *reversed(lower)]))
    drawn += Markup('<polyline class="curve" points="{}"/>').format(_points(middle))
    for (x, y), day in zip(middle, sequence.days, strict=True):
        told = f"{day.day.isoformat()}: {signed(day.difference.value)} ({interval(day.difference)})"
        drawn += Markup('<circle class="channel" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>').format(
            x, y, told
        )
    drawn += text(_LEFT, height - 12, sequence.days[0].day.isoformat(), "start")
    if len(estimates) > 1:
        drawn += text(WIDTH - _RIGHT, height - 12, sequence.days[-1].day.isoformat(), "end")
    return svg(height, label, drawn)


def funnel_plot(funnel: Funnel) -> Markup:
    """A bar for each step."""
    row, left = 30, 12
    span = WIDTH - 2 * left
    drawn = Markup("")
    for number, step in enumerate(funnel.steps):
        y = number * row
        drawn += text(left, y + 14, step.name, "start", "label")
        drawn += text(WIDTH - left, y + 14, f"{count(step.searches)} · {percent(step.share)}", "end")
        drawn += Markup('<rect class="same" x="{}" y="{}" width="{}" height="5" rx="2" opacity="0.25"/>').format(
            left, y + 19, span
        )
        drawn += Markup('<rect class="channel" x="{}" y="{}" width="{:.1f}" height="5" rx="2"/>').format(
            left, y + 19, step.share * span
        )
    return svg(len(funnel.steps) * row + 4, f"Funnel of {funnel.arm}", drawn)


def p_values_plot(label: str, p_values: Sequence[float]) -> Markup:
    """Share of A/A splits with a p-value up to x: on the diagonal if the test is right."""
    height, top, bottom = 220, 14, 34
    if not p_values:
        return _nothing(label)
    span, rise = WIDTH - _LEFT - _RIGHT, height - top - bottom

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x * span, top + (1 - y) * rise

    drawn = Markup("")
    for share in (0.0, 0.5, 1.0):
        y = place(0, share)[1]
        drawn += line(_LEFT, y, WIDTH - _RIGHT, y, "grid" if share else "axis")
        drawn += text(_LEFT - 6, y + 4, f"{share:.0%}", "end")
        drawn += text(place(share, 0)[0], height - 12, f"{share:g}", "middle")
    (x1, y1), (x2, y2) = place(0, 0), place(1, 1)
    drawn += line(x1, y1, x2, y2, "mark")
    steps = [place(p, (number + 1) / len(p_values)) for number, p in enumerate(p_values)]
    drawn += Markup('<polyline class="curve" points="{}"/>').format(_points([place(0, 0), *steps, place(1, 1)]))
    return svg(height, label, drawn)


def _nothing(label: str) -> Markup:
    return svg(40, label, text(WIDTH / 2, 24, "not enough data", "middle"))


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
