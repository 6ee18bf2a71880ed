"""`iterqr-train attribution-check`: whether the right rewrite is credited, proved on the live system."""

from __future__ import annotations

import argparse
import secrets
from datetime import timedelta
from pathlib import Path

from opensearchpy import OpenSearch
from rich.console import Console

from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution_check.cases import planted_cases
from iterqr_training.signals.attribution_check.live_system import LiveSystem
from iterqr_training.signals.attribution_check.measuring import live_measure
from iterqr_training.signals.attribution_check.report import check_table, require_right_credit, write_check
from iterqr_training.signals.attribution_check.run import check_attribution
from iterqr_training.signals.attribution_check.settings import CheckSettings
from iterqr_training.signals.collect.client_ids import ClientIdHasher, hasher_from_environment, hasher_from_file
from iterqr_training.signals.collect.node import Node
from iterqr_training.signals.collect.settings import CollectSettings
from iterqr_training.signals.engines import DEFAULT_ENGINE

_HELP = "plant searches with known outcomes and see whether the right rewrite is credited"
_EXAMPLES = """\
examples:
  iterqr-train attribution-check --url http://127.0.0.1:9200 --client-key-file client.key
  iterqr-train attribution-check --url https://search:9200 --ca-file ca.pem --client-key-env KEY --json check.json

It makes an index of its own with made-up words, searches it through the plugin, sends UBI events, collects and
attributes them, and takes everything away again, also after Ctrl-C. Node, rewrite server and impressions must be on.
Exit status 1 if anything is credited wrongly: then nothing should be learned.
"""
_RUN_ID_BYTES = 5


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    checking, attributing = CheckSettings(), AttributionSettings()
    parser = subparsers.add_parser(
        "attribution-check",
        help=_HELP,
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--url", required=True, help="of a node; user and password may be in it")
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--client-key-file", type=Path, metavar="FILE", help="has the key by which client ids are hashed")
    key.add_argument("--client-key-env", metavar="NAME", help="environment variable that has it")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM file of authorities to trust, for https")
    parser.add_argument(
        "--pipeline", default="", metavar="NAME", help="search pipeline (default one of the check's own)"
    )
    for name in ("impressions", "queries", "events"):
        index = getattr(checking, name)
        parser.add_argument(f"--{name}-index", default=index, metavar="NAME", help=f"(default {index})")
    parser.add_argument("--engine", default=DEFAULT_ENGINE, metavar="URL", help=f"(default {DEFAULT_ENGINE})")
    parser.add_argument(
        "--touch-window-s",
        type=int,
        default=attributing.touch_window_s,
        metavar="N",
        help=f"between touch and order at most, as in `attribute` (default {attributing.touch_window_s})",
    )
    parser.add_argument(
        "--patience-s",
        type=float,
        default=checking.patience_s,
        metavar="S",
        help=f"longest wait for documents to be written (default {checking.patience_s:g})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="to write the verdict to")


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    settings = CheckSettings(
        pipeline=options.pipeline,
        impressions=options.impressions_index,
        queries=options.queries_index,
        events=options.events_index,
        patience_s=options.patience_s,
    )
    collecting = CollectSettings(
        impressions_index=settings.impressions, queries_index=settings.queries, events_index=settings.events
    )
    attributing = AttributionSettings(touch_window_s=options.touch_window_s)
    run_id = secrets.token_hex(_RUN_ID_BYTES)
    cases = planted_cases(run_id, timedelta(seconds=attributing.touch_window_s))
    ca_certs = None if options.ca_file is None else str(options.ca_file)
    with (
        OpenSearch(options.url, timeout=collecting.timeout_s, ca_certs=ca_certs) as client,
        live_measure(
            Node(client, collecting.page_documents),
            collecting,
            _hasher(options),
            attributing,
            engine_url=options.engine,
            patience_s=settings.patience_s,
        ) as measure,
        console.status("planted searches are made, collected and attributed"),
    ):
        system = LiveSystem(client, settings, run_id)
        results = check_attribution(system, cases, measure, patience_s=settings.patience_s)
    if options.json is not None:
        write_check(options.json, results)
    console.print(check_table(results))
    require_right_credit(results)
    return 0


def _hasher(options: argparse.Namespace) -> ClientIdHasher:
    if options.client_key_file is not None:
        return hasher_from_file(options.client_key_file)
    return hasher_from_environment(options.client_key_env)
