"""The planted cases: each rule of attribution once, with an outcome that follows from what was planted.

Each word is made up for one run and one case, so no other document matches. A document has each of its words once and
then filler: under BM25 the shorter of two that match comes first, so every channel's order is known.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction

from iterqr_training.signals.attribution_check.planting import (
    Case,
    Credit,
    KnownOutcome,
    PlantedDocument,
    PlantedEvent,
    PlantedRewrite,
    PlantedSearch,
    Share,
    Shopper,
)

WINDOW_SIZE = 5
"""Hits of each channel, and of the page."""

CLICK, PURCHASE = "click", "purchase"
CREDITED = "credited"

_MINUTE = timedelta(minutes=1)
_TOUCH_WINDOW = timedelta(hours=24)
_WORD_LETTERS = 12
_REWRITE_ID_BITS = 64
_CONSONANTS = "bdfghjklmnpqrstvwxz"
_VOWELS = "aeiou"


def planted_cases(run_id: str, touch_window: timedelta = _TOUCH_WINDOW) -> tuple[Case, ...]:
    """Returns all cases of one run; the same for the same run.

    Args:
        run_id: Every id begins with it; words are drawn by it.
        touch_window: The rule for purchases that is in force.
    """
    words = random.Random(f"iterqr attribution check {run_id}")
    return tuple(
        make(_Planter(f"{run_id}-{number}", words), touch_window)
        for number, make in enumerate(
            (
                _exclusive,
                _shared,
                _level_2,
                _original_alone,
                _beyond_a_rewrites_window,
                _beyond_the_originals_window,
                _purchase_in_time,
                _purchase_too_late,
                _last_touch,
                _orphans,
            ),
            start=1,
        )
    )


@dataclass(slots=True)
class _Planter:
    """Makes words and ids of one case."""

    prefix: str
    random: random.Random
    _numbers: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._numbers = iter(range(1, 1_000))

    def word(self) -> str:
        """A word that nobody uses."""
        return "".join(self.random.choice(_VOWELS if place % 2 else _CONSONANTS) for place in range(_WORD_LETTERS))

    def document(self, *words: str, filler: int = 0) -> PlantedDocument:
        """A document of some words and so many more."""
        return PlantedDocument(self._id("object"), " ".join([*words, *(self.word() for _ in range(filler))]))

    def crowd(self, word: str, size: int) -> tuple[PlantedDocument, ...]:
        """Documents that come first for a word, each at a rank of its own."""
        return tuple(self.document(word, filler=each) for each in range(size))

    def rewrite(self) -> PlantedRewrite:
        """A rewrite of one word."""
        return PlantedRewrite(f"{self.random.getrandbits(_REWRITE_ID_BITS):016x}", self.word())

    def search(self, query: str, *rewrites: PlantedRewrite) -> PlantedSearch:
        """A search."""
        return PlantedSearch(self._id("query"), query, rewrites)

    def event(
        self,
        action: str,
        search: PlantedSearch | None,
        document: PlantedDocument,
        after: timedelta = _MINUTE,
        shopper: Shopper = Shopper.OWN,
    ) -> PlantedEvent:
        """An event; of no search if that is None."""
        query_id = search.query_id if search else ""
        return PlantedEvent(self._id("event"), action, query_id, document.object_id, shopper, after)

    def _id(self, kind: str) -> str:
        return f"{self.prefix}-{kind}-{next(self._numbers)}"


def _alone(rewrite: PlantedRewrite, level: int = 1) -> Credit:
    return Credit(level, (Share(rewrite.rewrite_id, Fraction(1)),))


_ORIGINAL = Credit(0, (Share("", Fraction(1)),))


def _credited(event: PlantedEvent, credit: Credit, touch: PlantedEvent | None = None) -> KnownOutcome:
    touched = touch or event
    return KnownOutcome(event.event_id, CREDITED, touched.event_id, touched.query_id, credit)


def _one_click(name: str, rule: str, plant: _Planter, planted: _Planted, credit: Credit) -> Case:
    click = plant.event(CLICK, planted.search, planted.clicked)
    documents = (*planted.others, planted.clicked)
    return Case(name, rule, documents, (planted.search,), (click,), (_credited(click, credit),))


@dataclass(frozen=True, slots=True)
class _Planted:
    search: PlantedSearch
    clicked: PlantedDocument
    others: tuple[PlantedDocument, ...]


def _exclusive(plant: _Planter, _touch_window: timedelta) -> Case:
    query, right, wrong = plant.word(), plant.rewrite(), plant.rewrite()
    planted = _Planted(
        plant.search(query, wrong, right),
        plant.document(right.text),
        (plant.document(query), plant.document(wrong.text)),
    )
    rule = "what one rewrite alone retrieved is that rewrite's"
    return _one_click("exclusive", rule, plant, planted, _alone(right))


def _shared(plant: _Planter, _touch_window: timedelta) -> Case:
    query, first, third = plant.word(), plant.rewrite(), plant.rewrite()
    planted = _Planted(
        plant.search(query, third, first),
        plant.document(first.text, third.text, filler=2),
        (plant.document(query), *plant.crowd(third.text, 2)),
    )
    # Ranks 1 and 3: 1/1 and 1/3 of their sum.
    credit = Credit(1, (Share(first.rewrite_id, Fraction(3, 4)), Share(third.rewrite_id, Fraction(1, 4))))
    return _one_click("shared", "rewrites share by reciprocal rank", plant, planted, credit)


def _level_2(plant: _Planter, _touch_window: timedelta) -> Case:
    query, rewrite = plant.word(), plant.rewrite()
    planted = _Planted(
        plant.search(query, rewrite),
        plant.document(query, rewrite.text),
        (plant.document(query, filler=4), plant.document(rewrite.text, filler=5)),
    )
    rule = "what the original retrieved too is of level 2"
    return _one_click("level 2", rule, plant, planted, _alone(rewrite, level=2))


def _original_alone(plant: _Planter, _touch_window: timedelta) -> Case:
    query, rewrite = plant.word(), plant.rewrite()
    planted = _Planted(plant.search(query, rewrite), plant.document(query), (plant.document(rewrite.text),))
    rule = "what no rewrite retrieved is nobody's but the original's"
    return _one_click("original alone", rule, plant, planted, _ORIGINAL)


def _beyond_a_rewrites_window(plant: _Planter, _touch_window: timedelta) -> Case:
    query, inside, beyond = plant.word(), plant.rewrite(), plant.rewrite()
    planted = _Planted(
        plant.search(query, beyond, inside),
        plant.document(inside.text, beyond.text, filler=WINDOW_SIZE + 2),
        (plant.document(query), *plant.crowd(beyond.text, WINDOW_SIZE)),
    )
    rule = "a rewrite that matches a hit beyond its window gets nothing"
    return _one_click("beyond a rewrite's window", rule, plant, planted, _alone(inside))


def _beyond_the_originals_window(plant: _Planter, _touch_window: timedelta) -> Case:
    query, rewrite = plant.word(), plant.rewrite()
    planted = _Planted(
        plant.search(query, rewrite),
        plant.document(query, rewrite.text, filler=WINDOW_SIZE + 2),
        plant.crowd(query, WINDOW_SIZE),
    )
    rule = "what the original matches beyond its window is new: level 1"
    return _one_click("beyond the original's window", rule, plant, planted, _alone(rewrite))


def _purchase_in_time(plant: _Planter, touch_window: timedelta) -> Case:
    bought = _bought(plant, touch_window - _MINUTE)
    outcome = _credited(bought.purchase, bought.credit, touch=bought.click)
    return bought.case("purchase in time", "a purchase is credited as the click before it was", outcome)


def _purchase_too_late(plant: _Planter, touch_window: timedelta) -> Case:
    bought = _bought(plant, touch_window + _MINUTE)
    outcome = KnownOutcome(bought.purchase.event_id, "no_touch")
    return bought.case("purchase too late", "a purchase long after the click is nobody's", outcome)


@dataclass(frozen=True, slots=True)
class _Bought:
    documents: tuple[PlantedDocument, ...]
    search: PlantedSearch
    click: PlantedEvent
    purchase: PlantedEvent
    credit: Credit

    def case(self, name: str, rule: str, outcome: KnownOutcome) -> Case:
        return Case(
            name,
            rule,
            self.documents,
            (self.search,),
            (self.click, self.purchase),
            (_credited(self.click, self.credit), outcome),
        )


def _bought(plant: _Planter, later: timedelta) -> _Bought:
    query, rewrite = plant.word(), plant.rewrite()
    search, document, other = plant.search(query, rewrite), plant.document(rewrite.text), plant.document(query)
    click = plant.event(CLICK, search, document)
    purchase = plant.event(PURCHASE, None, document, click.after + later)
    return _Bought((document, other), search, click, purchase, _alone(rewrite))


def _last_touch(plant: _Planter, _touch_window: timedelta) -> Case:
    """The same object by a rewrite of one search, then by another search's own words; then it is bought."""
    first_query, second_query, first, second = plant.word(), plant.word(), plant.rewrite(), plant.rewrite()
    first_search, second_search = plant.search(first_query, first), plant.search(second_query, second)
    bought = plant.document(first.text, second_query)
    others = (plant.document(first_query), plant.document(second.text))
    first_click = plant.event(CLICK, first_search, bought)
    second_click = plant.event(CLICK, second_search, bought, 2 * _MINUTE)
    # A click of somebody else in between is not this client's touch.
    strangers = plant.event(CLICK, None, bought, 3 * _MINUTE, Shopper.OTHER)
    purchase = plant.event(PURCHASE, None, bought, 4 * _MINUTE)
    return Case(
        "last touch",
        "of several clicks the last of the same client before the purchase counts",
        (bought, *others),
        (first_search, second_search),
        (first_click, second_click, strangers, purchase),
        (
            _credited(first_click, _alone(first)),
            _credited(second_click, _ORIGINAL),
            KnownOutcome(strangers.event_id, "no_query_id"),
            _credited(purchase, _ORIGINAL, touch=second_click),
        ),
    )


