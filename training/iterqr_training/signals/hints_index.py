"""Hints written back to OpenSearch, in the shape that the rewrite server reads (server/README.md, Hints).

A new index is filled beside the one that serves, checked, and only then given the alias, in one request. A crash
leaves the old index serving; what it left over is deleted next time, as are versions but the last two.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import NotFoundError, OpenSearch
from opensearchpy.exceptions import OpenSearchException
from opensearchpy.helpers import BulkIndexError, streaming_bulk

from iterqr_training.errors import SettingError, SourceError

_BATCH = 500
_KEPT = 2
_MAPPING: dict[str, Any] = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0, "auto_expand_replicas": "0-1"},
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "region": {"type": "keyword"},
            "query": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
            "titles": {
                "properties": {
                    "title": {"type": "text"},
                    "clicks": {"type": "long"},
                    "clients": {"type": "long"},
                }
            },
            "clicks": {"type": "long"},
        },
    },
}


@dataclass(frozen=True, slots=True)
class HintRow:
    """One row of `HINTS`, without the weights."""

    region: str
    normalized_query: str
    object_id: str
    clicks: int
    clients: int


@dataclass(frozen=True, slots=True)
class ClickedTitle:
    """A title clicked after a query. `clients`: at least so many different ones."""

    title: str
    clicks: int
    clients: int


@dataclass(frozen=True, slots=True)
class HintDocument:
    """What a region's users clicked after one query, most clicked first."""

    region: str
    query: str
    titles: tuple[ClickedTitle, ...]

    def body(self) -> dict[str, Any]:
        """Returns it as the index holds it."""
        titles = [{"title": each.title, "clicks": each.clicks, "clients": each.clients} for each in self.titles]
        return {
            "region": self.region,
            "query": self.query,
            "titles": titles,
            "clicks": sum(each.clicks for each in self.titles),
        }


@dataclass(frozen=True, slots=True)
class HintsTarget:
    """Where hints go and where titles come from.

    Attributes:
        alias: What the server reads; the indexes behind it are <alias>-v000001 and so on.
        catalog: Index or alias of the catalog.
        id_field: Keyword field that has the object id; `_id` for the document's own.
        title_field: Field of the title in the source.
        max_titles: Of a query.
    """

    alias: str = "iterqr-hints"
    catalog: str = "dishes"
    id_field: str = "_id"
    title_field: str = "title"
    max_titles: int = 8

    def __post_init__(self) -> None:
        for name in ("alias", "catalog", "id_field", "title_field"):
            if not getattr(self, name) or any(char in getattr(self, name) for char in '*, "<>|/\\?#'):
                raise SettingError(f"{name} is {getattr(self, name)!r}, and must be one name without wildcards")
        if not 1 <= self.max_titles <= 100:
            raise SettingError(f"max_titles is {self.max_titles}, and must be from 1 to 100")


@dataclass(frozen=True, slots=True)
class WrittenHints:
    """What was written. `untitled`: objects that the catalog does not have any more; `deleted`: older versions."""

    index: str
    documents: int
    titles: int
    untitled: int
    deleted: tuple[str, ...]


def hint_documents(rows: Iterable[HintRow], titles: Mapping[str, str], max_titles: int) -> Iterator[HintDocument]:
    """Joins hints and titles; pure. Queries without any title are left out.

    Objects of the same title become one: clicks are added up. Clients are not, as they may be the same people: the
    most of one object are a lower bound.

    Args:
        rows: Ordered by region and query.
        titles: By object id.
        max_titles: Of a query, the most clicked, then by name.
    """
    by_query: dict[tuple[str, str], dict[str, ClickedTitle]] = defaultdict(dict)
    for row in rows:
        title = titles.get(row.object_id, "").strip()
        if title:
            group = by_query[row.region, row.normalized_query]
            known = group.get(title, ClickedTitle(title, 0, 0))
            group[title] = ClickedTitle(title, known.clicks + row.clicks, max(known.clients, row.clients))
    for (region, query), group in by_query.items():
        ranked = sorted(group.values(), key=lambda each: (-each.clicks, each.title))
        yield HintDocument(region, query, tuple(ranked[:max_titles]))


def write_hints(
    client: OpenSearch, rows: Sequence[HintRow], target: HintsTarget, tell: Callable[[str], None]
) -> WrittenHints:
    """Writes all hints as a new version and gives it the alias.

    Args:
        client: Of the cluster.
        rows: Of the `HINTS` mart.
        target: Where.
        tell: Called with what is being done.

    Raises:
        SourceError: OpenSearch does not do it; the alias is as it was.
        SettingError: The alias's name is that of an index.
    """
    try:
        return _write(client, rows, target, tell)
    except BulkIndexError as error:
        raise SourceError(f"hints could not be indexed: {_reason(error.errors)}") from error
    except OpenSearchException as error:
        raise SourceError(f"OpenSearch: {type(error).__name__} {_short(error)}") from error


