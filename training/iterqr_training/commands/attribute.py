"""`iterqr-train attribute`: from collected signals to the marts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from iterqr_training.signals.attribution.run import attribute, read_raw
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.summary import EventCount, count_events
from iterqr_training.signals.engines import DEFAULT_ENGINE, Engine, open_engine
from iterqr_training.signals.marts import Marts, write_marts
from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, EVENTS, IMPRESSIONS, MARTS

_HELP = "credit clicks and orders to the rewrites that earned them"
_EXAMPLES = """\
examples:
  iterqr-train attribute --signals build/signals --out build/marts
  iterqr-train attribute --signals build/signals --out build/marts --engine 'duckdb://?memory_limit=4GB&temp_folder=/big'
  iterqr-train attribute --signals build/signals --out build/marts --engine 'spark+local?driver_memory=8g'
  iterqr-train attribute --signals /shared/signals --out /shared/marts --engine spark://host:7077
  iterqr-train attribute --signals build/signals --out build/marts --touch-actions click,add_to_cart
"""
_DEFAULTS = AttributionSettings()


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "attribute",
        help=_HELP,
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--signals", type=Path, required=True, metavar="FOLDER", help="<table>/**/*.parquet")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the marts")
    parser.add_argument("--engine", default=DEFAULT_ENGINE, metavar="URL", help=f"(default {DEFAULT_ENGINE})")
    for name, meaning in (
        ("click_actions", "actions that are clicks"),
        ("touch_actions", "actions that an order may be credited to"),
        ("purchase_actions", "actions that are orders"),
    ):
        names = getattr(_DEFAULTS, name)
        parser.add_argument(
            _flag(name), type=_names, default=names, metavar="LIST", help=f"{meaning} (default {','.join(names)})"
        )
    for name, meaning in (
        ("touch_window_s", "between touch and order at most"),
        ("min_clients", "different clients behind a hint at least"),
        ("max_weight", "bound of a click's weight by its position"),
        ("examination_positions", "positions whose examination is estimated"),
        ("prior_hits", "examined hits that weigh as much as the checkpoint's rate"),
    ):
        number = getattr(_DEFAULTS, name)
        parser.add_argument(_flag(name), type=int, default=number, metavar="N", help=f"{meaning} (default {number})")
    for name, meaning in (
        ("examination_eta", "default curve of examination: 1 / position ** eta"),
        ("examination_prior_clicks", "clicks that weigh as much as the default curve"),
    ):
        real = getattr(_DEFAULTS, name)
        parser.add_argument(_flag(name), type=float, default=real, metavar="X", help=f"{meaning} (default {real:g})")


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    settings = AttributionSettings(**{name: getattr(options, name) for name in asdict(_DEFAULTS)})
    files = RawFiles.below(options.signals)
    with open_engine(options.engine) as engine:
        counts: list[EventCount] = []

        def write(folder: Path) -> Mapping[str, Any]:
            seconds = _attribute(engine, files, folder, settings, console)
            attributed = sorted((folder / ATTRIBUTED_EVENTS.name).glob("*.parquet"))
            counts.extend(count_events(engine.read(ATTRIBUTED_EVENTS, attributed)))
            return _about(files, folder, engine, settings, seconds, counts)

        marts = write_marts(options.out, write)
    console.print(_table(counts))
    console.print(_told(marts), highlight=False)
    return 0


def _attribute(
    engine: Engine, files: RawFiles, folder: Path, settings: AttributionSettings, console: Console
) -> dict[str, float]:
    """Attributes, telling each step as it begins; returns the seconds each took."""
    began: dict[str, float] = {}
    with console.status("") as status:

        def tell(step: str) -> None:
            began[step] = time.monotonic()
            if console.is_terminal:
                status.update(step)
            else:
                console.print(f"… {step}", highlight=False)

        attribute(engine, read_raw(engine, files), folder, settings, tell)
    times = [*began.values(), time.monotonic()]
    return {step: round(end - start, 3) for step, start, end in zip(began, times[:-1], times[1:], strict=True)}


def _about(
    files: RawFiles,
    folder: Path,
    engine: Engine,
    settings: AttributionSettings,
    seconds: Mapping[str, float],
    counts: Sequence[EventCount],
) -> Mapping[str, Any]:
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "engine": engine.kind,
        "settings": asdict(settings),
        "read": {spec.name: _rows(files.of(spec)) for spec in (IMPRESSIONS, EVENTS)},
        "rows": {spec.name: _rows(sorted((folder / spec.name).glob("*.parquet"))) for spec in MARTS},
        "events": [asdict(each) for each in counts],
        "seconds": dict(seconds),
    }


def _rows(files: Sequence[Path]) -> int:
    return sum(pq.ParquetFile(file).metadata.num_rows for file in files)


def _table(counts: Sequence[EventCount]) -> Table:
    table = Table(title="Clicks, touches and orders")
    for column in ("kind", "status", "level"):
        table.add_column(column)
    for column in ("events", "of its kind"):
        table.add_column(column, justify="right")
    for each in counts:
        of_kind = sum(other.events for other in counts if other.kind == each.kind)
        level = "" if each.level is None else str(each.level)
        table.add_row(each.kind, each.status, level, f"{each.events:,}", f"{each.events / of_kind:.1%}")
    return table


def _told(marts: Marts) -> str:
    rows = ", ".join(f"{name} {count:,}" for name, count in marts.about["rows"].items())
    took = sum(marts.about["seconds"].values())
    return f"generation {marts.generation} in {marts.folder}: {rows} rows; {took:.1f} s on {marts.about['engine']}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
