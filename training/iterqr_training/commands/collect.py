"""`iterqr-train collect`: from OpenSearch into a folder."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from opensearchpy import OpenSearch
from rich.console import Console
from rich.table import Table

from iterqr_training.commands.collect_progress import CollectProgress
from iterqr_training.errors import SettingError, SourceError
from iterqr_training.signals.collect.batch import Source
from iterqr_training.signals.collect.client_ids import ClientIdHasher, hasher_from_environment, hasher_from_file
from iterqr_training.signals.collect.collector import Collection, Collector
from iterqr_training.signals.collect.node import Node
from iterqr_training.signals.collect.settings import CollectSettings
from iterqr_training.signals.store.reader import Snapshot
from iterqr_training.signals.store.writer import SignalStore
from iterqr_training.signals.tables import COLLECTED

_EXAMPLES = """\
examples:
  iterqr-train collect --url http://127.0.0.1:9200 --folder signals --client-key-file client.key
  iterqr-train collect --url http://127.0.0.1:9200 --folder signals --client-key-env CLIENT_KEY --follow-s 60
  iterqr-train collect --url https://search:9200 --ca-file ca.pem --folder signals

Each document is taken once, however often this is run, stopped or killed. The key is that of the nodes' keystores,
plugins.iterqr.client_id.hash_key: events and impressions of a client meet by it. Without it events have no client.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    defaults = CollectSettings()
    parser = subparsers.add_parser(
        "collect",
        help="take impressions, UBI queries and UBI events that are new into a folder",
        description="Takes impressions, UBI queries and UBI events that are new into a folder of Parquet.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", required=True, help="of a node; user and password may be in it")
    parser.add_argument("--folder", required=True, type=Path, help="of the signals; made if it is not there")
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--client-key-file", type=Path, metavar="FILE", help="has the key by which client ids are hashed")
    key.add_argument("--client-key-env", metavar="NAME", help="environment variable that has it")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM file of authorities to trust, for https")
    parser.add_argument("--follow-s", type=float, metavar="S", help="go on, and look for new documents every S seconds")
    parser.add_argument("--impressions-index", default=defaults.impressions_index, metavar="NAME", help="%(default)s")
    parser.add_argument("--queries-index", default=defaults.queries_index, metavar="NAME", help="%(default)s")
    parser.add_argument("--events-index", default=defaults.events_index, metavar="NAME", help="%(default)s")
    parser.add_argument(
        "--page-documents", type=int, default=defaults.page_documents, metavar="N", help="of one search; %(default)s"
    )
    parser.add_argument(
        "--commit-documents",
        type=int,
        default=defaults.commit_documents,
        metavar="N",
        help="of one commit; %(default)s",
    )
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    settings = CollectSettings(
        impressions_index=options.impressions_index,
        queries_index=options.queries_index,
        events_index=options.events_index,
        page_documents=options.page_documents,
        commit_documents=options.commit_documents,
    )
    if options.follow_s is not None and not 0 < options.follow_s <= 86_400:
        raise SettingError(f"--follow-s is {options.follow_s}, it must be over 0 to 86,400")
    if options.ca_file is not None and not options.ca_file.is_file():
        raise SettingError(f"--ca-file {options.ca_file} is no file")
    hasher = _hasher(options)
    client = OpenSearch(
        options.url,
        timeout=settings.timeout_s,
        ca_certs=None if options.ca_file is None else str(options.ca_file),
        max_retries=2,
        retry_on_timeout=True,
    )
    with SignalStore(options.folder) as store:
        collector = Collector(Node(client, settings.page_documents), store, hasher, settings)
        _collect(collector, store, console)
        while options.follow_s is not None:
            time.sleep(options.follow_s)
            try:
                _collect(collector, store, console, only_news=True)
            except SourceError as error:  # nodes restart; what was missed is taken the next time
                console.print(f"[yellow]not this time:[/yellow] {error}", highlight=False)
    return 0


def _hasher(options: argparse.Namespace) -> ClientIdHasher:
    if options.client_key_file is not None:
        return hasher_from_file(options.client_key_file)
    if options.client_key_env is not None:
        return hasher_from_environment(options.client_key_env)
    return ClientIdHasher(None)


def _collect(collector: Collector, store: SignalStore, console: Console, *, only_news: bool = False) -> None:
    began = time.monotonic()
    with CollectProgress(console) as progress:
        collection = collector.collect(progress)
    if collection.operations_seen or not only_news:
        _print_summary(collection, store.snapshot, time.monotonic() - began, console)


def _print_summary(collection: Collection, snapshot: Snapshot, seconds: float, console: Console) -> None:
    sources = Table()
    sources.add_column("collected from", no_wrap=True, min_width=max(len(source) for source in Source))
    for name in ("indices", "shards", "documents", "new", "repeated", "rejected"):
        sources.add_column(name, justify="right")
    for counts in collection.sources:
        numbers = (counts.indices, counts.shards, counts.documents, counts.taken, counts.repeated)
        sources.add_row(counts.source, *(f"{number:,}" for number in (*numbers, counts.rejected.total())))
    console.print(sources)
    for counts in collection.sources:
        for (reason, field), number in counts.rejected.most_common():
            console.print(f"rejected: {counts.source}: {field} {reason}: {number:,}", highlight=False, markup=False)
        if counts.client_ids_lost:
            console.print(
                f"{counts.source}: {counts.client_ids_lost:,} client ids dropped: no key was given to hash them",
                highlight=False,
                soft_wrap=True,
            )
    tables = ", ".join(f"{spec.name} {snapshot.rows(spec.name):,}" for spec in COLLECTED)
    console.print(f"rows now: {tables}", highlight=False, soft_wrap=True)
    documents = sum(counts.documents for counts in collection.sources)
    console.print(
        f"{collection.operations_seen:,} operations seen, {documents:,} documents, {collection.commits} commits in "
        f"{seconds:.1f} s; {len(snapshot.state.watermarks)} shards have watermarks; generation {collection.generation}",
        highlight=False,
        soft_wrap=True,
    )
