"""The raw tables without what learning leaves out, kept in files for as long as they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import ibis.expr.types as ir

from iterqr_training.signals.attribution.run import RawTables
from iterqr_training.signals.engines import Engine
from iterqr_training.signals.filters import (
    FilterSettings,
    MarkedSignals,
    bot_days,
    counts,
    kept,
    mark_bots,
    mark_duplicates,
)
from iterqr_training.signals.tables import TableSpec

_ORDER = ("kept", "planted", "duplicates", "bots")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many rows of a table (or days of clients) were left out for a reason; `filter` is `kept` of the rest."""

    filter: str
    reason: str
    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class CleanTables:
    """What attribution reads, and what it does not."""

    raw: RawTables
    counts: tuple[LeftOut, ...]


def clean_tables(
    engine: Engine, raw: RawTables, folder: Path, settings: FilterSettings, tell: Callable[[str], None]
) -> CleanTables:
    """Marks impressions and events once and returns those that are kept, beside all else.

    Rows of hits, channels and rewrites stay, also of impressions that are left out: a join leaves them out.

    Args:
        engine: Where the tables are.
        raw: As collected.
        folder: For the marked tables; not there yet, to be deleted by the caller when the result is not used any more.
        settings: What is left out.
        tell: Called with the name of each step before it begins.

    Raises:
        EngineError: A table could not be computed.
    """
    tell("duplicates and bots")
    stored = _all_stored(engine, mark_duplicates(raw.impressions, raw.events, settings), folder / "duplicates")
    if not settings.keep_bots:
        bots = _stored(engine, bot_days(stored, raw.hits, settings), folder / "bot_days")
        stored = _all_stored(engine, mark_bots(stored, bots), folder / "bots")
    found = [LeftOut(**row) for row in engine.collect(counts(stored)).to_pylist()]
    return CleanTables(
        replace(raw, impressions=kept(stored.impressions), events=kept(stored.events)),
        tuple(sorted(found, key=lambda each: (_ORDER.index(each.filter), each.reason, each.table))),
    )


def of_applications(raw: RawTables, applications: tuple[str, ...]) -> RawTables:
    """The tables with the searches and events of some applications only; of all, if none is named."""
    if not applications:
        return raw
    return replace(
        raw,
        impressions=raw.impressions.filter(raw.impressions.application.isin(applications)),
        events=raw.events.filter(raw.events.application.isin(applications)),
    )


def _all_stored(engine: Engine, marked: MarkedSignals, folder: Path) -> MarkedSignals:
    return MarkedSignals(
        _stored(engine, marked.impressions, folder / "impressions"), _stored(engine, marked.events, folder / "events")
    )


def _stored(engine: Engine, table: ir.Table, folder: Path) -> ir.Table:
    engine.write(table, folder)
    spec = TableSpec(folder.name, "", (), table.schema().to_pyarrow())
    return engine.read(spec, sorted(folder.glob("*.parquet")))
