"""Raw tables of any size without a node: drawn in chunks, so that memory does not grow with them.

Not a marketplace: there are no needs and no true answers. What counts for attribution is as in real ones: Zipf's
queries, most of them of the tail; several pages of a search; the same object at different positions; hits of the
original, of rewrites or of both; clicks by position, orders hours later, ids that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from iterqr_training.signals import tables
from iterqr_training.signals.tables import TableSpec

CHUNK = 100_000
_PAGE = 10
_REWRITES = 3
_REGIONS = 12
_HEAD = 200  # queries that are searched so often that rewrites have nothing to add
_START_US = 1_767_225_600_000_000  # 2026-01-01
_US_A_DAY = 86_400_000_000
_DAYS = 14

Ints = npt.NDArray[np.int64]
Column: TypeAlias = npt.NDArray[Any] | pa.Array
_OUTCOMES = np.array(["control", "original_suffices", "fused", "timeout"])


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """How much. The rest follows from it: an eighth as many clients, half as many different queries."""

    impressions: int
    seed: int

    @property
    def clients(self) -> int:
        """Distinct clients at most."""
        return max(10, self.impressions // 8)

    @property
    def queries(self) -> int:
        """Distinct queries at most."""
        return max(1_000, self.impressions // 2)


def generate(options: GeneratorOptions, folder: Path, tell: Callable[[int], None]) -> Mapping[str, int]:
    """Writes <table>/part-N.parquet into a folder that is not there yet.

    Args:
        options: How much.
        folder: Of the tables.
        tell: Called with the impressions written so far.

    Returns:
        The number of rows of each table; the same for the same options.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    rows: dict[str, int] = {}
    for number, first in enumerate(range(0, options.impressions, CHUNK)):
        count = min(CHUNK, options.impressions - first)
        for spec, table in _chunk(options, number, first, count).items():
            file = partial / spec.name / f"part-{number:05d}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, file, compression="zstd")
            rows[spec.name] = rows.get(spec.name, 0) + table.num_rows
        tell(first + count)
    partial.rename(folder)
    return rows


@dataclass(frozen=True, slots=True)
class _Pages:
    """One value for each impression."""

    index: Ints
    search: Ints
    first_position: Ints
    time_us: Ints
    query: Ints
    client: Ints
    outcome: Ints  # of `_OUTCOMES`
    rewrites: Ints  # 0 unless fused


@dataclass(frozen=True, slots=True)
class _Hits:
    """One value for each hit. `page`: its impression in the chunk; `slot`: the object's number in the query."""

    page: Ints
    position: Ints
    slot: Ints
    object_: Ints


def _chunk(options: GeneratorOptions, number: int, first: int, count: int) -> dict[TableSpec, pa.Table]:
    random = np.random.default_rng([options.seed, options.impressions, number])
    pages = _pages(options, random, first, count)
    hits = _hits(options, random, pages)
    return {
        tables.IMPRESSIONS: _impression_table(pages),
        tables.REWRITES: _rewrite_table(pages),
        tables.HITS: _hit_table(pages, hits),
        tables.HIT_CHANNELS: _channel_table(pages, hits),
        tables.EVENTS: _event_table(random, pages, hits),
    }


