"""`iterqr-train attribute`: from collected signals to the marts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from iterqr_training.signals.attribute_signals import SignalRules, attribute_signals
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.summary import EventCount
from iterqr_training.signals.cleaning import LeftOut
from iterqr_training.signals.engines import DEFAULT_ENGINE, open_engine
from iterqr_training.signals.filters import FilterSettings
from iterqr_training.signals.marts import Marts
from iterqr_training.signals.signal_folder import raw_files_of

_HELP = "credit clicks and orders to the rewrites that earned them"
_EXAMPLES = """\
examples:
  iterqr-train attribute --signals build/signals --out build/marts
  iterqr-train attribute --signals build/signals --out build/marts --engine 'duckdb://?memory_limit=4GB&temp_folder=/big'
  iterqr-train attribute --signals build/signals --out build/marts --engine 'spark+local?driver_memory=8g'
  iterqr-train attribute --signals /shared/signals --out /shared/marts --engine spark://host:7077
  iterqr-train attribute --signals build/signals --out build/marts --touch-actions click,add_to_cart
  iterqr-train attribute --signals build/signals --out build/marts --max-searches-a-day 200 --keep-duplicates

Of a folder that `collect` writes, only what is committed is read. Retries and bots are left out first, and counted.
"""
_DEFAULTS = AttributionSettings()
_FILTERS = FilterSettings()


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
    _add_filter_flags(parser)


def _add_filter_flags(parser: argparse.ArgumentParser) -> None:
    filters = parser.add_argument_group("what is left out")
    for name, meaning in (
        ("repeat_window_ms", "an event like the one so shortly before it is a retry"),
        ("max_searches_a_day", "more searches of a client are a bot's"),
        ("max_clicks_an_hour", "more clicks of a client are a bot's"),
        ("min_hits_to_judge", "hits that a client was shown on a day, to be judged by the share it clicked"),
        ("nearly_everything_percent", "who clicks so many of them is a bot"),
        ("max_unseen_events_a_day", "more events of a client, none of a logged page, are a bot's"),
    ):
        number = getattr(_FILTERS, name)
        filters.add_argument(_flag(name), type=int, default=number, metavar="N", help=f"{meaning} (default {number:,})")
    filters.add_argument("--keep-duplicates", action="store_true", help="retries are events of their own")
    filters.add_argument("--keep-bots", action="store_true", help="nobody is judged to be a bot")
    filters.add_argument(
        "--applications",
        type=_names,
        default=(),
        metavar="LIST",
        help="read only what names one of these",
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    attributing = AttributionSettings(**{name: getattr(options, name) for name in asdict(_DEFAULTS)})
    filtering = FilterSettings(
        **{name: getattr(options, name) for name in asdict(_FILTERS) if name != "click_actions"},
        click_actions=attributing.click_actions,
    )
    rules = SignalRules(attributing, filtering, options.applications)
    files = raw_files_of(options.signals)
    with open_engine(options.engine) as engine, console.status("") as status:

        def tell(step: str) -> None:
            if console.is_terminal:
                status.update(step)
            else:
                console.print(f"… {step}", highlight=False)

        attributed = attribute_signals(engine, files, options.out, rules, tell)
    console.print(_left_out_table(attributed.left_out))
    console.print(_table(attributed.events))
    console.print(_told(attributed.marts), highlight=False)
    return 0


def _left_out_table(counts: Sequence[LeftOut]) -> Table:
    table = Table(title="What attribution reads, and what it leaves out")
    for column in ("", "reason", "of"):
        table.add_column(column)
    table.add_column("rows", justify="right")
    for each in counts:
        table.add_row(each.filter, each.reason, each.table, f"{each.rows:,}")
    return table


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