def catalog_titles(client: OpenSearch, objects: Sequence[str], target: HintsTarget) -> Mapping[str, str]:
    """Returns the titles of those objects that the catalog has.

    Raises:
        SourceError: OpenSearch does not answer.
    """
    try:
        return _titles(client, objects, target)
    except OpenSearchException as error:
        raise SourceError(f"OpenSearch: {type(error).__name__} {_short(error)}") from error


def _write(
    client: OpenSearch, rows: Sequence[HintRow], target: HintsTarget, tell: Callable[[str], None]
) -> WrittenHints:
    serving = _serving(client, target.alias)
    versions = _versions(client, target.alias)
    left_over = [
        name for name in versions if versions[name] > max((versions.get(each, 0) for each in serving), default=0)
    ]
    for name in left_over:
        client.indices.delete(index=name)
    objects = sorted({row.object_id for row in rows})
    tell(f"titles of {len(objects):,} objects")
    titles = _titles(client, objects, target)
    documents = list(hint_documents(rows, titles, target.max_titles))
    index = f"{target.alias}-v{max(versions.values(), default=0) + 1:06d}"
    tell(f"{len(documents):,} queries into {index}")
    client.indices.create(index=index, body=_MAPPING)
    for _ in streaming_bulk(
        client, ({"_index": index, "_source": each.body()} for each in documents), chunk_size=_BATCH
    ):
        pass
    client.indices.refresh(index=index)
    count = int(client.count(index=index)["count"])
    if count != len(documents):
        raise SourceError(f"{index} has {count:,} hints of {len(documents):,}; {target.alias} is as it was")
    tell(f"{target.alias} to {index}")
    actions: list[dict[str, Any]] = [{"remove": {"index": name, "alias": target.alias}} for name in serving]
    actions.append({"add": {"index": index, "alias": target.alias}})
    client.indices.update_aliases(body={"actions": actions})
    old = sorted((name for name in versions if name not in left_over), key=lambda name: versions[name])
    deleted = tuple(name for name in old if name not in old[-(_KEPT - 1) :])
    for name in deleted:
        client.indices.delete(index=name)
    shown = sum(len(each.titles) for each in documents)
    return WrittenHints(index, len(documents), shown, len(objects) - len(titles), (*left_over, *deleted))


def _serving(client: OpenSearch, alias: str) -> list[str]:
    """The indexes behind the alias.

    Raises:
        SettingError: It is an index itself.
    """
    try:
        return sorted(client.indices.get_alias(name=alias))
    except NotFoundError:
        pass
    if client.indices.exists(index=alias):
        raise SettingError(
            f"alias {alias!r} is the name of an index; delete or rename that, or give another alias to this and to "
            "the server's hints.index"
        )
    return []


def _versions(client: OpenSearch, alias: str) -> dict[str, int]:
    """The numbers of all indexes that are versions of these hints, by name."""
    pattern = re.compile(rf"{re.escape(alias)}-v(\d{{6}})")
    names = client.indices.get(index=f"{alias}-v*", params={"ignore_unavailable": "true", "filter_path": "*.aliases"})
    found = {name: pattern.fullmatch(name) for name in names}
    return {name: int(match[1]) for name, match in found.items() if match}


def _titles(client: OpenSearch, objects: Sequence[str], target: HintsTarget) -> dict[str, str]:
    titles: dict[str, str] = {}
    for start in range(0, len(objects), _BATCH):
        batch = list(objects[start : start + _BATCH])
        for object_id, source in _sources(client, batch, target):
            title = source.get(target.title_field)
            if isinstance(title, str) and title.strip():
                titles.setdefault(object_id, title)
    return titles


def _sources(client: OpenSearch, batch: list[str], target: HintsTarget) -> Iterator[tuple[str, dict[str, Any]]]:
    """The documents of object ids; of several with one id, which the field may have, the smallest `_id`."""
    own_id = target.id_field == "_id"
    clause = {"ids": {"values": batch}} if own_id else {"terms": {target.id_field: batch}}
    after: list[Any] | None = None
    while True:
        body: dict[str, Any] = {
            "size": _BATCH,
            "query": {"bool": {"filter": [clause]}},
            "sort": [{"_id": "asc"}],
            "_source": [target.title_field] if own_id else [target.title_field, target.id_field],
        }
        if after:
            body["search_after"] = after
        hits = client.search(index=target.catalog, body=body)["hits"]["hits"]
        for hit in hits:
            source = hit["_source"]
            yield (str(hit["_id"]) if own_id else str(source.get(target.id_field, ""))), source
        if len(hits) < _BATCH:
            return
        after = hits[-1]["sort"]


def _reason(errors: Sequence[Mapping[str, Any]]) -> str:
    """The first fault's type, without the document, which has users' queries."""
    for item in errors:
        for result in item.values():
            error = result.get("error")
            return str(error.get("type")) if isinstance(error, dict) else "unknown"
    return "unknown"


def _short(error: OpenSearchException) -> str:
    return f"{getattr(error, 'status_code', '')} {getattr(error, 'error', '')}".strip()[:200]
