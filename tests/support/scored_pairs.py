"""Forty rewrites made by hand, for telling how well scores separate good ones from bad ones."""

from __future__ import annotations

from collections.abc import Sequence

GOOD = {
    "something warm for a sore throat": ("chicken noodle soup", "ginger tea"),
    "pad tai no peanut": ("pad thai without peanuts", "thai rice noodles"),
    "hangover food": ("greasy breakfast sandwich", "loaded fries"),
    "gluten free lunch": ("gluten free salad bowl", "rice bowl"),
    "kid bday party": ("birthday cake", "party pizza"),
    "spicey tuna rol": ("spicy tuna roll", "tuna sushi"),
    "thing with the melted cheese and bread from switzerland": ("cheese fondue", "swiss fondue"),
    "cheap late night grub": ("kebab", "pizza slice"),
    "veggie burgr": ("vegetarian burger", "bean burger"),
    "dumplings like my chinese grandma": ("pork dumplings", "jiaozi"),
}
"""Two sound and relevant rewrites of each query."""
IRRELEVANT = {
    "something warm for a sore throat": "frozen margarita",
    "pad tai no peanut": "cheeseburger",
    "hangover food": "wedding cake",
    "gluten free lunch": "wheat beer",
    "kid bday party": "raw oysters",
    "spicey tuna rol": "chocolate pudding",
    "thing with the melted cheese and bread from switzerland": "beef jerky",
    "cheap late night grub": "lobster thermidor",
    "veggie burgr": "beef steak",
    "dumplings like my chinese grandma": "hot dog",
}
"""A sound one of another thing."""
BROKEN = {
    "something warm for a sore throat": "the user wants a thing that is warm because",
    "pad tai no peanut": "pad pad pad thai thai thai thai",
    "hangover food": "fix: hangover rw: food rw:",
    "gluten free lunch": "xkq gltn frr lnnch zz",
    "kid bday party": "sorry, i cannot help with that",
    "spicey tuna rol": "?????",
    "thing with the melted cheese and bread from switzerland": '"}]} or *:*',
    "cheap late night grub": "cheap late night grub is food that is eaten late at night and is cheap, so you",
    "veggie burgr": "vegg brgr burg veg",
    "dumplings like my chinese grandma": "n/a",
}
"""One that is no query: other talk, repetitions, syntax, noise."""


def auc(good: Sequence[float], bad: Sequence[float]) -> float:
    """The chance that a good one scores above a bad one; 0.5 is guessing."""
    wins = sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
    return wins / (len(good) * len(bad))
