"""A world as its users know it: what each region sells, what people want there, and how they say it."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Literal

from iterqr_benchmarks.catalog import Dish
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.language import Language, Phrase
from iterqr_benchmarks.marketplace.lexicon import load_lexicon
from iterqr_benchmarks.marketplace.merchants import region_names
from iterqr_benchmarks.marketplace.needs import Need, build_needs
from iterqr_benchmarks.marketplace.settings import WorldSettings
from iterqr_benchmarks.marketplace.shelf import Shelf
from iterqr_benchmarks.marketplace.world import region_dishes

Band = Literal["head", "torso", "tail"]
BANDS: tuple[Band, ...] = ("head", "torso", "tail")
_HEAD_SHARE, _TORSO_SHARE = 1 / 200, 1 / 2_000
# Chosen so that among 10,000 searches two thirds of the distinct queries are tail, while half of the searches repeat
# one that was made before in the region, as in logs of shops.
NEED_EXPONENT = 1.4
PHRASE_EXPONENT = 2.0


@dataclass(frozen=True, slots=True)
class Wording:
    """A phrase of a need of a region.

    `share`: of the region's searches, tastes of users apart. The same words for another need are not counted in it.
    """

    need: Need
    phrase: Phrase
    share: float

    @property
    def band(self) -> Band:
        """How frequent it is in its region: head from one of 200 searches on, torso from one of 2,000 on."""
        return frequency_band(self.share)


def frequency_band(share: float) -> Band:
    """Returns the band of a wording that makes this share of its region's searches."""
    return "head" if share >= _HEAD_SHARE else "torso" if share >= _TORSO_SHARE else "tail"


class RegionMarket:
    """One region: its dishes, needs and phrases. Phrases and satisfying sets are made when first asked for."""

    def __init__(self, shelf: Shelf, needs: Sequence[Need], language: Language) -> None:
        self.shelf = shelf
        self.needs = tuple(needs)
        self.by_id = {need.need_id: need for need in needs}
        self._weights = list(accumulate(need.weight for need in needs))
        self._language = language
        self._phrases: dict[str, tuple[Phrase, ...]] = {}
        self._satisfying: dict[str, frozenset[str]] = {}

    @property
    def name(self) -> str:
        """The region."""
        return self.shelf.region

    def need_at(self, share: float) -> Need:
        """Returns the need at a point, 0 to 1, of all needs laid end to end by weight."""
        return self.needs[min(bisect(self._weights, share * self._weights[-1]), len(self.needs) - 1)]

    def phrases(self, need: Need) -> tuple[Phrase, ...]:
        """Returns the need's phrases, see `Language.phrases`."""
        if need.need_id not in self._phrases:
            self._phrases[need.need_id] = self._language.phrases(need)
        return self._phrases[need.need_id]

    def wording_at(self, need: Need, share: float) -> Wording:
        """Returns the wording at a point, 0 to 1, of the need's phrases laid end to end."""
        phrases = self.phrases(need)
        at = bisect(list(accumulate(phrase.share for phrase in phrases)), share)
        return self.wording(need, phrases[min(at, len(phrases) - 1)])

    def wording(self, need: Need, phrase: Phrase) -> Wording:
        """Returns a phrase with how frequent it is here."""
        return Wording(need, phrase, need.weight * phrase.share)

    def satisfying(self, need: Need) -> frozenset[str]:
        """Returns the ids of the dishes that truly satisfy the need; at least one."""
        if need.need_id not in self._satisfying:
            self._satisfying[need.need_id] = self.shelf.satisfying(need.satisfied_by)
        return self._satisfying[need.need_id]

    def dish(self, dish_id: str) -> Dish | None:
        """Returns a dish of the region; None if it has none of this id."""
        return self.shelf.by_id.get(dish_id)


class Market:
    """All regions of a world, each made when first asked for and kept."""

    def __init__(self, settings: WorldSettings) -> None:
        self.settings = settings
        self.regions = region_names(settings.regions)
        self._made: dict[str, RegionMarket] = {}

    def region(self, name: str) -> RegionMarket:
        """Returns one region. Not to be called from several threads for a region that is not made yet."""
        if name not in self._made:
            draws = Draws(self.settings.seed)
            shelf = Shelf(name, region_dishes(self.settings, name))
            needs = build_needs(shelf, load_lexicon(), draws, NEED_EXPONENT)
            self._made[name] = RegionMarket(shelf, needs, Language(load_lexicon(), draws, PHRASE_EXPONENT))
        return self._made[name]


@cache
def open_market(settings: WorldSettings) -> Market:
    """Returns the market of a world; one a process, as it takes a while and some hundred MB at full size."""
    return Market(settings)
