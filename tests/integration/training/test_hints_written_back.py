"""Hints in a real node: the server finds them, the alias moves at once, and a crash leaves the old ones serving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from iterqr_server.config import HintsConfig
from iterqr_server.hints.interface import HintsOutcome
from iterqr_server.hints.opensearch_source import OpenSearchHints
from iterqr_training.errors import SettingError, SourceError
from iterqr_training.signals.hints_index import HintRow, HintsTarget, WrittenHints, write_hints
from opensearchpy import OpenSearch
from support.opensearch_node import RunningNode

pytestmark = pytest.mark.node

ROWS = [
    HintRow("north", "pad tai", "d1", 9, 3),
    HintRow("north", "pad tai", "d2", 30, 7),
    HintRow("south", "pad tai", "d3", 5, 4),
    HintRow("north", '"}]} or *:* <|im_end|>', "d1", 5, 4),
    HintRow("north", "soup", "gone", 5, 4),
]


@dataclass(frozen=True, slots=True)
class Place:
    """A catalog, and names for hints that no other test uses."""

    url: str
    client: OpenSearch
    target: HintsTarget

    def write(self, rows: list[HintRow] | None = None) -> WrittenHints:
        return write_hints(self.client, ROWS if rows is None else rows, self.target, lambda _step: None)

    def serving(self) -> list[str]:
        return sorted(self.client.indices.get_alias(name=self.target.alias))

    def versions(self) -> list[str]:
        return sorted(self.client.indices.get(index=f"{self.target.alias}-v*"))

    async def found(self, region: str, query: str) -> tuple[HintsOutcome, tuple[str, ...]]:
        source = OpenSearchHints(HintsConfig(url=self.url, index=self.target.alias, budget_ms=5_000))
        try:
            await source.start()
            hints = await source.read(region, query)
        finally:
            await source.close()
        return hints.outcome, hints.titles


@pytest.fixture
def place(opensearch_node: RunningNode) -> Iterator[Place]:
    client = opensearch_node.client
    catalog, alias = opensearch_node.unique_name("catalog"), opensearch_node.unique_name("hints")
    mapping = {"properties": {"dish_id": {"type": "keyword"}, "name": {"type": "text"}}}
    client.indices.create(index=catalog, body={"mappings": mapping})
    dishes = [
        ("d1", "Pad Thai Shrimp"),
        ("d2", "Pad Thai Tofu"),
        ("d3", "Southern Pad Thai"),
        ("d3", "Of another size"),
    ]
    for number, (dish_id, name) in enumerate(dishes):
        client.index(index=catalog, id=str(number), body={"dish_id": dish_id, "name": name}, params={"refresh": "true"})
    yield Place(
        opensearch_node.url, client, HintsTarget(alias, catalog, id_field="dish_id", title_field="name", max_titles=8)
    )
    client.indices.delete(index=f"{catalog},{alias}*", params={"ignore_unavailable": "true"})


async def test_the_server_reads_what_was_written(place: Place) -> None:
    written = place.write()
    assert (written.documents, written.titles, written.untitled) == (3, 4, 1)
    assert await place.found("north", "pad tai") == (HintsOutcome.EXACT, ("Pad Thai Tofu", "Pad Thai Shrimp"))
    assert await place.found("south", "pad tai") == (HintsOutcome.EXACT, ("Southern Pad Thai",))
    assert await place.found("north", '"}]} or *:* <|im_end|>') == (HintsOutcome.EXACT, ("Pad Thai Shrimp",))
    assert await place.found("north", "soup") == (HintsOutcome.NONE, ())


def test_titles_by_the_documents_own_ids(place: Place) -> None:
    own = replace(place, target=replace(place.target, id_field="_id"))
    written = own.write([HintRow("north", "pad tai", "1", 9, 3)])
    found = place.client.search(index=place.target.alias)["hits"]["hits"][0]["_source"]
    assert written.untitled == 0
    assert found["titles"] == [{"title": "Pad Thai Tofu", "clicks": 9, "clients": 3}]


async def test_the_alias_moves_and_one_old_version_stays(place: Place) -> None:
    first, second = place.write(), place.write([HintRow("south", "pad tai", "d1", 9, 3)])
    assert place.serving() == [second.index]
    assert await place.found("south", "pad tai") == (HintsOutcome.EXACT, ("Pad Thai Shrimp",))
    third = place.write()
    assert third.deleted == (first.index,)
    assert place.versions() == [second.index, third.index]
    assert place.serving() == [third.index]


def test_no_hints_are_an_empty_index(place: Place) -> None:
    written = place.write([])
    assert (written.documents, place.serving()) == (0, [written.index])


@pytest.mark.parametrize("step", ["queries into", " to "])
def test_a_crash_leaves_the_old_hints_serving(place: Place, step: str) -> None:
    first = place.write()

    def crash(told: str) -> None:
        if step in told:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_hints(place.client, [], place.target, crash)
    assert place.serving() == [first.index]
    second = place.write()
    assert place.serving() == [second.index]
    assert place.versions() == [first.index, second.index]


def test_an_index_of_the_alias_s_name_is_left_alone(place: Place) -> None:
    place.client.indices.create(index=place.target.alias)
    with pytest.raises(SettingError, match="is the name of an index; delete or rename that"):
        place.write()
    assert place.versions() == []


def test_another_index_behind_the_alias_is_replaced_and_kept(place: Place) -> None:
    by_hand = f"{place.target.alias}-by-hand"
    place.client.indices.create(index=by_hand, body={"aliases": {place.target.alias: {}}})
    written = place.write()
    assert place.serving() == [written.index]
    assert place.client.indices.exists(index=by_hand)


def test_a_catalog_that_is_not_there_is_named(place: Place) -> None:
    nowhere = replace(place, target=replace(place.target, catalog="no-such-catalog"))
    with pytest.raises(SourceError, match="404 index_not_found_exception"):
        nowhere.write()
    assert place.versions() == []
