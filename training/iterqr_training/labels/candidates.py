"""What may be labelled: rewrites and items of queries that enough people know and that tell of nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from iterqr_proto.rewrite_format import clean_text

from iterqr_training.dataset.rows import Band
from iterqr_training.experiments.frequency_bands import frequency_bands
from iterqr_training.labels.exposure_tables import LabelTables, item_exposure, query_exposure, rewrite_exposure
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.records import MAX_QUERY_CHARS, Kind, max_chars
from iterqr_training.labels.settings import LabelSettings
from iterqr_training.signals.engines import Engine

_PPB = 1e9
TOO_FEW_CLIENTS = "fewer clients than min_clients"
_NO_TITLE = "item without a title"
TOO_LONG = "query or subject over the limit of its length"


@dataclass(frozen=True, slots=True)
class Query:
    """A query in one region. `searches` are of the region, `clients` of all regions."""

    text: str
    region: str
    band: Band
    searches: int
    clients: int
    observed_at: datetime


Queries = Mapping[tuple[str, str], Query]
"""By region and text."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What users did with the hits of a rewrite or with an item; examined hits are in expectation.

    Attributes:
        examined: Hits that users looked at; those of Level 2 count `level2_weight`.
        clicks: On them, weighed alike; an order counts `order_weight` more.
        covered: Clicks and orders on its hits, whatever the level.
        page_clicks: Clicks and orders on all hits of the pages that had it; 0 for items.
        page_examined: Hits of these pages that users looked at; of an item the same as `examined`.
        pages: That were fused with the rewrite; 0 for items.
        hits: Of the rewrite that were shown; 0 for items.
    """

    examined: float
    clicks: float
    covered: float = 0.0
    page_clicks: float = 0.0
    page_examined: float = 0.0
    pages: int = 0
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rewrite or an item of a query; `subject` is the rewrite's text or the item's title."""

    query: Query
    subject: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may be labelled, in order of query, region and subject. `left_out`: how many subjects, by reason."""

    rewrites: tuple[Candidate, ...]
    items: tuple[Candidate, ...]
    left_out: Mapping[str, int]


def read_queries(engine: Engine, tables: LabelTables) -> Queries:
    """Computes what was searched for, on the engine; no rule is applied yet.

    Raises:
        EngineError: A table could not be computed.
    """
    bands = frequency_bands(engine.collect(tables.query_outcomes.select("query_id", "normalized_query")))
    return _queries(engine.collect(query_exposure(tables)), {text: Band(band) for text, band in bands.items()})


def find_candidates(
    engine: Engine, tables: LabelTables, queries: Queries, titles: Mapping[str, str], settings: LabelSettings
) -> Candidates:
    """Computes exposure on the engine and applies the rules of privacy here.

    Args:
        engine: Where the tables are.
        tables: Raw tables and marts.
        queries: All of them.
        titles: Of items, by object id; without any, there are no items.
        settings: The rules.

    Raises:
        EngineError: A table could not be computed.
    """
    left_out: Counter[str] = Counter()
    rewrites = _rewrites(engine.collect(rewrite_exposure(tables)), queries, settings)
    items = _items(engine.collect(item_exposure(tables)), queries, titles, settings, left_out) if titles else []
    return Candidates(
        _allowed(rewrites, Kind.REWRITE, settings, left_out), _allowed(items, Kind.ITEM, settings, left_out), left_out
    )


def _queries(rows: pa.Table, bands: Mapping[str, Band]) -> Queries:
    return {
        (row["region"], row["normalized_query"]): Query(
            row["normalized_query"],
            row["region"],
            bands.get(row["normalized_query"], Band.TAIL),
            row["searches"],
            row["clients"],
            row["observed_at"],
        )
        for row in rows.to_pylist()
    }


def _rewrites(rows: pa.Table, queries: Queries, settings: LabelSettings) -> Sequence[Candidate]:
    return [
        Candidate(query, row["rewrite_text"], _evidence(row, settings))
        for row in rows.to_pylist()
        if (query := queries.get((row["region"], row["normalized_query"]))) is not None
    ]


def _evidence(row: Mapping[str, Any], settings: LabelSettings) -> Evidence:
    level2, order = settings.level2_weight, settings.order_weight
    done1, done2 = (row[f"clicks{level}"] + order * row[f"orders{level}"] for level in (1, 2))
    return Evidence(
        examined=(row["examined1_ppb"] + level2 * row["examined2_ppb"]) / _PPB,
        clicks=done1 + level2 * done2,
        covered=done1 + done2,
        page_clicks=row["page_clicks"] + order * row["page_orders"],
        page_examined=row["page_examined_ppb"] / _PPB,
        pages=row["pages"],
        hits=row["hits"],
    )


def _items(
    rows: pa.Table,
    queries: Queries,
    titles: Mapping[str, str],
    settings: LabelSettings,
    left_out: Counter[str],
) -> Sequence[Candidate]:
    """Items of the same title are one to a reader of the title, so they are added up."""
    summed: dict[tuple[str, str, str], tuple[float, float]] = {}
    for row in rows.to_pylist():
        title = titles.get(row["object_id"], "").strip()
        if not title:
            left_out[_NO_TITLE] += 1
            continue
        key = (row["region"], row["normalized_query"], title)
        examined, clicks = summed.get(key, (0.0, 0.0))
        done = row["clicks"] + settings.order_weight * row["orders"]
        summed[key] = (examined + row["examined_ppb"] / _PPB, clicks + done)
    return [
        Candidate(query, title, Evidence(examined, clicks, page_examined=examined))
        for (region, text, title), (examined, clicks) in sorted(summed.items())
        if (query := queries.get((region, text))) is not None
    ]


def _allowed(
    found: Sequence[Candidate], kind: Kind, settings: LabelSettings, left_out: Counter[str]
) -> tuple[Candidate, ...]:
    kept = []
    for each in sorted(found, key=lambda each: (each.query.text, each.query.region, each.subject)):
        if not each.query.text or each.query.clients < settings.min_clients:
            left_out[TOO_FEW_CLIENTS] += 1
        elif reason := personal_data(each.query.text) or personal_data(each.subject):
            left_out[reason] += 1
        elif not 0 < len(clean_text(each.subject)) <= max_chars(kind) or len(each.query.text) > MAX_QUERY_CHARS:
            left_out[TOO_LONG] += 1
        else:
            kept.append(each)
    return tuple(kept)