def _orphans(plant: _Planter, _touch_window: timedelta) -> Case:
    query, rewrite = plant.word(), plant.rewrite()
    search, shown, other = plant.search(query, rewrite), plant.document(rewrite.text), plant.document(query)
    hidden, never_made = plant.document(plant.word()), plant.search(query)
    nameless = plant.event(CLICK, None, shown)
    unlogged = plant.event(CLICK, never_made, shown)
    not_shown = plant.event(CLICK, search, hidden)
    strangers = plant.event(CLICK, search, shown, shopper=Shopper.OTHER)
    unknown = plant.event(CLICK, search, shown, shopper=Shopper.UNKNOWN)
    untouched = plant.event(PURCHASE, None, hidden, shopper=Shopper.OTHER)
    return Case(
        "orphans",
        "events of no search, of no page, of what was not shown or of somebody else are nobody's, and say why",
        (shown, other, hidden),
        (search,),
        (nameless, unlogged, not_shown, strangers, unknown, untouched),
        (
            KnownOutcome(nameless.event_id, "no_query_id"),
            KnownOutcome(unlogged.event_id, "no_impression"),
            KnownOutcome(not_shown.event_id, "not_shown"),
            KnownOutcome(strangers.event_id, "other_client"),
            _credited(unknown, _alone(rewrite)),
            KnownOutcome(untouched.event_id, "no_touch"),
        ),
    )
