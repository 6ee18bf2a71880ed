"""Numbers as people read them; an en dash where there is none."""

from __future__ import annotations

import math

from iterqr_training.experiments.estimate import Estimate

NOTHING = "–"
_MINUS = "−"


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def decimal(value: float) -> str:
    """A measure, to four significant digits."""
    return f"{value:.4g}".replace("-", _MINUS) if math.isfinite(value) else NOTHING


def signed(value: float) -> str:
    """A difference, to three significant digits, with its sign."""
    return f"{value:+.3g}".replace("-", _MINUS) if math.isfinite(value) else NOTHING


def percent(value: float) -> str:
    """A share or a lift without a sign."""
    return f"{100 * value:.1f}%".replace("-", _MINUS) if math.isfinite(value) else NOTHING


def signed_percent(value: float) -> str:
    """A relative lift."""
    return f"{100 * value:+.1f}%".replace("-", _MINUS) if math.isfinite(value) else NOTHING


def p_value(value: float) -> str:
    """A p-value; tiny ones are only said to be so."""
    if not math.isfinite(value):
        return NOTHING
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def interval(estimate: Estimate) -> str:
    """The ends of the interval of a difference."""
    return NOTHING if math.isnan(estimate.low) else f"{signed(estimate.low)} to {signed(estimate.high)}"


def lift_interval(estimate: Estimate) -> str:
    """The ends of the interval of a relative lift."""
    return NOTHING if math.isnan(estimate.low) else f"{signed_percent(estimate.low)} to {signed_percent(estimate.high)}"
