"""`iterqr-train health`: whether collected signals are fit to learn from."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from iterqr_training.signals.engines import DEFAULT_ENGINE, Engine, open_engine
from iterqr_training.signals.health.counts import Signals, health_counts
from iterqr_training.signals.health.report import health_table, write_health
from iterqr_training.signals.health.settings import HealthSettings
from iterqr_training.signals.health.verdict import Count, State, findings, worst
from iterqr_training.signals.marts import Marts, read_marts
from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.signal_folder import raw_files_of
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS, EVENTS, IMPRESSIONS, QUERIES, QUERY_OUTCOMES

_HELP = "tell whether signals are fit to learn from: enough of them, and how sound"
_EXAMPLES = """\
examples:
  iterqr-train health --signals build/signals --marts build/marts
  iterqr-train health --signals build/signals --marts build/marts --json build/health.json
  iterqr-train health --signals /shared/signals --marts /shared/marts --engine spark://host:7077

Exit status 1 if a measure fails: then nothing should be learned from these signals.
"""
_DEFAULTS = HealthSettings()


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "health",
        help=_HELP,
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--signals", type=Path, required=True, metavar="FOLDER", help="of the raw tables")
    parser.add_argument("--marts", type=Path, required=True, metavar="FOLDER", help="that `attribute` wrote of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="to write the findings to, all days included")
    parser.add_argument("--engine", default=DEFAULT_ENGINE, metavar="URL", help=f"(default {DEFAULT_ENGINE})")
    for name, meaning in (
        ("tail_searches", "a query searched at most so often is a tail query"),
        ("level1_clicks_needed", "level-1 clicks that label a tail query"),
        ("level1_orders_needed", "or so many level-1 orders"),
        ("early_tolerance_s", "seconds that an event may be before its page"),
    ):
        number = getattr(_DEFAULTS, name)
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=int, default=number, metavar="N", help=f"{meaning} (default {number})")


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    settings = HealthSettings(
        tail_searches=options.tail_searches,
        level1_clicks_needed=options.level1_clicks_needed,
        level1_orders_needed=options.level1_orders_needed,
        early_tolerance_s=options.early_tolerance_s,
    )
    files, marts = raw_files_of(options.signals), read_marts(options.marts)
    with open_engine(options.engine) as engine:
        rows = health_counts(_signals(engine, files, marts), settings).to_pyarrow().to_pylist()
    found = findings([Count(**row) for row in rows], settings)
    if options.json is not None:
        write_health(options.json, found)
    console.print(health_table(found))
    return 1 if worst(found) is State.FAIL else 0


def _signals(engine: Engine, files: RawFiles, marts: Marts) -> Signals:
    return Signals(
        *(engine.read(spec, files.of(spec)) for spec in (IMPRESSIONS, QUERIES, EVENTS)),
        *(engine.read(spec, marts.files(spec)) for spec in (ATTRIBUTED_EVENTS, QUERY_OUTCOMES)),
    )
