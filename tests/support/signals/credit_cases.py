"""Given pages and events, who must be credited: one case for each clause of the rules, with the default settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from support.signals.raw_rows import Event, Hit, Page, Signals

ALL = 10**9
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Credit:
    """One row that is expected of an event. `touch`: "" means itself where credited, else what the case says."""

    event_id: str
    status: str = "credited"
    level: int | None = None
    rewrite_id: str = ""
    share_ppb: int = ALL
    exclusive: bool = False
    touch: str | None = None
    page: str = "p"
    position: int | None = 1


@dataclass(frozen=True, slots=True)
class Case:
    """All rows that attribution must make of a few signals."""

    name: str
    pages: Sequence[Page]
    events: Sequence[Event]
    expected: Sequence[Credit]

    @property
    def signals(self) -> Signals:
        """What was logged, apart from that of other cases."""
        return Signals(self.pages, self.events).with_prefix(f"{self.name}/")


def nobody(event_id: str, status: str, touch: str | None = None) -> Credit:
    """An event that nobody is credited with."""
    return Credit(event_id, status, None, share_ppb=0, page="", position=None, touch=touch)


def _page(*hits: Hit, page: str = "p", query: str = "q", client: str = "ann", at_s: float = 0) -> Page:
    return Page(page, query, client, at_s, texts={"r1": "pad thai", "r2": "thai noodles"}, hits=hits)


ONLY_R1 = Hit("a", 1, rewrites={"r1": 4})
PLAIN = Hit("a", 1, original=1)

_LEVELS = (
    Case("only the original", [_page(PLAIN)], [Event("e")], [Credit("e", level=0)]),
    Case("no channel at all", [_page(Hit("a", 1))], [Event("e")], [Credit("e", level=0)]),
    Case("one rewrite alone", [_page(ONLY_R1)], [Event("e")], [Credit("e", level=1, rewrite_id="r1", exclusive=True)]),
    Case(
        "one rewrite and the original",
        [_page(Hit("a", 1, original=90, rewrites={"r1": 1}))],
        [Event("e")],
        [Credit("e", level=2, rewrite_id="r1")],
    ),
    Case(
        "one rewrite and a named vector clause",
        [_page(Hit("a", 1, rewrites={"r1": 1}, tags=[("original/embedding", "", 7)]))],
        [Event("e")],
        [Credit("e", level=2, rewrite_id="r1")],
    ),
    Case(
        "only a named vector clause",
        [_page(Hit("a", 1, tags=[("original/embedding", "", 7)]))],
        [Event("e")],
        [Credit("e", level=0)],
    ),
    Case(
        "matched is no retrieval",
        [_page(Hit("a", 1, tags=[("matched", "r1", None)]))],
        [Event("e")],
        [Credit("e", level=0)],
    ),
    Case(
        "matched beside a rewrite takes no share",
        [_page(Hit("a", 1, rewrites={"r1": 1}, tags=[("matched", "r2", None), ("matched", "", None)]))],
        [Event("e")],
        [Credit("e", level=1, rewrite_id="r1", exclusive=True)],
    ),
    Case(
        "a rewrite without a rank retrieved nothing",
        [_page(Hit("a", 1, rewrites={"r1": None}))],
        [Event("e")],
        [Credit("e", level=0)],
    ),
)

_SHARES = (
    Case(
        "two rewrites by reciprocal rank",
        [_page(Hit("a", 1, rewrites={"r1": 1, "r2": 3}))],
        [Event("e")],
        [
            Credit("e", level=1, rewrite_id="r1", share_ppb=750_000_000),
            Credit("e", level=1, rewrite_id="r2", share_ppb=250_000_000),
        ],
    ),
    Case(
        "three equal shares: the billionth that is left goes to the smallest id",
        [_page(Hit("a", 1, rewrites={"r3": 2, "r2": 2, "r1": 2}))],
        [Event("e")],
        [
            Credit("e", level=1, rewrite_id="r1", share_ppb=333_333_334),
            Credit("e", level=1, rewrite_id="r2", share_ppb=333_333_333),
            Credit("e", level=1, rewrite_id="r3", share_ppb=333_333_333),
        ],
    ),
    Case(
        "what is left goes to the largest remainder",
        # Of 1 and 1/2: 666,666,666.67 and 333,333,333.33.
        [_page(Hit("a", 1, rewrites={"r1": 2, "r2": 1}))],
        [Event("e")],
        [
            Credit("e", level=1, rewrite_id="r1", share_ppb=333_333_333),
            Credit("e", level=1, rewrite_id="r2", share_ppb=666_666_667),
        ],
    ),
    Case(
        "ids are compared by their bytes",
        [_page(Hit("a", 1, rewrites={"a": 1, "Z": 1, "é": 1}))],
        [Event("e")],
        [
            Credit("e", level=1, rewrite_id="Z", share_ppb=333_333_334),
            Credit("e", level=1, rewrite_id="a", share_ppb=333_333_333),
            Credit("e", level=1, rewrite_id="é", share_ppb=333_333_333),
        ],
    ),
    Case(
        "the same rewrite twice counts once, by its best rank",
        [_page(Hit("a", 1, rewrites={"r1": 9, "r2": 2}, tags=[("rewrite", "r1", 2)]))],
        [Event("e")],
        [
            Credit("e", level=1, rewrite_id="r1", share_ppb=ALL // 2),
            Credit("e", level=1, rewrite_id="r2", share_ppb=ALL // 2),
        ],
    ),
    Case(
        "the same rewrite twice is still exclusive",
        [_page(Hit("a", 1, rewrites={"r1": 9}, tags=[("rewrite", "r1", 2)]))],
        [Event("e")],
        [Credit("e", level=1, rewrite_id="r1", exclusive=True)],
    ),
    Case(
        "level 2 is shared among the rewrites too",
        [_page(Hit("a", 1, original=1, rewrites={"r1": 1, "r2": 1}))],
        [Event("e")],
        [
            Credit("e", level=2, rewrite_id="r1", share_ppb=ALL // 2),
            Credit("e", level=2, rewrite_id="r2", share_ppb=ALL // 2),
        ],
    ),
    Case(
        "a rewrite whose text was not logged is credited",
        [_page(Hit("a", 1, rewrites={"r9": 1}))],
        [Event("e")],
        [Credit("e", level=1, rewrite_id="r9", exclusive=True)],
    ),
)

_TOUCHES = (
    Case("no query id", [_page(PLAIN)], [Event("e", query_id="")], [nobody("e", "no_query_id")]),
    Case("no such impression", [_page(PLAIN)], [Event("e", query_id="lost")], [nobody("e", "no_impression")]),
    Case("not shown", [_page(PLAIN)], [Event("e", object_id="z")], [nobody("e", "not_shown")]),
    Case("no object", [_page(Hit("", 1, original=1))], [Event("e", object_id="")], [nobody("e", "not_shown")]),
    Case(
        "kept back by shadow is not shown",
        [_page(Hit("a", 1, original=1, shown=False))],
        [Event("e")],
        [nobody("e", "not_shown")],
    ),
    Case(
        "channels of the page kept back do not count",
        [_page(PLAIN, Hit("b", 1, rewrites={"r1": 1}, shown=False))],
        [Event("e")],
        [Credit("e", level=0)],
    ),
    Case("another client's page", [_page(PLAIN)], [Event("e", client_id="bob")], [nobody("e", "other_client")]),
    Case("event without client", [_page(ONLY_R1)], [Event("e", client_id="")],
         [Credit("e", level=1, rewrite_id="r1", exclusive=True)]),
    Case("page without client", [_page(PLAIN, client="")], [Event("e")], [Credit("e", level=0)]),
    Case(
        "of two clients' pages the own one",
        [_page(Hit("a", 2, original=2), page="p0", client="bob"), _page(PLAIN, at_s=9)],
        [Event("e")],
        [Credit("e", level=0)],
    ),
    Case(
        "another client saw it, the own page did not show it",
        [_page(PLAIN, page="p0", client="bob"), _page(Hit("b", 1, original=1))],
        [Event("e")],
        [nobody("e", "not_shown")],
    ),
    Case(
        "the second page's hit",
        [_page(PLAIN, page="p1"), _page(Hit("c", 11, rewrites={"r1": 2}), page="p2", at_s=9)],
        [Event("e", object_id="c")],
        [Credit("e", level=1, rewrite_id="r1", exclusive=True, page="p2", position=11)],
    ),
    Case(
        "shown twice: the earliest page",
        [_page(Hit("a", 11, rewrites={"r1": 1}), page="p2", at_s=9), _page(Hit("a", 12, original=1), page="p1")],
        [Event("e")],
        [Credit("e", level=0, page="p1", position=12)],
    ),
    Case(
        "shown twice: the position that the event tells",
        [_page(Hit("a", 11, rewrites={"r1": 1}), page="p2", at_s=9), _page(Hit("a", 12, original=1), page="p1")],
        [Event("e", position=11)],
        [Credit("e", level=1, rewrite_id="r1", exclusive=True, page="p2", position=11)],
    ),
    Case(
        "a told position that fits no hit does not matter",
        [_page(Hit("a", 3, original=1))],
        [Event("e", position=8)],
        [Credit("e", level=0, position=3)],
    ),
    Case(
        "shown twice on a page: the smaller position",
        [_page(Hit("a", 5, rewrites={"r1": 1}), Hit("a", 2, original=1))],
        [Event("e")],
        [Credit("e", level=0, position=2)],
    ),
    Case(
        "pages of the same time: the smaller id",
        [_page(Hit("a", 2, original=1), page="pB"), _page(Hit("a", 2, rewrites={"r1": 1}), page="pA")],
        [Event("e")],
        [Credit("e", level=1, rewrite_id="r1", exclusive=True, page="pA", position=2)],
    ),
    Case(
        "clicked twice is two events",
        [_page(PLAIN)],
        [Event("e1"), Event("e2", at_s=61)],
        [Credit("e1", level=0), Credit("e2", level=0)],
    ),
    Case("a click before its page, by a clock that goes wrong", [_page(PLAIN)], [Event("e", at_s=-5)],
         [Credit("e", level=0)]),
    Case("actions that are neither are no rows", [_page(PLAIN)], [Event("e", action="scroll")], []),
    Case("item_click is a click", [_page(PLAIN)], [Event("e", action="item_click")], [Credit("e", level=0)]),
    Case("names of actions are exact", [_page(PLAIN)], [Event("e", action="Click")], []),
)  # fmt: skip

CLICK = Event("c")
CLICKED = Credit("c", level=1, rewrite_id="r1", exclusive=True)
SECOND = _page(Hit("a", 7, original=2), page="p2", query="q2", at_s=100)
CLICK_2 = Event("c2", query_id="q2", at_s=160)
CLICKED_2 = Credit("c2", level=0, page="p2", position=7)


def _order(at_s: float = 3_600, query: str = "", client: str = "ann", item: str = "a") -> Event:
    return Event("o", "purchase", query, item, client, at_s)


def _ordered(touch: str = "c") -> Credit:
    return Credit("o", level=1, rewrite_id="r1", exclusive=True, touch=touch)


_PURCHASES = (
    Case("credited to its click", [_page(ONLY_R1)], [CLICK, _order()], [CLICKED, _ordered()]),
    Case(
        "to the last of two",
        [_page(ONLY_R1), SECOND],
        [CLICK, CLICK_2, _order()],
        [CLICKED, CLICKED_2, Credit("o", level=0, page="p2", position=7, touch="c2")],
    ),
    Case(
        "to the last, whatever query it carries",
        [_page(ONLY_R1), SECOND],
        [CLICK, CLICK_2, _order(query="q")],
        [CLICKED, CLICKED_2, Credit("o", level=0, page="p2", position=7, touch="c2")],
    ),
    Case("a day after it", [_page(ONLY_R1)], [CLICK, _order(60 + DAY_S)], [CLICKED, _ordered()]),
    Case(
        "more than a day after it",
        [_page(ONLY_R1)],
        [CLICK, _order(60 + DAY_S + 1e-6)],
        [CLICKED, nobody("o", "no_touch", touch="")],
    ),
    Case("at the very time", [_page(ONLY_R1)], [CLICK, _order(60)], [CLICKED, _ordered()]),
    Case(
        "a microsecond before it",
        [_page(ONLY_R1)],
        [CLICK, _order(60 - 1e-6)],
        [CLICKED, nobody("o", "no_touch", touch="")],
    ),
    Case(
        "another client's click",
        [_page(ONLY_R1)],
        [CLICK, _order(client="bob")],
        [CLICKED, nobody("o", "no_touch", touch="")],
    ),
    Case(
        "another item's click",
        [_page(ONLY_R1)],
        [CLICK, _order(item="b")],
        [CLICKED, nobody("o", "no_touch", touch="")],
    ),
    Case(
        "no click, its own query or not",
        [_page(ONLY_R1)],
        [_order(query="q")],
        [nobody("o", "no_touch", touch="")],
    ),
    Case(
        "two at the same time: of its own query",
        [_page(ONLY_R1), SECOND],
        [Event("c", at_s=160), CLICK_2, _order(query="q2")],
        [CLICKED, CLICKED_2, Credit("o", level=0, page="p2", position=7, touch="c2")],
    ),
    Case(
        "two at the same time: the smaller id",
        [_page(ONLY_R1), SECOND],
        [Event("c", at_s=160), CLICK_2, _order(query="q9")],
        [CLICKED, CLICKED_2, _ordered()],
    ),
    Case(
        "two orders after one click",
        [_page(ONLY_R1)],
        [CLICK, _order(), Event("o2", "purchase", "", "a", "ann", 7_200)],
        [CLICKED, _ordered(), Credit("o2", level=1, rewrite_id="r1", exclusive=True, touch="c")],
    ),
    Case(
        "without client id: the hit that it names",
        [_page(ONLY_R1)],
        [CLICK, _order(query="q", client="")],
        [CLICKED, _ordered("o")],
    ),
    Case(
        "without client id and query id",
        [_page(ONLY_R1)],
        [CLICK, _order(client="")],
        [CLICKED, nobody("o", "no_query_id", touch="")],
    ),
    Case(
        "without client id, not shown",
        [_page(ONLY_R1)],
        [_order(query="q", client="", item="z")],
        [nobody("o", "not_shown", touch="")],
    ),
    Case(
        "a click without client id is its page's client's",
        [_page(ONLY_R1)],
        [Event("c", client_id=""), _order()],
        [CLICKED, _ordered()],
    ),
    Case(
        "a click of no search is no touch",
        [_page(ONLY_R1)],
        [CLICK, Event("c3", query_id="", at_s=900), _order()],
        [CLICKED, nobody("c3", "no_query_id"), _ordered()],
    ),
    Case(
        "the last touch has no page: nobody, as the first was not the last",
        [_page(ONLY_R1)],
        [CLICK, Event("c3", query_id="lost", at_s=900), _order()],
        [CLICKED, nobody("c3", "no_impression"), nobody("o", "no_impression", touch="c3")],
    ),
    Case(
        "an order without item",
        [_page(Hit("", 1, original=1))],
        [Event("c", object_id=""), _order(item="")],
        [nobody("c", "not_shown"), nobody("o", "no_touch", touch="")],
    ),
    Case(
        "an order of two rewrites is split",
        [_page(Hit("a", 1, rewrites={"r1": 1, "r2": 1}))],
        [CLICK, _order()],
        [
            Credit(event_id, level=1, rewrite_id=rewrite_id, share_ppb=ALL // 2, touch="c")
            for event_id in ("c", "o")
            for rewrite_id in ("r1", "r2")
        ],
    ),
    Case(
        "add_to_cart is no touch unless it is said to be",
        [_page(ONLY_R1)],
        [Event("t", action="add_to_cart"), _order()],
        [nobody("o", "no_touch", touch="")],
    ),
)

CASES = (*_LEVELS, *_SHARES, *_TOUCHES, *_PURCHASES)


def all_signals() -> Signals:
    """The signals of all cases together."""
    each = [case.signals for case in CASES]
    return Signals(
        tuple(page for signals in each for page in signals.pages),
        tuple(event for signals in each for event in signals.events),
    )
