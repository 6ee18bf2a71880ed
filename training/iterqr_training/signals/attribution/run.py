"""Attribution from the raw tables to the marts, step by step on one engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from iterqr_training.signals import tables
from iterqr_training.signals.attribution.credits import describe
from iterqr_training.signals.attribution.examination import NeighbourClicks, examination_curve, neighbour_clicks
from iterqr_training.signals.attribution.hints import hints
from iterqr_training.signals.attribution.purchases import credit
from iterqr_training.signals.attribution.query_outcomes import query_outcomes
from iterqr_training.signals.attribution.rewrite_hits import rewrite_hits
from iterqr_training.signals.attribution.rewrite_outcomes import rewrite_outcomes
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.shares import attributed_events
from iterqr_training.signals.attribution.touches import match_events
from iterqr_training.signals.engines import Engine, conform
from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.tables import TableSpec


@dataclass(frozen=True, slots=True)
class RawTables:
    """What attribution reads, without duplicates and bots."""

    impressions: ir.Table
    rewrites: ir.Table
    hits: ir.Table
    hit_channels: ir.Table
    events: ir.Table


def read_raw(engine: Engine, files: RawFiles) -> RawTables:
    """Opens the raw tables on an engine."""
    return RawTables(
        *(
            engine.read(spec, files.of(spec))
            for spec in (tables.IMPRESSIONS, tables.REWRITES, tables.HITS, tables.HIT_CHANNELS, tables.EVENTS)
        )
    )


def attribute(
    engine: Engine, raw: RawTables, folder: Path, settings: AttributionSettings, tell: Callable[[str], None]
) -> None:
    """Computes all marts and writes a folder for each below `folder`, which all machines of the engine must see.

    What several marts need is computed once and kept in files beside them meanwhile.

    Args:
        engine: Where.
        raw: The raw tables on it.
        folder: Must be there; gets a folder for each of `MARTS`.
        settings: The rules.
        tell: Called with the name of each step before it begins.

    Raises:
        EngineError: A table could not be computed.
    """
    work = _Work(engine, folder / ".work", tell)
    of_rewrites = work.keep("channels of hits", "rewrite_hits", rewrite_hits(raw.hit_channels))
    matched = match_events(raw.events, raw.impressions, raw.hits, settings)
    credited = work.keep("touches", "credited", credit(work.keep("events", "matched", matched), settings))
    harvested = work.keep(
        "examination", "neighbour_clicks", neighbour_clicks(raw.hits, raw.impressions, credited, settings)
    )
    examination = work.put(tables.EXAMINATION, examination_curve(_harvested(harvested), settings), folder)
    described = work.keep(
        "levels", "described", describe(credited, raw.impressions, of_rewrites, examination, settings)
    )
    attributed = work.mart(tables.ATTRIBUTED_EVENTS, attributed_events(described, of_rewrites, raw.rewrites), folder)
    outcomes = rewrite_outcomes(raw.impressions, raw.rewrites, of_rewrites, examination, attributed, settings)
    work.mart(tables.REWRITE_OUTCOMES, outcomes, folder)
    work.mart(
        tables.QUERY_OUTCOMES,
        query_outcomes(raw.impressions, raw.hits, raw.rewrites, of_rewrites, described),
        folder,
    )
    work.mart(tables.HINTS, hints(described, settings), folder)
    shutil.rmtree(work.folder)


@dataclass(frozen=True, slots=True)
class _Work:
    """Tables computed and read back. `folder`: of those that are no marts."""

    engine: Engine
    folder: Path
    tell: Callable[[str], None]

    def keep(self, step: str, name: str, table: ir.Table) -> ir.Table:
        self.tell(step)
        spec = TableSpec(name, "", (), table.schema().to_pyarrow())
        return self._written(spec, table, self.folder / name)

    def mart(self, spec: TableSpec, table: ir.Table, folder: Path) -> ir.Table:
        self.tell(spec.name)
        return self._written(spec, conform(table, spec), folder / spec.name)

    def put(self, spec: TableSpec, rows: pa.Table, folder: Path) -> ir.Table:
        """A small table that was computed here."""
        (folder / spec.name).mkdir()
        pq.write_table(rows, folder / spec.name / "part-0.parquet")
        return self.engine.read(spec, [folder / spec.name / "part-0.parquet"])

    def _written(self, spec: TableSpec, table: ir.Table, folder: Path) -> ir.Table:
        self.engine.write(table, folder)
        return self.engine.read(spec, sorted(folder.glob("*.parquet")))


def _harvested(table: ir.Table) -> list[NeighbourClicks]:
    return [NeighbourClicks(**row) for row in table.to_pyarrow().to_pylist()]
