"""How a need is put into words: rightly, wrongly, loosely, in slang, in another language.

A need has finitely many phrases, each with its share of the times that the need is searched for. People agree on few
of them: within a kind, shares fall with the rank as Zipf's law has it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.lexicon import Lexicon, Names, Thing
from iterqr_benchmarks.marketplace.mistakes import MISTAKES, Mistake, misspell
from iterqr_benchmarks.marketplace.needs import Need, Terms
from iterqr_benchmarks.queries import load_queries, normalized

PhraseKind = Literal[
    "exact", "keyboard", "sound", "letters", "synonym", "colloquial", "foreign", "scene", "over_specified",
    "under_specified", "ambiguous",
]  # fmt: skip
# How often each kind is used where a need has all of them.
KIND_SHARES: Mapping[PhraseKind, float] = {
    "exact": 0.60,
    "scene": 0.60,  # of needs that are scenes, instead of exact words: there are none
    "keyboard": 0.07,
    "sound": 0.07,
    "letters": 0.09,
    "synonym": 0.09,
    "colloquial": 0.07,
    "foreign": 0.03,
    "over_specified": 0.11,
    "under_specified": 0.05,
    "ambiguous": 0.02,
}
_MISTAKES_A_NEED = 8
_ADDITIONS_A_NEED = 8
_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class Phrase:
    """One way to say a need. `share`: of the times that the need is searched for."""

    text: str
    kind: PhraseKind
    share: float


class Language:
    """Words needs. The same seed words them the same, whichever need is asked about first."""

    def __init__(self, lexicon: Lexicon, draws: Draws, exponent: float) -> None:
        self._lexicon = lexicon
        self._draws = draws
        self._exponent = exponent
        self._unseen = held_out()

    def phrases(self, need: Need) -> tuple[Phrase, ...]:
        """Returns all phrases of a need, at least one; the shares add up to 1.

        No text is there twice, and none is a query of the demo's query sets.
        """
        by_kind: dict[PhraseKind, list[str]] = {}
        taken = set(self._unseen)
        for kind, text in self._candidates(need):
            form = normalized(text) or text
            if form not in taken and 0 < len(text) <= _MAX_CHARS:
                taken.add(form)
                by_kind.setdefault(kind, []).append(text)
        if not by_kind:
            by_kind = {"over_specified": [f"{_plain(need.terms)[0]} please"]}
        total = sum(KIND_SHARES[kind] for kind in by_kind)
        phrases: list[Phrase] = []
        for kind, texts in by_kind.items():
            zipf = [rank**-self._exponent for rank in range(1, len(texts) + 1)]
            whole = KIND_SHARES[kind] / total / sum(zipf)
            phrases += (Phrase(text, kind, whole * part) for text, part in zip(texts, zipf, strict=True))
        return tuple(phrases)

    def _candidates(self, need: Need) -> Iterator[tuple[PhraseKind, str]]:
        rng = self._draws.stream("language", need.need_id)
        terms = need.terms
        base: list[str]
        if terms.scene:
            base = [word for scene in self._lexicon.scenes if scene.name == terms.scene for word in scene.wordings]
            yield from (("scene", text) for text in base)
        else:
            base = [self._placed(terms, text) for text in _plain(terms)]
            yield from (("exact", text) for text in base)
            yield from (("synonym", text) for text in self._renamed(terms, self._lexicon.synonyms))
            yield from (("colloquial", text) for text in self._renamed(terms, self._lexicon.colloquial))
            yield from (("foreign", text) for text in self._renamed(terms, self._lexicon.foreign))
            yield from (("under_specified", text) for text in _loose(terms))
            yield from (("ambiguous", word.text) for word in self._lexicon.ambiguous if terms.dish in word.dishes)
        for mistake in MISTAKES:
            yield from ((mistake, text) for text in _mistaken(rng, base, mistake))
        yield from (("over_specified", text) for text in self._overdone(rng, base))

    def _placed(self, terms: Terms, text: str) -> str:
        """Adds the price or the place that a need is about, always in the same words."""
        if terms.price_max:
            cheap = self._lexicon.cheap
            said = cheap[len(text) % len(cheap)]
            if "{price}" in said:
                return f"{text} {said.format(price=round(terms.price_max))}"
            return f"{said} {text}"
        if terms.region:
            place = self._lexicon.place
            return f"{text} {place[len(text) % len(place)].format(region=terms.region)}"
        return text

    def _renamed(self, terms: Terms, names: Names) -> Iterator[str]:
        """The exact text with one of its things called by another name."""
        for thing, name in _things(terms):
            for other in names[thing].get(name, ()):
                for text in _plain(terms, {thing: other}):
                    yield self._placed(terms, text)

    def _overdone(self, rng: random.Random, base: list[str]) -> Iterator[str]:
        for _ in range(_ADDITIONS_A_NEED):
            text = rng.choice(base)
            way = rng.random()
            if way < 0.4:
                yield f"{rng.choice(self._lexicon.before)} {text}"
            elif way < 0.8:
                yield f"{text} {rng.choice(self._lexicon.after)}"
            else:
                yield f"{rng.choice(self._lexicon.before)} {text} {rng.choice(self._lexicon.after)}"


def held_out() -> frozenset[str]:
    """Returns the normalized queries of the demo's query sets, which nobody here may have searched for."""
    return frozenset(normalized(each.query) for each in (*load_queries("heldout"), *load_queries("tuning")))


