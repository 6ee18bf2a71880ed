"""From a folder of signals to a generation of marts: cleaned, attributed, described."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from iterqr_training.signals.attribution.run import attribute, read_raw
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.summary import EventCount, count_events
from iterqr_training.signals.cleaning import LeftOut, clean_tables, of_applications
from iterqr_training.signals.engines import Engine
from iterqr_training.signals.filters import FilterSettings
from iterqr_training.signals.marts import Marts, write_marts
from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, EVENTS, IMPRESSIONS, MARTS


@dataclass(frozen=True, slots=True)
class SignalRules:
    """The rules of one attribution. `applications`: whose searches and events are read; all, if empty."""

    attribution: AttributionSettings = field(default_factory=AttributionSettings)
    filters: FilterSettings = field(default_factory=FilterSettings)
    applications: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attributed:
    """The marts that were written; how their events came out, and what was left out before."""

    marts: Marts
    events: tuple[EventCount, ...]
    left_out: tuple[LeftOut, ...]


def attribute_signals(
    engine: Engine, files: RawFiles, out: Path, rules: SignalRules, tell: Callable[[str], None]
) -> Attributed:
    """Writes a generation of marts.

    Args:
        engine: Where.
        files: Of the raw tables.
        out: Folder of the marts.
        rules: What is read, left out and credited.
        tell: Called with the name of each step before it begins.

    Raises:
        EngineError: A table could not be computed.
        StoreError: The folder cannot be written, or files lack a column.
    """
    events: list[EventCount] = []
    left_out: list[LeftOut] = []

    def write(folder: Path) -> Mapping[str, Any]:
        began: dict[str, float] = {}

        def told(step: str) -> None:
            began[step] = time.monotonic()
            tell(step)

        clean = clean_tables(
            engine, of_applications(read_raw(engine, files), rules.applications), folder / ".clean", rules.filters, told
        )
        attribute(engine, clean.raw, folder, rules.attribution, told)
        shutil.rmtree(folder / ".clean")
        times = [*began.values(), time.monotonic()]
        attributed = sorted((folder / ATTRIBUTED_EVENTS.name).glob("*.parquet"))
        events.extend(count_events(engine, engine.read(ATTRIBUTED_EVENTS, attributed)))
        left_out.extend(clean.counts)
        return {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "engine": engine.kind,
            "settings": asdict(rules.attribution),
            "filters": asdict(rules.filters),
            "applications": list(rules.applications),
            "read": {spec.name: _rows(files.of(spec)) for spec in (IMPRESSIONS, EVENTS)},
            "left_out": [asdict(each) for each in left_out],
            "rows": {spec.name: _rows(sorted((folder / spec.name).glob("*.parquet"))) for spec in MARTS},
            "events": [asdict(each) for each in events],
            "seconds": {
                step: round(end - start, 3) for step, start, end in zip(began, times[:-1], times[1:], strict=True)
            },
        }

    marts = write_marts(out, write)
    return Attributed(marts, tuple(events), tuple(left_out))


def _rows(files: Sequence[Path]) -> int:
    return sum(pq.ParquetFile(file).metadata.num_rows for file in files)
