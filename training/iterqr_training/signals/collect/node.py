"""Reads indices shard by shard in the order of their operations (I/O; what to do with it is decided elsewhere).

Every operation on a shard has a sequence number (`_seq_no`). All of them up to the shard's global checkpoint are on
every copy, so after a refresh a point in time shows each document whose last operation is among them: none can turn up
below the checkpoint later, whatever its event time says and in whatever order writers and refreshes came. Of the copies
the primary is read: with segment replication the others show operations later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, OpenSearchException

from iterqr_training.errors import SourceError
from iterqr_training.signals.store.state import ShardId

_KEEP_ALIVE = "5m"
_STATS = "indices.*.uuid,indices.*.shards.*.seq_no,indices.*.shards.*.routing.primary,indices.*.shards.*.routing.state"
T = TypeVar("T")


class ShardGoneError(SourceError):
    """The index was deleted while it was read. What was read of it is right."""


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """A shard that can be read. `checkpoint`: its global checkpoint; -1 if nothing was ever written."""

    shard: ShardId
    index: str
    checkpoint: int


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is after its last operation. `version` is over 1 if it was written before.

    `source` has the fields that were asked for; None if the index keeps none.
    """

    document_id: str
    seq_no: int
    version: int
    source: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in the order of their operations. Everything on the shard up to and with `seen` was seen."""

    documents: Sequence[Document]
    seen: int


class Node:
    """A node or cluster that is read."""

    def __init__(self, client: OpenSearch, page_documents: int) -> None:
        self._client = client
        self._page_documents = page_documents

    def shards(self, name: str) -> list[ShardStatus]:
        """Tells the shards of an index, or of all indices behind a data stream or alias; none if it is not there.

        Raises:
            SourceError: The node does not answer, or not as expected.
        """
        params = {"level": "shards", "filter_path": _STATS, "forbid_closed_indices": "false"}
        try:
            told = _asked(lambda: self._client.indices.stats(index=name, params=params))
        except ShardGoneError:
            return []
        return shard_statuses(told)

    def refresh(self, index: str) -> None:
        """Makes what was written until now visible.

        Raises:
            ShardGoneError: There is no such index any more.
            SourceError: The node does not answer, or refuses.
        """
        _asked(lambda: self._client.indices.refresh(index=index))

    def read(self, status: ShardStatus, after: int, fields: Sequence[str]) -> Iterator[Page]:
        """Reads what was written to a shard after an operation and up to its checkpoint; the last page reaches it.

        Call `refresh` between asking for the checkpoint and this.

        Raises:
            ShardGoneError: The index was deleted meanwhile.
            SourceError: The node does not answer, or not as expected.
        """
        with self._point_in_time(status) as pit_id:
            while after < status.checkpoint:
                page = self._page(status, pit_id, after, fields)
                yield page
                after = page.seen

    def _page(self, status: ShardStatus, pit_id: str, after: int, fields: Sequence[str]) -> Page:
        body = {
            "size": self._page_documents,
            "pit": {"id": pit_id, "keep_alive": _KEEP_ALIVE},
            "query": {"range": {"_seq_no": {"gt": after, "lte": status.checkpoint}}},
            "sort": [{"_seq_no": "asc"}],
            "track_total_hits": False,
            "version": True,
            "_source": list(fields),
        }
        reply = _asked(lambda: self._client.search(body=body))
        return page_of(reply, self._page_documents, status.checkpoint)

    @contextmanager
    def _point_in_time(self, status: ShardStatus) -> Iterator[str]:
        params = {"keep_alive": _KEEP_ALIVE, "preference": f"_shards:{status.shard.shard}|_primary"}
        opened = _asked(lambda: self._client.create_pit(index=status.index, params=params))
        pit_id = opened["pit_id"]
        try:
            yield pit_id
        finally:
            _close(self._client, pit_id)


def shard_statuses(told: Mapping[str, Any]) -> list[ShardStatus]:
    """Reads the statistics of indices by shards, in order of names and shards. Shards without a started primary are
    left out: they are read another time.

    Raises:
        SourceError: They are not as the API says.
    """
    try:
        return sorted(
            (
                ShardStatus(ShardId(index["uuid"], int(number)), name, int(copy["seq_no"]["global_checkpoint"]))
                for name, index in told.get("indices", {}).items()
                for number, copies in index.get("shards", {}).items()
                for copy in copies
                if copy["routing"]["primary"] and copy["routing"]["state"] == "STARTED" and "seq_no" in copy
            ),
            key=lambda status: (status.index, status.shard.shard),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f"OpenSearch's statistics are not as its API says: {error!r}") from error


def page_of(reply: Mapping[str, Any], page_documents: int, checkpoint: int) -> Page:
    """Reads a page of documents; a page that is not full is the last.

    Raises:
        SourceError: A shard failed, or the reply is not as the API says.
    """
    try:
        if reply["timed_out"] or reply["_shards"]["failed"] or reply["_shards"]["successful"] != 1:
            raise SourceError("OpenSearch could not read a shard: look into its log, then run again")
        documents = [
            Document(hit["_id"], int(hit["sort"][0]), int(hit["_version"]), hit.get("_source"))
            for hit in reply["hits"]["hits"]
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SourceError(f"OpenSearch's page is not as its API says: {error!r}") from error
    seen = documents[-1].seq_no if len(documents) >= page_documents else checkpoint
    return Page(documents, seen)


def _asked(request: Callable[[], T]) -> T:
    try:
        return request()
    except NotFoundError as error:
        raise ShardGoneError(f"OpenSearch has it no more: {error.error}") from error
    except (OpenSearchException, ValueError) as error:
        raise SourceError(f"OpenSearch does not answer: {type(error).__name__}: {_short(str(error))}") from error


def _close(client: OpenSearch, pit_id: str) -> None:
    """A point in time that cannot be closed ends by itself."""
    try:
        client.delete_pit(body={"pit_id": [pit_id]})
    except OpenSearchException:
        return


def _short(text: str, limit: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
