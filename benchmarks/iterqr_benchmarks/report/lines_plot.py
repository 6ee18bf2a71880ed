"""A line plot as inline SVG, in the colours of the report's style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 370, 220, 52, 14, 14, 34


def lines_plot(label: str, lines: Mapping[str, Sequence[tuple[float, float]]], *, x_label: str) -> Markup:
    """One line for each name through its points (x, y); y from zero.

    Args:
        label: For readers who do not see the plot.
        lines: At least one point in all.
        x_label: Unit of x.
    """
    points = [point for line in lines.values() for point in line]
    right, high = max(x for x, _ in points) or 1.0, max(y for _, y in points) or 1.0
    span, rise = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / right * span, _TOP + (1 - y / high) * rise

    drawn = Markup("")
    for share in (0.0, 0.5, 1.0):
        y = place(0, share * high)[1]
        drawn += Markup('<line class="{}" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(
            "grid" if share else "axis", _LEFT, y, _WIDTH - _RIGHT, y
        )
        drawn += _text(_LEFT - 6, y + 4, _short(share * high), "end")
        drawn += _text(_LEFT + share * span, _HEIGHT - 14, _short(share * right), "middle")
    drawn += _text(_WIDTH - _RIGHT, _HEIGHT - 1, x_label, "end")
    for name, line in lines.items():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        drawn += Markup('<polyline class="curve" points="{}"><title>{}</title></polyline>').format(path, name)
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, label, drawn
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text class="tick" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)
