"""Planted signals collected and attributed by what collects and attributes all others.

A store of its own is told that everything written before the check was seen: what it collects is the planted documents
and what others wrote meanwhile, which is left out of the result.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from iterqr_training.errors import SourceError
from iterqr_training.signals.attribution.run import attribute, read_raw
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution_check.run import Measure, PlantedSignals
from iterqr_training.signals.collect.client_ids import ClientIdHasher
from iterqr_training.signals.collect.collector import Collector, Progress
from iterqr_training.signals.collect.node import Node
from iterqr_training.signals.collect.settings import CollectSettings
from iterqr_training.signals.engines import open_engine
from iterqr_training.signals.signal_folder import raw_files_of
from iterqr_training.signals.store.state import Watermark
from iterqr_training.signals.store.writer import SignalStore
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, EVENTS, IMPRESSIONS

_POLL_S = 0.5


class _Untold(Progress):
    def planned(self, operations: int) -> None:
        """Nobody is told."""

    def seen(self, operations: int, documents: int) -> None:
        """Nobody is told."""


@contextmanager
def live_measure(
    node: Node,
    collecting: CollectSettings,
    hasher: ClientIdHasher,
    attributing: AttributionSettings,
    *,
    engine_url: str,
    patience_s: float,
) -> Iterator[Measure]:
    """Gives a `Measure` of what is written after the block was entered.

    Args:
        node: That is checked.
        collecting: Names of its indices.
        hasher: With the key of the node's keystore.
        attributing: The rules that are in force.
        engine_url: Of the engine that attributes.
        patience_s: Longest wait for planted documents to be collected.

    Raises:
        SourceError: Entering: the node does not tell its shards. Measuring: planted documents cannot be collected.
    """
    with tempfile.TemporaryDirectory(prefix="iterqr-attribution-check-") as name:
        signals, marts = Path(name) / "signals", Path(name) / "marts"
        with SignalStore(signals) as store:
            store.commit([], _watermarks(node, collecting))
            collector = Collector(node, store, hasher, collecting)

            def measure(planted: PlantedSignals) -> pa.Table:
                _collect(collector, signals, planted, patience_s)
                marts.mkdir()
                with open_engine(engine_url) as engine:
                    raw = read_raw(engine, raw_files_of(signals))
                    attribute(engine, raw, marts, attributing, lambda _step: None)
                attributed = pq.read_table(marts / ATTRIBUTED_EVENTS.name)
                return attributed.filter(pc.is_in(attributed["event_id"], pa.array(sorted(planted.event_ids))))

            yield measure


def _watermarks(node: Node, collecting: CollectSettings) -> list[Watermark]:
    names = (collecting.impressions_index, collecting.queries_index, collecting.events_index)
    return [Watermark(status.shard, status.index, status.checkpoint) for name in names for status in node.shards(name)]


def _collect(collector: Collector, signals: Path, planted: PlantedSignals, patience_s: float) -> None:
    """Collects until all planted documents are there: a shard's checkpoint may lag behind what was written."""
    deadline = time.monotonic() + patience_s
    while True:
        collector.collect(_Untold())
        files = raw_files_of(signals)
        pages = planted.query_ids - _values(files.of(IMPRESSIONS), "query_id")
        events = planted.event_ids - _values(files.of(EVENTS), "event_id")
        if not pages and not events:
            return
        if time.monotonic() > deadline:
            raise SourceError(
                f"impressions of {len(pages)} planted searches and {len(events)} planted events were not collected in "
                f"{patience_s:g} s"
            )
        time.sleep(_POLL_S)


def _values(files: tuple[Path, ...], column: str) -> set[str]:
    return {value for file in files for value in pq.ParquetFile(file).read([column])[column].to_pylist()}
