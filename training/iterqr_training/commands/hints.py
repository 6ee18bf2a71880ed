"""`iterqr-train hints`: what users clicked, back to the index that rewrites are grounded in."""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow.parquet as pq
from opensearchpy import OpenSearch
from rich.console import Console

from iterqr_training.signals.hints_index import HintRow, HintsTarget, write_hints
from iterqr_training.signals.marts import read_marts
from iterqr_training.signals.tables import HINTS

_HELP = "write hints to the index that the rewrite server reads"
_EXAMPLES = """\
examples:
  iterqr-train hints --marts build/marts --url http://127.0.0.1:9200
  iterqr-train hints --marts build/marts --url http://127.0.0.1:9200 --catalog dishes --id-field dish_id
  iterqr-train hints --marts build/marts --url https://user:password@search:9200 --alias iterqr-hints
"""
_TIMEOUT_S = 60
_DEFAULTS = HintsTarget()


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "hints", help=_HELP, description=_HELP, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=run)
    parser.add_argument("--marts", type=Path, required=True, metavar="FOLDER", help="what `attribute` wrote")
    parser.add_argument("--url", required=True, help="of OpenSearch")
    for flag, default, meaning in (
        ("--alias", _DEFAULTS.alias, "what the server reads as hints.index"),
        ("--catalog", _DEFAULTS.catalog, "index that has the titles"),
        ("--id-field", _DEFAULTS.id_field, "keyword field of the object id, or _id"),
        ("--title-field", _DEFAULTS.title_field, "field of the title"),
    ):
        parser.add_argument(flag, default=default, metavar="NAME", help=f"{meaning} (default {default})")
    parser.add_argument(
        "--max-titles",
        type=int,
        default=_DEFAULTS.max_titles,
        metavar="N",
        help=f"of a query (default {_DEFAULTS.max_titles})",
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    target = HintsTarget(options.alias, options.catalog, options.id_field, options.title_field, options.max_titles)
    columns = ["region", "normalized_query", "object_id", "clicks", "clients"]
    rows = [
        HintRow(**row)
        for file in read_marts(options.marts).files(HINTS)
        for row in pq.read_table(file, columns=columns).to_pylist()
    ]
    with OpenSearch(options.url, timeout=_TIMEOUT_S) as client:
        written = write_hints(client, rows, target, lambda text: console.print(f"… {text}", highlight=False))
    console.print(
        f"{target.alias} is {written.index}: {written.documents:,} queries with {written.titles:,} titles; "
        f"{written.untitled:,} objects are not in {target.catalog}; deleted: {', '.join(written.deleted) or 'nothing'}",
        highlight=False,
        soft_wrap=True,
    )
    return 0