def _things(terms: Terms) -> Iterator[tuple[Thing, str]]:
    if terms.dish:
        yield "dish", terms.dish
    elif terms.cuisine:
        yield "cuisine", terms.cuisine
    if terms.ingredient:
        yield "ingredient", terms.ingredient
    if terms.diet:
        yield "diet", terms.diet


def _plain(terms: Terms, others: Mapping[Thing, str] | None = None) -> list[str]:
    """The usual words for a need, most usual first; `others` has names to use instead of a thing's own."""
    called = others or {}
    if terms.merchant:
        return [terms.merchant.lower(), f"{terms.merchant.lower()} menu"]
    noun = ""
    if terms.dish:
        noun = called.get("dish", terms.dish.replace("-", " "))
    elif terms.cuisine:
        noun = called.get("cuisine", terms.cuisine.lower().split(" & ")[0])
    own = terms.variant if "ingredient" not in called else ""
    addition = called.get("ingredient", own or terms.ingredient)
    diet = called.get("diet", terms.diet.replace("-", " "))
    if noun and diet:
        return [f"{diet} {noun}", f"{noun} {diet}"]
    if noun and addition:
        return [f"{addition} {noun}", f"{noun} with {addition}"]
    if terms.dish:
        return [noun]
    if noun:
        return [noun, f"{noun} food"] if "cuisine" not in called else [noun]
    return [f"{diet or addition}", f"{diet or addition} food" if diet else f"dishes with {addition}"]


def _loose(terms: Terms) -> Iterator[str]:
    """Less than what is meant."""
    if terms.merchant:
        yield terms.merchant.lower().split()[0]
    elif terms.dish:
        words = terms.dish.split("-")
        if terms.ingredient or terms.diet or terms.price_max:
            yield terms.dish.replace("-", " ")
        elif len(words) > 1:
            yield words[-1]
        yield terms.cuisine.lower().split(" & ")[0]
    elif terms.cuisine and (terms.diet or terms.price_max or terms.region):
        yield terms.cuisine.lower().split(" & ")[0]
    else:
        yield "food"


def _mistaken(rng: random.Random, base: list[str], mistake: Mistake) -> Iterator[str]:
    for _ in range(_MISTAKES_A_NEED):
        text = rng.choice(base)
        wrong = misspell(rng, text, mistake)
        if wrong != text:
            yield wrong
