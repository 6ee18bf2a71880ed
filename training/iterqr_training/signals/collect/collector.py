"""Collects what was written since the last time: shards from their watermarks on, rows and watermarks in one commit."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from iterqr_training.errors import SourceError
from iterqr_training.signals.collect.batch import Batch, ReadDocument, Source, dated_rejects, dated_rows, first_of_each
from iterqr_training.signals.collect.client_ids import ClientIdHasher
from iterqr_training.signals.collect.known_ids import KnownIds
from iterqr_training.signals.collect.node import Node, ShardGoneError, ShardStatus
from iterqr_training.signals.collect.settings import CollectSettings
from iterqr_training.signals.store.writer import SignalStore


class Progress(Protocol):
    """Is told how a collection goes."""

    def planned(self, operations: int) -> None:
        """Called once for each collection: how many operations there are to see, deletions among them."""

    def seen(self, operations: int, documents: int) -> None:
        """Called with each page: operations seen since the last one, and documents among them."""


@dataclass(slots=True)
class SourceCounts:
    """What became of the documents of one source; only what is committed is counted.

    `repeated`: they were in the store already, or came twice. `client_ids_lost`: taken, but without a key to hash it
    their client id was not.
    """

    source: Source
    indices: int = 0
    shards: int = 0
    documents: int = 0
    taken: int = 0
    repeated: int = 0
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)  # by reason and field
    client_ids_lost: int = 0


@dataclass(frozen=True, slots=True)
class Collection:
    """What one collection did. `commits` is how many, `operations_seen` how far the watermarks moved."""

    sources: tuple[SourceCounts, ...]
    commits: int
    operations_seen: int
    generation: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """A shard that has something new, after an operation."""

    source: Source
    status: ShardStatus
    after: int


class Collector:
    """Collects from a node into an open store; `collect` may be called again and again."""

    def __init__(
        self,
        node: Node,
        store: SignalStore,
        hasher: ClientIdHasher,
        settings: CollectSettings,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._node = node
        self._store = store
        self._hasher = hasher
        self._commit_documents = settings.commit_documents
        self._names = {
            Source.IMPRESSIONS: settings.impressions_index,
            Source.QUERIES: settings.queries_index,
            Source.EVENTS: settings.events_index,
        }
        self._now_us = now_us
        self._known = {source: KnownIds(source.table) for source in Source}

    def collect(self, progress: Progress) -> Collection:
        """Takes everything that was written until now, and joins small files.

        Raises:
            SourceError: The node does not answer, or not as its API says. What was committed before stays; the next
                collection goes on from there.
            StoreError: The disk refuses.
        """
        counts = {source: SourceCounts(source) for source in Source}
        plans = [plan for source in Source for plan in self._plans(source, counts[source])]
        progress.planned(sum(plan.status.checkpoint - plan.after for plan in plans))
        before = self._store.state.generation
        batch = Batch(self._hasher)
        for plan in plans:
            batch = self._read(plan, batch, counts, progress)
        self._commit(batch, counts)
        commits = self._store.state.generation - before
        self._store.compact()
        seen = sum(plan.status.checkpoint - plan.after for plan in plans)
        return Collection(tuple(counts.values()), commits, seen, self._store.state.generation)

    def _plans(self, source: Source, counts: SourceCounts) -> list[_Plan]:
        """What there is to read. Checkpoints are asked for first, and then what is below them is made visible."""
        statuses = self._node.shards(self._names[source])
        counts.shards = len(statuses)
        counts.indices = len({status.index for status in statuses})
        plans = [
            _Plan(source, status, after) for status in statuses if (after := self._after(status)) < status.checkpoint
        ]
        for index in sorted({plan.status.index for plan in plans}):
            try:
                self._node.refresh(index)
            except ShardGoneError:
                plans = [plan for plan in plans if plan.status.index != index]
        return plans

    def _after(self, status: ShardStatus) -> int:
        """From where to read on. A checkpoint below the watermark is of a copy that lost operations: all over again."""
        seen = self._store.state.seq_no(status.shard)
        return seen if seen <= status.checkpoint else -1

    def _read(self, plan: _Plan, batch: Batch, counts: dict[Source, SourceCounts], progress: Progress) -> Batch:
        """Reads a shard into a batch, committing whenever it is full. Returns the batch to go on with."""
        seen = plan.after
        try:
            for page in self._node.read(plan.status, plan.after, plan.source.fields):
                batch.add(plan.source, plan.status, page, self._now_us())
                progress.seen(page.seen - seen, len(page.documents))
                seen = page.seen
                if batch.documents >= self._commit_documents:
                    self._commit(batch, counts)
                    batch = Batch(self._hasher)
        except ShardGoneError as error:
            if plan.status.shard in {status.shard for status in self._node.shards(self._names[plan.source])}:
                raise SourceError(f"{plan.status.index} could not be read to its end; run it again to go on") from error
        return batch

    def _commit(self, batch: Batch, counts: dict[Source, SourceCounts]) -> None:
        if not batch.watermarks:
            return
        fresh = {source: self._fresh(source, batch.read(source)) for source in Source}
        rows = [dated for source in Source for dated in dated_rows(fresh[source])]
        self._store.commit([*rows, *dated_rejects(batch.rejects)], batch.watermarks)
        for source in Source:
            self._known[source].add(document.arrival for document in fresh[source])
            _count(counts[source], batch, source, fresh[source])

    def _fresh(self, source: Source, documents: Sequence[ReadDocument]) -> list[ReadDocument]:
        if not documents:
            return []
        known = self._known[source].of([document.arrival for document in documents], self._store.snapshot)
        return first_of_each(documents, known)


def _count(counts: SourceCounts, batch: Batch, source: Source, fresh: Sequence[ReadDocument]) -> None:
    rejected = Counter((row.reason, row.field) for row in batch.rejects if row.source == source)
    counts.documents += len(batch.read(source)) + rejected.total()
    counts.taken += len(fresh)
    counts.repeated += len(batch.read(source)) - len(fresh)
    counts.rejected += rejected
    counts.client_ids_lost += sum(document.client_id_lost for document in fresh)
