"""A few days of a small town: several clients, regions, queries and checkpoints, for the tables of outcomes."""

from __future__ import annotations

from support.signals.raw_rows import Event, Hit, Page, Signals

_TEXTS = {"r1": "pad thai", "r2": "thai noodles"}
CLIENTS = ("ann", "bob", "eve", "joe")

# Each of four clients searches "pad tai" and sees: a by the original and r1, b by r1 alone, c by r1 and r2.
_PAD_TAI = tuple(
    Page(
        f"p-{client}",
        f"q-{client}",
        client,
        at_s=number,
        texts=_TEXTS,
        hits=(
            Hit("a", 1, original=1, rewrites={"r1": 3}),
            Hit("b", 2, rewrites={"r1": 1}),
            Hit("c", 4, rewrites={"r1": 2, "r2": 1}),
        ),
    )
    for number, client in enumerate(CLIENTS)
)
_CLICKS = (
    *(Event(f"b-{client}", query_id=f"q-{client}", object_id="b", client_id=client) for client in CLIENTS[:3]),
    *(Event(f"c-{client}", query_id=f"q-{client}", object_id="c", client_id=client) for client in CLIENTS[:2]),
    Event("c-bob-again", query_id="q-bob", object_id="c", client_id="bob", at_s=70),
    Event("a-ann", query_id="q-ann", object_id="a", client_id="ann"),
)
_ORDERS = (
    Event("o-b-ann", "purchase", "q-ann", "b", "ann", 600, value=0.1),
    Event("o-c-ann", "purchase", "q-ann", "c", "ann", 700, value=0.2),
    Event("o-c-bob", "purchase", "", "c", "bob", 700, value=12.345678),
    Event("o-a-ann", "purchase", "", "a", "ann", 700),
    Event("o-d-joe", "purchase", "q-joe", "d", "joe", 700, value=99.0),  # never shown
)

# A second page of one search, the same query in another region and under another checkpoint, a search in control,
# one that was shadowed, one without client, and texts of other scripts.
_OTHERS = (
    Page("p-ann-2", "q-ann", "ann", 30, texts=_TEXTS, hits=(Hit("d", 11, rewrites={"r2": 8}), Hit("e", 12, 11))),
    Page("p-south", "q-south", "zoe", 5, region="south", texts={"r1": "pad thai"}, hits=(Hit("b", 1, 1, {"r1": 1}),)),
    Page("p-m2", "q-m2", "ann", 50, checkpoint_id="m2", texts={"r1": "pad thai"}, hits=(Hit("b", 3, None, {"r1": 2}),)),
    Page("p-control", "q-control", "max", 8, bucket="control", checkpoint_id="", hits=(Hit("a", 1, 1), Hit("b", 2, 2))),
    Page(
        "p-shadow",
        "q-shadow",
        "sue",
        9,
        bucket="shadow",
        texts={"r1": "pad thai"},
        hits=(Hit("a", 1, 1), Hit("b", 1, None, {"r1": 1}, shown=False)),
    ),
    Page("p-nobody", "q-nobody", "", 10, texts=_TEXTS, hits=(Hit("b", 2, None, {"r1": 1}),)),
    Page("p-no-query", "", "ann", 11, texts=_TEXTS, hits=(Hit("b", 2, None, {"r1": 1}),)),
    Page("p-pho", "q-pho", "Ünal", 12, "phở bò  ăn", "đông", texts={"é": "phở", "Z": "bún"},
         hits=(Hit("ж", 1, None, {"é": 1, "Z": 1}), Hit("日", 2, 2))),
)  # fmt: skip
_OTHER_EVENTS = (
    Event("d-ann", query_id="q-ann", object_id="d", client_id="ann", position=11),
    Event("a-max", query_id="q-control", object_id="a", client_id="max"),
    Event("b-nobody", query_id="q-nobody", object_id="b", client_id=""),
    Event("ж-Ünal", query_id="q-pho", object_id="ж", client_id="Ünal"),
    Event("lost", query_id="", object_id="b", client_id="ann"),
)

# What three clients clicked after queries that name someone.
PERSONAL_QUERIES = (
    "call 555 010 9999 pizza",
    "pizza (555) 010-9999",
    "4111 1111 1111 1111",
    "order 1234567",
    "٠١٢٣٤٥٦٧",
    "jane.doe@example.org pizza",
    "www.pizza-palace.example",
    "https://pizza",
    "pizza.com/menu",
    "menu of pizza.de",
)
HARMLESS_QUERIES = (
    "pizza 4 cheeses",
    "2 for 1 sushi under 15.50",
    "7up 330 ml x 24",
    "123456",
    "coke @ home",
    "st. john's fish & chips",
    "no.1 wok",
    "co\"la 'or' 1=1; -- \\d+ %s",
    "寿司 100 円",
)


def _thrice(number: int, query: str) -> tuple[tuple[Page, ...], tuple[Event, ...]]:
    ids = [f"t{number}-{client}" for client in CLIENTS[:3]]
    pages = tuple(
        Page(f"p-{each}", f"q-{each}", client, 1_000, query, hits=(Hit("x", 1, 1),))
        for each, client in zip(ids, CLIENTS, strict=False)
    )
    events = tuple(
        Event(f"e-{each}", query_id=f"q-{each}", object_id="x", client_id=client, at_s=1_060)
        for each, client in zip(ids, CLIENTS, strict=False)
    )
    return pages, events


_THRICE = [_thrice(number, query) for number, query in enumerate((*PERSONAL_QUERIES, *HARMLESS_QUERIES))]

TOWN = Signals(
    (*_PAD_TAI, *_OTHERS, *(page for pages, _ in _THRICE for page in pages)),
    (*_CLICKS, *_ORDERS, *_OTHER_EVENTS, *(event for _, events in _THRICE for event in events)),
)
