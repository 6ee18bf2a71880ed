"""Whatever was logged: nothing is counted twice or lost, and shares are whole."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iterqr_training.signals.engines import Engine, open_engine
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, QUERY_OUTCOMES, REWRITE_OUTCOMES
from support.signals.arithmetic import check_arithmetic
from support.signals.raw_rows import Event, Hit, Page, Signals
from support.signals.running import run_attribution

ALL = 10**9
_queries = st.sampled_from(["", "q1", "q2"])
_clients = st.sampled_from(["", "ann", "bob"])
_objects = st.sampled_from(["", "a", "b"])
_ranks = st.dictionaries(st.sampled_from(["r1", "r2", "r3", "r4"]), st.integers(1, 1_000), max_size=4)
_hits = st.builds(
    Hit,
    object_id=_objects,
    position=st.just(0),
    original=st.none() | st.integers(1, 100),
    rewrites=_ranks,
    tags=st.lists(st.sampled_from([("matched", "r1", None), ("original/vector", "", 1)]), unique=True, max_size=2),
    shown=st.booleans(),
)
_pages = st.builds(
    lambda query_id, client_id, at_s, hits: (query_id, client_id, at_s, hits),
    _queries,
    _clients,
    st.integers(0, 3),
    st.lists(_hits, max_size=4),
)
_events = st.builds(
    Event,
    event_id=st.just(""),
    action=st.sampled_from(["click", "purchase", "scroll"]),
    query_id=st.sampled_from(["", "q1", "q2", "lost"]),
    object_id=_objects,
    client_id=_clients,
    at_s=st.integers(0, 4).map(lambda hours: hours * 40_000.0),
    position=st.none() | st.integers(1, 3),
    value=st.none() | st.floats(0, 1_000),
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("duckdb://?threads=1") as opened:
        yield opened


def test_integers_are_exact(engine: Engine, tmp_path: Path) -> None:
    check_arithmetic(engine, tmp_path)


_worlds = st.lists(st.tuples(st.lists(_pages, max_size=4), st.lists(_events, max_size=6)), min_size=20, max_size=20)
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


# An attribution takes its time whatever it attributes, so each is of many small worlds.
@settings(max_examples=4, deadline=None, suppress_health_check=_SLOW)
@given(_worlds)
def test_everything_is_counted_once(
    engine: Engine, worlds: list[tuple[list[tuple[str, str, int, list[Hit]]], list[Event]]]
) -> None:
    each = [
        Signals(
            [_page(number, *page) for number, page in enumerate(pages)],
            [_numbered(number, event) for number, event in enumerate(events)],
        ).with_prefix(f"{world}/")
        for world, (pages, events) in enumerate(worlds)
    ]
    signals = Signals(
        [page for world in each for page in world.pages], [event for world in each for event in world.events]
    )
    with tempfile.TemporaryDirectory() as folder:
        marts = run_attribution(engine, signals, Path(folder))
    attributed = marts.rows(ATTRIBUTED_EVENTS)
    shares: defaultdict[str, int] = defaultdict(int)
    for row in attributed:
        shares[row["event_id"]] += row["share_ppb"]
        assert (row["share_ppb"] > 0) == (row["status"] == "credited") == (row["level"] is not None)
        assert (row["rewrite_id"] == "") == (row["level"] in (None, 0))
    keys = Counter((row["event_id"], row["rewrite_id"]) for row in attributed)
    assert set(keys.values()) <= {1}
    assert set(shares) == {event.event_id for event in signals.events if event.action != "scroll"}
    assert set(shares.values()) <= {0, ALL}
    credited = {row["event_id"]: row for row in attributed if row["status"] == "credited"}
    clicks = [row for row in credited.values() if row["kind"] == "click"]
    orders = [row for row in credited.values() if row["kind"] == "order"]
    searches = marts.rows(QUERY_OUTCOMES)
    assert sum(row["clicks"] for row in searches) == len(clicks)
    assert sum(row["orders"] for row in searches) == len(orders)
    assert sum(row["pages"] for row in searches) == sum(page.query_id != "" for page in signals.pages)
    for kind, level in (("click", 1), ("click", 2), ("order", 1), ("order", 2)):
        earned = sum(row[f"level{level}_{kind}s_ppb"] for row in marts.rows(REWRITE_OUTCOMES))
        assert earned == ALL * sum(row["level"] == level and row["kind"] == kind for row in credited.values())


def _page(number: int, query_id: str, client_id: str, at_s: int, hits: list[Hit]) -> Page:
    placed = [
        Hit(hit.object_id, position, hit.original, hit.rewrites, hit.tags, hit.shown)
        for position, hit in enumerate(hits, start=1)
    ]
    return Page(f"p{number}", query_id, client_id, at_s, texts={"r1": "pad thai"}, hits=placed)


def _numbered(number: int, event: Event) -> Event:
    return Event(
        f"e{number}",
        event.action,
        event.query_id,
        event.object_id,
        event.client_id,
        event.at_s,
        event.position,
        event.value,
    )
