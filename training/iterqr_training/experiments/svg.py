"""Pieces of SVG that plots are drawn of: coordinates in pixels, styles are classes of report.css, texts are escaped."""

from __future__ import annotations

from markupsafe import Markup

WIDTH = 370


def svg(height: float, label: str, drawn: Markup) -> Markup:
    """Returns a plot of `WIDTH`; `label` says what it shows to who cannot see it."""
    return Markup('<svg class="plot" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, label, drawn
    )


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    """Returns a line."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(style, x1, y1, x2, y2)


def text(x: float, y: float, words: str, anchor: str, style: str = "tick") -> Markup:
    """Returns a text; `anchor` is start, middle or end."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        style, x, y, anchor, words
    )
