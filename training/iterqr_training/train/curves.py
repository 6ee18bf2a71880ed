"""Curves of a run as SVG files that need nothing else: losses by task, learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from iterqr_training.train.metrics_log import Measured

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 64, 16, 44, 36
_COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626", "#0891b2", "#4b5563", "#be185d")
_TICKS = 4
_SMOOTHED = 0.8

Points = Sequence[tuple[float, float]]


def series(entries: Sequence[Measured], name: str) -> Points:
    """(step, value) of one metric, where it was measured and is a finite number."""
    return [(each.step, each.values[name]) for each in entries if math.isfinite(each.values.get(name, math.nan))]


def smoothed(points: Points) -> Points:
    """Exponential moving average, corrected for its start: what single batches hide."""
    average, weight, result = 0.0, 0.0, []
    for step, value in points:
        average = _SMOOTHED * average + (1 - _SMOOTHED) * value
        weight = _SMOOTHED * weight + (1 - _SMOOTHED)
        result.append((step, average / weight))
    return result


def run_curves(entries: Sequence[Measured]) -> dict[str, str]:
    """Returns SVG documents by file name."""
    names = {name for each in entries for name in each.values}
    losses: dict[str, Points] = {}
    for name in sorted(names):
        if name.startswith("loss/"):
            losses[f"{name.removeprefix('loss/')} (train, smoothed)"] = smoothed(series(entries, name))
        if name.startswith("validation/loss/"):
            losses[f"{name.removeprefix('validation/loss/')} (validation)"] = series(entries, name)
    weights = {n.removeprefix("weight/"): series(entries, n) for n in sorted(names) if n.startswith("weight/")}
    return {
        "loss.svg": curves_svg("Loss by task", losses),
        "learning_rate.svg": curves_svg("Learning rate", {"learning rate": series(entries, "learning_rate")}),
        "task_weights.svg": curves_svg("Task weights", weights),
    }


def curves_svg(title: str, curves: Mapping[str, Points]) -> str:
    """Returns one plot over steps; validation curves have dots."""
    points = [point for each in curves.values() for point in each]
    low = min((y for _, y in points), default=0.0)
    high = max((y for _, y in points), default=1.0)
    low, high = min(0.0, low), high if high > low else low + 1.0
    last = max((x for x, _ in points), default=1.0) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + x / last * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    drawn = Markup('<text x="12" y="20" font-size="14" font-weight="600">{}</text>').format(title)
    for tick in range(_TICKS + 1):
        value = low + (high - low) * tick / _TICKS
        y = place(0, value)[1]
        drawn += Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" stroke="#9ca3af" stroke-opacity="0.4"/>').format(
            _LEFT, _WIDTH - _RIGHT, y, y
        )
        drawn += Markup('<text x="{}" y="{:.1f}" text-anchor="end">{:.3g}</text>').format(_LEFT - 6, y + 4, value)
        step = round(last * tick / _TICKS)
        drawn += Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            place(step, low)[0], _HEIGHT - 14, step
        )
    x = 12
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        drawn += Markup('<text x="{}" y="36" fill="{}">{}</text>').format(x, colour, name)
        x += 7 * len(name) + 12
        places = [place(*point) for point in curve]
        drawn += Markup('<polyline fill="none" stroke="{}" stroke-width="1.6" points="{}"/>').format(
            colour, " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        )
        if name.endswith("(validation)"):
            for px, py in places:
                drawn += Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>').format(px, py, colour)
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
            'aria-label="{title}" font-family="system-ui, sans-serif" font-size="11" fill="#374151">'
            '<rect width="{w}" height="{h}" fill="#ffffff"/>{drawn}</svg>\n'
        ).format(w=max(_WIDTH, x), h=_HEIGHT, title=title, drawn=drawn)
    )
