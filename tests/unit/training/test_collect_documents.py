"""Documents become rows; what is malformed is told by reason and field, and never ends the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_training.signals import tables
from iterqr_training.signals.collect import rows
from iterqr_training.signals.collect.batch import Batch, Source, dated_rejects, dated_rows, first_of_each
from iterqr_training.signals.collect.client_ids import ClientIdHasher
from iterqr_training.signals.collect.fields import MalformedDocumentError
from iterqr_training.signals.collect.impression_documents import impression_rows
from iterqr_training.signals.collect.node import Document, Page, ShardStatus
from iterqr_training.signals.collect.times import date_of, time_us
from iterqr_training.signals.collect.ubi_documents import event_row, query_row
from iterqr_training.signals.store.state import ShardId, Watermark

KEY = "0123456789abcdef"
HASHER = ClientIdHasher(KEY)
NO_KEY = ClientIdHasher(None)
STATUS = ShardStatus(ShardId("uuid-1", 2), "ubi_events", 100)
NOW_US = 1_772_366_400_000_000  # 2026-03-01T12:00:00Z
IMPRESSION: Mapping[str, Any] = {
    "@timestamp": "2026-03-01T12:00:00.123456789Z",
    "query_id": "q-1",
    "user_query": " Pad  TAI ",
    "client_id": "ab" * 32,
    "application": "shop",
    "region": "north",
    "experiment": {"name": "exp", "bucket": "treatment"},
    "outcome": "fused",
    "mode": "fuse",
    "strategy": "rrf",
    "window_size": 50,
    "checkpoint_id": "base",
    "rewrites": [
        {"rewrite_id": "r-1", "text": "pad thai", "score": 0.75, "source": "model"},
        {"rewrite_id": "r-2", "score": 0.5, "source": "model"},
    ],
    "hits": [
        {
            "object_id": "7",
            "index": "dishes",
            "position": 1,
            "channels": [
                {"name": "original", "rank": 2, "score": 1.5, "contribution": 0.016, "team": "original"},
                {"name": "rewrite", "rewrite_id": "r-1", "rank": 1, "score": 4, "contribution": 0.008},
            ],
        },
        {"object_id": "8", "index": "dishes", "position": 2, "channels": []},
    ],
    "shadow_hits": [{"object_id": "9", "index": "dishes", "position": 1, "channels": [{"name": "matched"}]}],
    "timings": {"rewrite_ms": 12.5, "windows_ms": 3, "total_ms": 20},
}
EVENT: Mapping[str, Any] = {
    "action_name": "purchase",
    "timestamp": "2026-03-01T12:00:00Z",
    "query_id": "q-1",
    "client_id": "clïent",
    "session_id": "s-1",
    "application": "shop",
    "event_attributes": {
        "object": {"object_id": "7", "object_id_field": "_id", "object_detail": {"price": 12.5}},
        "position": {"ordinal": 3},
    },
}


def changed(document: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with another value at a path; without it where the value is None."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    part: Any = copy
    *parents, last = [int(name) if name.isdecimal() else name for name in path.split(".")]
    for name in parents:
        part = part[name]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return copy


@pytest.mark.parametrize(
    ("row", "spec"),
    [
        (rows.ImpressionRow, tables.IMPRESSIONS),
        (rows.RewriteRow, tables.REWRITES),
        (rows.HitRow, tables.HITS),
        (rows.HitChannelRow, tables.HIT_CHANNELS),
        (rows.QueryRow, tables.QUERIES),
        (rows.EventRow, tables.EVENTS),
        (rows.RejectRow, tables.REJECTS),
    ],
)
def test_rows_have_the_columns_of_their_tables(row: type, spec: tables.TableSpec) -> None:
    assert [field.name for field in dataclass_fields(row)] == spec.schema.names


def test_an_impression_becomes_rows_of_four_tables() -> None:
    read = impression_rows("i-1", IMPRESSION)
    assert read.impression == rows.ImpressionRow(
        impression_id="i-1",
        query_id="q-1",
        timestamp=NOW_US + 123_456,
        user_query=" Pad  TAI ",
        normalized_query="pad tai",
        client_id="ab" * 32,
        application="shop",
        region="north",
        experiment="exp",
        bucket="treatment",
        outcome="fused",
        mode="fuse",
        strategy="rrf",
        window_size=50,
        checkpoint_id="base",
        rewrite_ms=12.5,
        total_ms=20.0,
        added_ms=None,
    )
    assert read.rewrites == (
        rows.RewriteRow("i-1", 1, "r-1", "pad thai", 0.75, "model"),
        rows.RewriteRow("i-1", 2, "r-2", "", 0.5, "model"),
    )
    assert read.hits == (
        rows.HitRow("i-1", True, 1, "7", "dishes"),
        rows.HitRow("i-1", True, 2, "8", "dishes"),
        rows.HitRow("i-1", False, 1, "9", "dishes"),
    )
    assert read.hit_channels == (
        rows.HitChannelRow("i-1", True, 1, "original", "", 2, 1.5, 0.016, "original"),
        rows.HitChannelRow("i-1", True, 1, "rewrite", "r-1", 1, 4.0, 0.008, ""),
        rows.HitChannelRow("i-1", False, 1, "matched", "", None, None, None, ""),
    )


def test_a_bare_impression_has_empty_texts() -> None:
    bare = {"@timestamp": "2026-03-01", "query_id": "q", "outcome": "skipped_sort", "hits": []}
    read = impression_rows("i-1", bare)
    assert (read.impression.user_query, read.impression.client_id, read.impression.bucket) == ("", "", "")
    assert read.impression.window_size is None
    assert (read.rewrites, read.hits, read.hit_channels) == ((), (), ())


@pytest.mark.parametrize(
    ("path", "value", "reason", "field"),
    [
        ("query_id", None, "missing", "query_id"),
        ("query_id", "", "missing", "query_id"),
        ("@timestamp", None, "missing", "@timestamp"),
        ("@timestamp", "yesterday", "wrong_type", "@timestamp"),
        ("@timestamp", "9999-01-01", "out_of_range", "@timestamp"),
        ("@timestamp", True, "wrong_type", "@timestamp"),
        ("outcome", None, "missing", "outcome"),
        ("hits", None, "missing", "hits"),
        ("hits", {"object_id": "7"}, "wrong_type", "hits"),
        ("hits", ["7"], "wrong_type", "hits"),
        ("hits.1.position", None, "missing", "hits.position"),
        ("hits.1.position", 0, "out_of_range", "hits.position"),
        ("hits.1.position", 2**31, "out_of_range", "hits.position"),
        ("hits.1.position", 10**400, "out_of_range", "hits.position"),
        ("hits.1.position", 1, "repeated", "hits.position"),
        ("hits.1.position", 1.5, "wrong_type", "hits.position"),
        ("hits.0.object_id", None, "missing", "hits.object_id"),
        ("hits.0.channels.0.rank", "first", "wrong_type", "hits.channels.rank"),
        ("hits.0.channels.1.score", float("nan"), "out_of_range", "hits.channels.score"),
        ("hits.0.channels.1", {"name": "original"}, "repeated", "hits.channels"),
        ("shadow_hits.0.channels.0.name", None, "missing", "shadow_hits.channels.name"),
        ("rewrites.1.rewrite_id", "r-1", "repeated", "rewrites.rewrite_id"),
        ("rewrites.0.text", ["pad thai"], "wrong_type", "rewrites.text"),
        ("experiment", "exp", "wrong_type", "experiment.name"),
        ("timings.rewrite_ms", "soon", "wrong_type", "timings.rewrite_ms"),
    ],
)
def test_a_malformed_impression_is_told_by_reason_and_field(path: str, value: object, reason: str, field: str) -> None:
    with pytest.raises(MalformedDocumentError) as refused:
        impression_rows("i-1", changed(IMPRESSION, path, value))
    assert (refused.value.reason, refused.value.field) == (reason, field)


def test_an_event_becomes_a_row_with_its_client_hashed() -> None:
    assert event_row("e-1", EVENT, HASHER) == rows.EventRow(
        event_id="e-1",
        action="purchase",
        timestamp=NOW_US,
        query_id="q-1",
        client_id="68281a268c9144bfe7bda18fb638cc4709c0d762583c8c22e6a6ab39fa737c6f",
        session_id="s-1",
        application="shop",
        object_id="7",
        position=3,
        value=12.5,
    )


def test_what_an_event_need_not_tell() -> None:
    row = event_row("e-1", {"action_name": "login", "timestamp": 1_772_366_400_000}, HASHER)
    assert (row.query_id, row.client_id, row.object_id, row.position, row.value) == ("", "", "", None, None)
    assert row.timestamp == NOW_US


@pytest.mark.parametrize(
    ("path", "value", "position", "price", "object_id"),
    [
        ("event_attributes.object.object_id", 7, 3, 12.5, "7"),
        ("event_attributes.position.ordinal", "4", 4, 12.5, "7"),
        ("event_attributes.position.ordinal", 4.0, 4, 12.5, "7"),
        ("event_attributes.object.object_detail.price", "9.75", 3, 9.75, "7"),
        ("event_attributes.object.object_detail.price", "12 EUR", 3, None, "7"),
        ("event_attributes.object.object_detail", "dear", 3, None, "7"),
    ],
)
def test_values_are_taken_as_opensearch_takes_them(
    path: str, value: object, position: int, price: float | None, object_id: str
) -> None:
    row = event_row("e-1", changed(EVENT, path, value), HASHER)
    assert (row.position, row.value, row.object_id) == (position, price, object_id)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("action_name", None, "missing"),
        ("action_name", {"name": "click"}, "wrong_type"),
        ("timestamp", None, "missing"),
        ("timestamp", "1999-12-31T23:59:59Z", "out_of_range"),
        ("query_id", ["a", "b"], "wrong_type"),
        ("client_id", True, "wrong_type"),
        ("event_attributes.position.ordinal", "third", "wrong_type"),
        ("event_attributes.position.ordinal", -1, "out_of_range"),
    ],
)
def test_a_malformed_event_is_told_by_reason_and_field(path: str, value: object, reason: str) -> None:
    with pytest.raises(MalformedDocumentError) as refused:
        event_row("e-1", changed(EVENT, path, value), HASHER)
    assert (refused.value.reason, refused.value.field) == (reason, path)


def test_a_query_that_our_plugin_wrote_has_its_client_hashed_already() -> None:
    hashed = HASHER.hash("c-1")
    document = {"query_id": "q-1", "timestamp": "2026-03-01T12:00:00Z", "client_id": hashed}
    ours = {**document, "query_attributes": {"iterqr": {"outcome": "fused"}}}
    assert query_row("d-1", ours, HASHER).client_id == hashed
    assert query_row("d-1", ours, NO_KEY).client_id == hashed
    assert query_row("d-1", document, HASHER).client_id == HASHER.hash(hashed)
    assert query_row("d-1", {**ours, "client_id": "c-1"}, HASHER).client_id == hashed
    assert query_row("d-1", {**document, "client_id": "c-1"}, NO_KEY).client_id == ""


def test_half_a_surrogate_pair_is_replaced() -> None:
    event = json.loads('{"action_name": "click", "timestamp": "2026-03-01", "query_id": "q\\ud83c"}')
    assert event_row("e-1", event, HASHER).query_id == "q\ufffd"


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("2018-11-13T20:20:39.456-08:00", "2018-11-14T04:20:39.456+00:00"),
        ("2018-11-13T20:20:39,456789123+0530", "2018-11-13T14:50:39.456789+00:00"),
        ("2018-11-13T20:20:39+01", "2018-11-13T19:20:39+00:00"),
        ("2018-11-13T20:20Z", "2018-11-13T20:20:00+00:00"),
        ("2018-11-13T20", "2018-11-13T20:00:00+00:00"),
        ("2018-11-13", "2018-11-13T00:00:00+00:00"),
        ("2018-11", "2018-11-01T00:00:00+00:00"),
        ("2018", "2018-01-01T00:00:00+00:00"),
        ("1542140439456", "2018-11-13T20:20:39.456+00:00"),
        (1542140439456, "2018-11-13T20:20:39.456+00:00"),
        ("1542140439456.789", "2018-11-13T20:20:39.456789+00:00"),
        ("-1", "1969-12-31T23:59:59.999+00:00"),
    ],
)
def test_times_are_read_as_ubi_allows_them(written: str | int, iso: str) -> None:
    read = time_us(written)
    assert read is not None
    assert datetime.fromisoformat(iso) == datetime.fromtimestamp(read // 1_000_000, UTC).replace(
        microsecond=read % 1_000_000
    )


@pytest.mark.parametrize(
    "written",
    ["", "now", "2018-02-30", "2018-13-01", "2018-11-13 20:20:39", "20:20", "1e12", "2018-11-13T25:00", "１２３４５",
     "2018-11-13T20:20:39+99:00", "0000-01-01", "12345678901234567890"],
)  # fmt: skip
def test_what_is_no_time(written: str) -> None:
    assert time_us(written) is None


def test_dates_are_utc() -> None:
    assert date_of(NOW_US) == "2026-03-01"
    assert date_of(NOW_US + 12 * 3_600_000_000 - 1) == "2026-03-01"
    assert date_of(NOW_US + 12 * 3_600_000_000) == "2026-03-02"


def document(document_id: str, source: Mapping[str, Any] | None, seq_no: int = 0, version: int = 1) -> Document:
    return Document(document_id, seq_no, version, source)


def batch_of(source: Source, *documents: Document, hasher: ClientIdHasher = HASHER) -> Batch:
    batch = Batch(hasher)
    batch.add(source, STATUS, Page(documents, seen=50), NOW_US)
    return batch


def test_a_batch_keeps_what_can_be_read_and_tells_the_rest() -> None:
    broken = changed(EVENT, "timestamp", "secret")
    batch = batch_of(Source.EVENTS, document("e-1", EVENT), document("e-2", broken, 8), document("e-3", None, 9))
    (taken,) = batch.read(Source.EVENTS)
    assert taken.arrival.document_id == "e-1"
    assert batch.documents == 3
    assert batch.watermarks == [Watermark(STATUS.shard, "ubi_events", 50)]
    (dated,) = dated_rejects(batch.rejects)
    assert (dated.table, dated.date) == ("rejects", "2026-03-01")
    told = dated.rows.select(["source", "index_uuid", "shard", "seq_no", "document_id", "reason", "field"]).to_pylist()
    assert [tuple(row.values()) for row in told] == [
        ("ubi_events", "uuid-1", 2, 8, "e-2", "wrong_type", "timestamp"),
        ("ubi_events", "uuid-1", 2, 9, "e-3", "no_source", "_source"),
    ]
    assert "secret" not in str(dated.rows.to_pydict())


def test_the_parts_of_an_impression_have_its_date() -> None:
    late = changed(IMPRESSION, "@timestamp", "2026-02-28T23:59:59.999Z")
    batch = batch_of(Source.IMPRESSIONS, document("i-1", IMPRESSION), document("i-2", late))
    found = [(dated.date, dated.table, dated.rows.num_rows) for dated in dated_rows(batch.read(Source.IMPRESSIONS))]
    counts = [("impressions", 1), ("rewrites", 2), ("hits", 3), ("hit_channels", 3)]
    assert found == [(date, *count) for date in ("2026-02-28", "2026-03-01") for count in counts]


def test_of_equal_ids_the_first_is_taken_and_known_ones_are_not() -> None:
    batch = batch_of(
        Source.EVENTS,
        document("a", EVENT),
        document("b", EVENT),
        document("a", changed(EVENT, "action_name", "click"), version=2),
        document("c", EVENT),
    )
    fresh = first_of_each(batch.read(Source.EVENTS), {"b"})
    assert [(each.arrival.document_id, each.rows.action) for each in fresh if isinstance(each.rows, rows.EventRow)] == [
        ("a", "purchase"),
        ("c", "purchase"),
    ]


def test_client_ids_that_are_lost_for_want_of_a_key_are_told() -> None:
    nameless = changed(EVENT, "client_id", None)
    batch = batch_of(Source.EVENTS, document("a", EVENT), document("b", nameless), hasher=NO_KEY)
    assert [each.client_id_lost for each in batch.read(Source.EVENTS)] == [True, False]
    batch = batch_of(Source.EVENTS, document("a", EVENT))
    assert [each.client_id_lost for each in batch.read(Source.EVENTS)] == [False]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from([*IMPRESSION, "hits.0.position", "hits.0.channels", "rewrites.0.score", "timings.total_ms"]), JSON
)
def test_whatever_an_impression_has_it_is_taken_or_told(path: str, value: object) -> None:
    batch = batch_of(Source.IMPRESSIONS, document("i-1", {**changed(IMPRESSION, path, value)}))
    taken = list(dated_rows(batch.read(Source.IMPRESSIONS)))
    assert bool(taken) != bool(batch.rejects)
    assert all(isinstance(dated.rows, pa.Table) for dated in taken)


@given(st.sampled_from([*EVENT, "event_attributes.object", "event_attributes.position.ordinal"]), JSON)
def test_whatever_an_event_has_it_is_taken_or_told(path: str, value: object) -> None:
    batch = batch_of(Source.EVENTS, document("e-1", changed(EVENT, path, value)))
    assert bool(list(dated_rows(batch.read(Source.EVENTS)))) != bool(batch.rejects)
