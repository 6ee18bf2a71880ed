"""Text is data: no query and no rewrite becomes query syntax, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.dish_catalog import TYPO, index_dishes
from support.plugin_search import PluginSearch, channel_names, facts, hits, ids, match, outcome, refusal, untagged
from support.scripted_service import answers, scripted_service

pytestmark = pytest.mark.node

INJECTION = '"}]} OR *:* <|im_end|>'

HOSTILE = (
    INJECTION,
    "*:*",
    "title:* OR price:[0 TO 9]",
    "_exists_:title",
    "pizza OR noodles",
    "NOT pizza",
    "+pad -thai",
    "pad AND noodles",
    "pad && noodles || pizza",
    "/.*/ pad",
    "pa* no?dles",
    "noodels~2 pad^9",
    '"pad thai"~5 | pizza',
    '"unbalanced (thai',
    "price:>3 thai",
    "{price TO *}",
    "thai\\ noodles \\",
    "doc['price'].value",
    "${pad} {{pad}} %{pad}",
    "pizza\u3000OR\u3000noodles",
    "NOT\u3000pizza\u3000AND\u00a0thai",
)

SHAPES: dict[str, Callable[[str], dict[str, Any]]] = {
    "match": match,
    "multi_match": lambda text: {"multi_match": {"query": text, "fields": ["title^2"]}},
    "query_string": lambda text: {"query_string": {"query": text, "default_field": "title"}},
    "simple_query_string": lambda text: {"simple_query_string": {"query": text, "fields": ["title"]}},
    "simple_query_string with few operators": lambda text: {
        "simple_query_string": {"query": text, "fields": ["title"], "flags": "OR|AND|PREFIX"}
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def odd_index(plugin: PluginSearch) -> str:
    """Dishes, and one whose title has the words of the injection."""
    index = plugin.node.unique_name("odd")
    index_dishes(plugin.client, index)
    plugin.client.index(index=index, id="odd", body={"title": "or im_end"}, params={"refresh": "true"})
    return index


@pytest.fixture(scope="module")
def wide(plugin: PluginSearch) -> str:
    """A pipeline whose windows and pages take the whole index."""
    return plugin.create_pipeline({"window_size": 100})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", HOSTILE)
def test_a_rewrite_is_searched_for_as_words(
    plugin: PluginSearch, odd_index: str, wide: str, shape: str, text: str
) -> None:
    """Whatever a rewrite says, its channel retrieves what a match query for the same words does."""
    with scripted_service(answers(text)) as service, plugin.served_by(service.address):
        response = plugin.search({"query": SHAPES[shape](TYPO), "size": 100}, index=odd_index, pipeline=wide)
    assert outcome(response) == "fused"
    assert [rewrite["text"] for rewrite in facts(response)["rewrites"]] == [text]
    words = plugin.plain({"query": match(text), "size": 100}, index=odd_index)
    retrieved = {hit["_id"] for hit in hits(response) if text in channel_names(hit)}
    assert retrieved == set(ids(words))
    assert facts(response)["rewrites"][0]["retrieved"] == len(retrieved)


def test_the_injection_retrieves_only_its_words(plugin: PluginSearch, odd_index: str) -> None:
    """So that the test above cannot pass because match finds everything as well."""
    assert ids(plugin.plain({"query": match(INJECTION), "size": 50}, index=odd_index)) == ["odd"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", HOSTILE)
def test_a_users_query_changes_nothing_but_what_it_says_itself(plugin: PluginSearch, shape: str, text: str) -> None:
    """The original's search is the user's own, its syntax and its errors included."""
    body = {"query": SHAPES[shape](text), "size": 20}
    refused = refusal(lambda: plugin.plain(body))
    if refused:
        assert refusal(lambda: plugin.search(body)) == refused
        return
    plain, response = plugin.plain(body), plugin.search(body)
    assert outcome(response) in ("no_rewrites", "skipped_no_text")
    assert [untagged(hit) for hit in hits(response)] == hits(plain)
    assert response["hits"]["total"] == plain["hits"]["total"]


def test_the_server_gets_the_query_as_it_is(plugin: PluginSearch) -> None:
    with scripted_service(answers()) as service, plugin.served_by(service.address):
        plugin.search({"query": match(INJECTION)})
    assert [call.request.query for call in service.calls] == [INJECTION]