def _pages(options: GeneratorOptions, random: np.random.Generator, first: int, count: int) -> _Pages:
    index = np.arange(first, first + count, dtype=np.int64)
    again = random.random(count) < 0.1  # the next page of the search before it
    again[0] = False
    place = np.arange(count)
    leader = np.maximum.accumulate(np.where(again, 0, place))
    query = (options.queries ** random.random(count)).astype(np.int64)[leader]  # Zipf, exponent 1
    client = (options.clients * random.random(count) ** 2).astype(np.int64)[leader]
    time_us = _START_US + (index * (_DAYS * _US_A_DAY // options.impressions)).astype(np.int64)
    in_time = (random.random(count) < 0.85)[leader]
    outcome = np.where(client % 10 == 0, 0, np.where(query < _HEAD, 1, np.where(in_time, 2, 3)))
    rewrites = np.where(outcome == 2, 1 + query % _REWRITES, 0)
    return _Pages(index, first + leader, (place - leader) * _PAGE, time_us, query, client, outcome, rewrites)


def _hits(options: GeneratorOptions, random: np.random.Generator, pages: _Pages) -> _Hits:
    count = len(pages.index)
    # Objects change places a little from search to search, as scores and catalogs do.
    order = np.argsort(np.arange(_PAGE) + random.random((count, _PAGE)) * 2.5, axis=1)
    slot = (order + pages.first_position[:, None]).astype(np.int64)
    position = pages.first_position[:, None] + np.arange(1, _PAGE + 1)
    shown = np.arange(_PAGE) < (3 + pages.query % (_PAGE - 2))[:, None]  # rare queries have few hits
    object_ = (pages.query[:, None] * 7_919 + slot * 104_729) % max(5_000, options.impressions // 10)
    page = np.broadcast_to(np.arange(count)[:, None], (count, _PAGE))
    return _Hits(*(np.ascontiguousarray(each[shown]) for each in (page, position, slot, object_)))


def _impression_table(pages: _Pages) -> pa.Table:
    control = pages.outcome == 0
    fused = pages.outcome == 2
    nothing = np.zeros(len(control), dtype=bool)
    return _table(
        tables.IMPRESSIONS,
        impression_id=_ids("i", pages.index),
        query_id=_ids("q", pages.search),
        timestamp=pages.time_us,
        user_query=_ids("query ", pages.query),
        normalized_query=_ids("query ", pages.query),
        client_id=_ids("client", pages.client),
        application=_same("app", len(control)),
        region=_ids("region", pages.client % _REGIONS),
        experiment=_same("rewriting", len(control)),
        bucket=np.where(control, "control", "treatment"),
        outcome=_OUTCOMES[pages.outcome],
        mode=_same("fuse", len(control)),
        strategy=_same("rrf", len(control)),
        window_size=np.full(len(control), 100),
        checkpoint_id=np.where(fused, "checkpoint-1", ""),
        **{name: pa.array(nothing, mask=~nothing) for name in ("rewrite_ms", "total_ms", "added_ms")},
    )


def _rewrite_table(pages: _Pages) -> pa.Table:
    page = np.repeat(np.arange(len(pages.index)), pages.rewrites)
    ordinal = _counted(pages.rewrites)
    return _table(
        tables.REWRITES,
        impression_id=_ids("i", pages.index[page]),
        ordinal=ordinal + 1,
        rewrite_id=_rewrite_ids(pages.query[page], ordinal),
        text=_ids("rewrite of query ", pages.query[page]),
        confidence=0.5 + 0.1 * ordinal,
        source=_same("generated", len(page)),
    )


def _hit_table(pages: _Pages, hits: _Hits) -> pa.Table:
    return _table(
        tables.HITS,
        impression_id=_ids("i", pages.index[hits.page]),
        shown=np.ones(len(hits.page), dtype=bool),
        position=hits.position,
        object_id=_ids("d", hits.object_),
        index=_same("dishes", len(hits.page)),
    )


def _channel_table(pages: _Pages, hits: _Hits) -> pa.Table:
    query, rewrites = pages.query[hits.page], pages.rewrites[hits.page]
    members = [
        (rewrites > each) & ((3 * hits.slot + 5 * each + query) % 7 < 2 + each) for each in range(_REWRITES)
    ]  # which rewrite finds which object is the same in all searches
    original = (rewrites == 0) | ((hits.slot + query) % 10 < 6) | ~np.logical_or.reduce(members)
    parts = [_channel_rows(pages, hits, original, None)]
    parts += [_channel_rows(pages, hits, member, each) for each, member in enumerate(members)]
    return pa.concat_tables(parts)


def _channel_rows(pages: _Pages, hits: _Hits, found: npt.NDArray[np.bool_], rewrite: int | None) -> pa.Table:
    page, slot = hits.page[found], hits.slot[found]
    query = pages.query[page]
    count = len(page)
    rank = 1 + slot if rewrite is None else 1 + (5 * slot + 3 * rewrite + query) % 100
    return _table(
        tables.HIT_CHANNELS,
        impression_id=_ids("i", pages.index[page]),
        shown=np.ones(count, dtype=bool),
        position=hits.position[found],
        channel=_same("original" if rewrite is None else "rewrite", count),
        rewrite_id=_same("", count) if rewrite is None else _rewrite_ids(query, np.full(count, rewrite)),
        rank=rank,
        score=10.0 / rank,
        contribution=1.0 / (60 + rank),
        team=_same("", count),
    )


def _event_table(random: np.random.Generator, pages: _Pages, hits: _Hits) -> pa.Table:
    attraction = 0.05 + 0.3 * ((hits.object_ * 31 % 97) / 97)
    clicked = random.random(len(hits.page)) < attraction / hits.position
    page, position, object_ = hits.page[clicked], hits.position[clicked], hits.object_[clicked]
    ids = pages.index[page] * 1_000 + position
    clicks = _Events(
        _ids("c", ids),
        "click",
        pages.time_us[page] + random.integers(1_000_000, 120_000_000, len(page)),
        pages.search[page],
        pages.client[page],
        object_,
        position,
        np.full(len(page), np.nan),
    )
    bought = random.random(len(page)) < 0.15
    count = int(bought.sum())
    orders = _Events(
        _ids("o", ids[bought]),
        "purchase",
        clicks.time_us[bought] + random.integers(0, 30 * 3_600_000_000, count),
        clicks.search[bought],
        clicks.client[bought],
        object_[bought],
        position[bought],
        (500 + random.integers(0, 4_000, count)) / 100,
    )
    return pa.concat_tables(_events(random, each) for each in (clicks, orders))


@dataclass(frozen=True, slots=True)
class _Events:
    """Events of one action, before ids get lost."""

    ids: pa.Array
    action: str
    time_us: Ints
    search: Ints
    client: Ints
    object_: Ints
    position: Ints
    value: npt.NDArray[np.float64]


def _events(random: np.random.Generator, events: _Events) -> pa.Table:
    count = len(events.ids)
    lost_query, lost_client, untold = (random.random(count) < share for share in (0.02, 0.01, 0.3))
    return _table(
        tables.EVENTS,
        event_id=events.ids,
        action=_same(events.action, count),
        timestamp=events.time_us,
        query_id=pc.if_else(pa.array(lost_query), "", _ids("q", events.search)),
        client_id=pc.if_else(pa.array(lost_client), "", _ids("client", events.client)),
        session_id=_same("", count),
        application=_same("app", count),
        object_id=_ids("d", events.object_),
        position=pa.array(events.position, mask=untold),
        value=pa.array(events.value, mask=np.isnan(events.value)),
    )


def _table(spec: TableSpec, **columns: Column) -> pa.Table:
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in spec.schema]
    return pa.Table.from_arrays(arrays, schema=spec.schema)


def _ids(prefix: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _rewrite_ids(query: Ints, ordinal: Ints) -> pa.Array:
    return _ids("r", query * 10 + ordinal)


def _same(text: str, count: int) -> pa.Array:
    return pa.repeat(text, count)


def _counted(lengths: Ints) -> Ints:
    """0, 1, ... of each of the lengths in turn."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
