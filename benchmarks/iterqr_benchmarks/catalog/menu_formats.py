"""Formats in which a merchant sells a dish besides the plain plate, as menus word them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """How a format changes title, price and tags."""

    title: str  # with {} for the dish
    price_factor: float
    tag: str
    note: str  # sentence added to the description


FORMATS: dict[str, Format] = {
    "kids": Format("Kids' {}", 0.6, "kids", "A smaller portion for children under 10."),
    "platter": Format("{} Sharing Platter", 2.4, "sharing platter", "Made to share, serves 3 to 4."),
    "family": Format("Family-Size {}", 2.7, "family meal", "Feeds a family of four."),
    "tray": Format("{} Party Tray", 3.4, "party tray", "For parties and offices, serves 8 to 10."),
    "lunch": Format("{} Lunch Box", 0.9, "lunch", "Weekday lunch, served until 3 pm."),
}
