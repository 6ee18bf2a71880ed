"""Documents that come again are known: by their date, and by version also under another date."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from iterqr_training.signals.collect.known_ids import Arrival, KnownIds
from iterqr_training.signals.store.partitions import DatedRows
from iterqr_training.signals.store.writer import SignalStore
from iterqr_training.signals.tables import EVENTS

MARCH, APRIL = "2026-03-01", "2026-04-01"


def events(date: str, *ids: str) -> DatedRows:
    empty = {field.name: None for field in EVENTS.schema}
    return DatedRows("events", date, pa.Table.from_pylist([{**empty, "event_id": each} for each in ids], EVENTS.schema))


def came(*ids: str, date: str = MARCH, rewritten: bool = False) -> list[Arrival]:
    return [Arrival(each, date, rewritten) for each in ids]


def test_ids_of_the_same_date_are_known(tmp_path: Path) -> None:
    known = KnownIds(EVENTS)
    with SignalStore(tmp_path) as store:
        assert known.of(came("a", "b"), store.snapshot) == set()
        store.commit([events(MARCH, "a", "b")], [])
        known.add(came("a", "b"))
        assert known.of(came("a", "c", "b", "a"), store.snapshot) == {"a", "b"}
        assert KnownIds(EVENTS).of(came("a", "c"), store.snapshot) == {"a"}, "a new process reads them"


def test_under_another_date_only_what_was_written_again_is_known(tmp_path: Path) -> None:
    known = KnownIds(EVENTS)
    with SignalStore(tmp_path) as store:
        store.commit([events(MARCH, "a", "b")], [])
        assert known.of(came("a", date=APRIL), store.snapshot) == set()
        assert known.of(came("a", "c", date=APRIL, rewritten=True), store.snapshot) == {"a"}


def test_what_passes_the_filter_is_looked_up(tmp_path: Path) -> None:
    """Ids that are added but not in the store stand for ids whose fingerprints collide."""
    known = KnownIds(EVENTS)
    with SignalStore(tmp_path) as store:
        store.commit([events(MARCH, "a")], [])
        known.of(came("a"), store.snapshot)
        known.add(came("collides"))
        assert known.of(came("a", "collides"), store.snapshot) == {"a"}


def test_compacted_files_are_looked_up_too(tmp_path: Path) -> None:
    with SignalStore(tmp_path) as store:
        for number in range(4):
            store.commit([events(MARCH, f"e{number}")], [])
        store.compact(min_files=2)
        assert len(store.state.files) == 1
        assert KnownIds(EVENTS).of(came("e1", "e9"), store.snapshot) == {"e1"}
