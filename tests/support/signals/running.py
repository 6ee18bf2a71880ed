"""Attribution of signals made by hand, and its marts as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from iterqr_training.signals.attribution.run import attribute, read_raw
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.engines import Engine
from iterqr_training.signals.tables import MARTS, TableSpec
from support.signals.raw_rows import Signals, write_raw


@dataclass(frozen=True, slots=True)
class MartTables:
    """The marts by name, each sorted by its key."""

    tables: Mapping[str, pa.Table]

    def rows(self, spec: TableSpec) -> list[dict[str, Any]]:
        return self.tables[spec.name].to_pylist()  # type: ignore[no-any-return]


def run_attribution(
    engine: Engine, signals: Signals, folder: Path, settings: AttributionSettings | None = None
) -> MartTables:
    """Writes the signals, attributes them on the engine and reads the marts."""
    raw, out = folder / "raw", folder / f"marts-{engine.kind}"
    out.mkdir(parents=True)
    files = write_raw(signals, raw / engine.kind)
    attribute(engine, read_raw(engine, files), out, settings or AttributionSettings(), lambda _step: None)
    return MartTables({spec.name: _sorted(spec, out / spec.name) for spec in MARTS})


def _sorted(spec: TableSpec, folder: Path) -> pa.Table:
    parts = [pq.read_table(file) for file in sorted(folder.glob("*.parquet"))]
    table = pa.concat_tables(part.cast(spec.schema) for part in parts)
    return table.sort_by([(name, "ascending") for name in spec.key])
