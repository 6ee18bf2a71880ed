"""Who searches: where they live, what they like, how active they are."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from iterqr_benchmarks.catalog.vocabulary import load_cuisines
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.needs import Need

NAMESPACE = uuid.UUID("5f0b6a52-8d1e-4e0c-9a55-6a6d0d5a7c11")
_DIET_SHARES = (("vegan", 0.04), ("vegetarian", 0.08), ("gluten-free", 0.04), ("dairy-free", 0.04), ("keto", 0.03))
_REGION_EXPONENT = 1.2  # of Zipf's law, over the regions' populations
_ACTIVITY_SHAPE = 1.3  # of Pareto's law: a fifth of the users make about half of the searches
_MAX_ACTIVITY = 60.0
_FAVOURITES = 4
_LIKED, _OTHER, _AGAINST_DIET = 1.0, 0.45, 0.1


@dataclass(frozen=True, slots=True)
class User:
    """One person.

    `favourites`: cuisines. `diet`: "" for none. `thrift`: 0 to 1, how much a high price deters. `patience`: how far
    down a page they look, about 1. `activity`: how often they search, by comparison. `clock_skew_s`: how far their
    clock is ahead.
    """

    number: int
    client_id: str
    region: str
    favourites: frozenset[str]
    diet: str
    thrift: float
    patience: float
    activity: float
    clock_skew_s: float = 0.0


def make_user(draws: Draws, seed: int, number: int, regions: Sequence[str], clock_skew: float = 0.0) -> User:
    """Returns the user of a number, the same whoever else there is.

    Args:
        draws: Of the traffic's seed.
        seed: Part of the client id, so that runs do not share clients.
        number: From 0.
        regions: Of the world, the most populous first.
        clock_skew: Share of the users whose clocks are wrong.
    """
    rng = draws.stream("user", number)
    weights = [rank**-_REGION_EXPONENT for rank in range(1, len(regions) + 1)]
    (region,) = rng.choices(list(regions), weights)
    favourites = frozenset(rng.sample([cuisine.name for cuisine in load_cuisines()], _FAVOURITES))
    point, diet = rng.random(), ""
    for name, share in _DIET_SHARES:
        if point < share:
            diet = name
            break
        point -= share
    thrift, patience = rng.random(), rng.uniform(0.7, 1.4)
    activity = min(_MAX_ACTIVITY, rng.paretovariate(_ACTIVITY_SHAPE))
    skewed = draws.uniform("user", number, "skewed") < clock_skew
    skew_s = round((2 * draws.uniform("user", number, "skew") - 1) * 7_200, 3) if skewed else 0.0
    client_id = uuid.uuid5(NAMESPACE, f"{seed}/client/{number}").hex
    return User(number, client_id, region, favourites, diet, thrift, patience, activity, skew_s)


def taste_for(user: User, need: Need) -> float:
    """Returns how likely a user is to want something, by comparison, 0 to 1."""
    terms = need.terms
    taste = _LIKED if not terms.cuisine or terms.cuisine in user.favourites else _OTHER
    if user.diet and terms.diet and terms.diet != user.diet:
        taste *= _AGAINST_DIET
    if not user.diet and terms.diet:
        taste *= _OTHER
    return taste
