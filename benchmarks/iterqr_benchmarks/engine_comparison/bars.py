"""Plots as inline SVG, in the colours of the report's style sheet."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from markupsafe import Markup

_WIDTH, _LEFT, _RIGHT, _ROW = 370, 130, 52, 28


def bars_plot(label: str, values: Sequence[tuple[str, float]], highlighted: Collection[str]) -> Markup:
    """One horizontal bar for each name, with its value; `highlighted` in the colour of gains."""
    span = _WIDTH - _LEFT - _RIGHT
    largest = max((value for _, value in values), default=1.0) or 1.0
    drawn = Markup("")
    for number, (name, value) in enumerate(values):
        y = number * _ROW
        width = value / largest * span
        drawn += Markup(
            '<text class="label" x="{}" y="{}" text-anchor="end">{}</text>'
            '<rect class="{}" x="{}" y="{}" width="{:.1f}" height="{}" rx="2"/>'
            '<text class="tick" x="{:.1f}" y="{}">{:.2f}</text>'
        ).format(
            _LEFT - 8, y + 18, name, "up" if name in highlighted else "same", _LEFT, y + 5, width, _ROW - 10,
            _LEFT + width + 6, y + 18, value,
        )  # fmt: skip
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, len(values) * _ROW + 4, label, drawn
    )
