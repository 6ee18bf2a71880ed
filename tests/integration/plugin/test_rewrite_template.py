"""`rewrite_query`: rewrites searched for by a template, where the user's query has no text to replace."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from support.dish_catalog import REWRITES, TYPO
from support.fusion_oracle import fused_scores, window
from support.plugin_search import PluginSearch, channel_names, facts, hits, ids, match, outcome, refusal
from support.scripted_service import answers, scripted_service

pytestmark = pytest.mark.node

SOUTH = {"term": {"region": "south"}}
FREE = {"term": {"price": 0}}
TEXTS = REWRITES[TYPO]
TEMPLATE: dict[str, Any] = {"multi_match": {"query": "{{rewrite}}", "fields": ["title^2", "description"]}}
GIVEN = {"ext": {"iterqr": {"query": TYPO}}}
PAD = {"term": {"title": "pad"}}


def packed(query: dict[str, Any]) -> dict[str, Any]:
    return {"wrapper": {"query": base64.b64encode(json.dumps(query).encode()).decode()}}


WITHOUT_TEXT: dict[str, dict[str, Any]] = {
    "term": PAD,
    "span": {"span_near": {"clauses": [{"span_term": {"title": "pad"}}], "slop": 1}},
    "wrapper": packed(match(TYPO)),
    "script_score": {"script_score": {"query": PAD, "script": {"source": "_score + doc['price'].value"}}},
    "function_score": {"function_score": {"query": PAD, "field_value_factor": {"field": "price", "missing": 1}}},
    "two texts": {"bool": {"should": [match(TYPO), match("pizza")]}},
}
RESTRICTED: dict[str, dict[str, Any]] = {
    "bool": {"bool": {"must": [PAD], "filter": [SOUTH], "must_not": [FREE]}},
    "function_score": {
        "function_score": {"query": {"bool": {"must": [PAD], "filter": [SOUTH], "must_not": [FREE]}}, "boost": 2}
    },
    "wrapper": packed({"bool": {"must": [PAD], "filter": [SOUTH], "must_not": [FREE]}}),
}


def filled(text: str) -> dict[str, Any]:
    return {"multi_match": {**TEMPLATE["multi_match"], "query": text}}


@pytest.fixture(scope="module")
def templated(plugin: PluginSearch) -> PluginSearch:
    """Searches through a pipeline whose rewrites have a shape of their own."""
    return PluginSearch(plugin.node, plugin.index, plugin.create_pipeline({"rewrite_query": TEMPLATE}))


@pytest.mark.parametrize("name", WITHOUT_TEXT)
def test_a_query_without_text_to_replace_is_served(plugin: PluginSearch, templated: PluginSearch, name: str) -> None:
    body = {"query": WITHOUT_TEXT[name], "size": 40, "post_filter": SOUTH}
    windows = {"original": window(plugin, body, size=50)}
    windows |= {text: window(plugin, {**body, "query": filled(text)}, size=50) for text in TEXTS}
    if name in ("term", "two texts"):
        assert outcome(plugin.search(body)) == "skipped_no_text"
    response = templated.search({**body, **GIVEN})
    assert outcome(response) == "fused"
    assert facts(response)["query"] == TYPO
    ranked = sorted(fused_scores(windows).values(), reverse=True)[:40]
    assert [hit["_score"] for hit in hits(response)] == pytest.approx(ranked)
    for hit in hits(response):
        assert set(channel_names(hit)) == {channel for channel, found in windows.items() if hit["_id"] in found}
    assert any("original" not in channel_names(hit) for hit in hits(response))


def test_a_requests_template_goes_before_the_pipelines(plugin: PluginSearch, templated: PluginSearch) -> None:
    body = {"query": PAD, "size": 8}
    mine = {"match": {"title": {"query": "{{rewrite}}", "operator": "and"}}}

    def ext(template: dict[str, Any] | None, **more: object) -> dict[str, Any]:
        return {"ext": {"iterqr": {"query": TYPO, **({"rewrite_query": template} if template else {}), **more}}}

    windows = {"original": window(plugin, body, size=50)}
    windows |= {
        text: window(plugin, {**body, "query": {"match": {"title": {"query": text, "operator": "and"}}}}, size=50)
        for text in TEXTS
    }
    ranked = sorted(fused_scores(windows).values(), reverse=True)[:8]
    for searching in (plugin, templated):
        response = searching.search({**body, **ext(mine)})
        assert outcome(response) == "fused"
        assert [hit["_score"] for hit in hits(response)] == pytest.approx(ranked)
    token = facts(response)["page_token"]
    later = {**body, "from": 4, "size": 4}
    assert outcome(templated.search({**later, **ext(mine, page_token=token)})) == "fused"
    assert outcome(templated.search({**later, **ext(TEMPLATE, page_token=token)})) == "page_unpinned"
    assert outcome(templated.search({**later, **ext(None, page_token=token)})) == "page_unpinned"


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("soup", "must be an object"),
        (match("soup"), "must have {{rewrite}}"),
        (match("a {{rewrite}}"), "match.title"),
        ({"match": {"title": {"query": "{{rewrite}}", "colour": 1}}}, "must be a query"),
        ({"match": {"t" * 17_000: "{{rewrite}}"}}, "16384 bytes"),
    ],
)
def test_a_requests_template_is_refused_by_name(plugin: PluginSearch, template: object, named: str) -> None:
    told = str(refusal(lambda: plugin.search({"query": PAD, "ext": {"iterqr": {"rewrite_query": template}}})))
    assert "ext.iterqr.rewrite_query" in told
    assert named in told


@pytest.mark.parametrize("name", RESTRICTED)
def test_the_users_restrictions_hold_for_rewrites(plugin: PluginSearch, templated: PluginSearch, name: str) -> None:
    response = templated.search({"query": RESTRICTED[name], "size": 40, **GIVEN})
    assert outcome(response) == "fused"
    retrieved: set[str] = set()
    for text in TEXTS:
        restricted = {"bool": {"must": [filled(text)], "filter": [SOUTH], "must_not": [FREE]}}
        retrieved |= set(ids(plugin.plain({"query": restricted, "size": 50})))
    assert {hit["_id"] for hit in hits(response) if set(channel_names(hit)) & set(TEXTS)} == retrieved
    assert {hit["_source"]["region"] for hit in hits(response)} == {"south"}
    assert all(hit["_source"]["price"] > 0 for hit in hits(response))
    assert any("original" not in channel_names(hit) for hit in hits(response))


def test_filters_of_other_processors_hold(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({"rewrite_query": TEMPLATE}, after=[{"filter_query": {"query": SOUTH}}])
    query = {"function_score": {"query": {"bool": {"must": [PAD], "must_not": [FREE]}}}}
    response = plugin.search({"query": query, "size": 40, **GIVEN}, pipeline=pipeline)
    assert outcome(response) == "fused"
    assert any("original" not in channel_names(hit) for hit in hits(response))
    assert {hit["_source"]["region"] for hit in hits(response)} == {"south"}
    assert all(hit["_source"]["price"] > 0 for hit in hits(response))


def test_the_text_may_be_what_the_user_typed_by_ubi(templated: PluginSearch) -> None:
    response = templated.search({"query": PAD, "ext": {"ubi": {"user_query": TYPO}}})
    assert outcome(response) == "fused"
    assert facts(response)["query"] == TYPO
    assert outcome(templated.search({"query": PAD})) == "skipped_no_text"


def test_hits_of_a_rewrite_show_its_words(templated: PluginSearch) -> None:
    body = {"query": PAD, "size": 40, "highlight": {"fields": {"title": {}}}, **GIVEN}
    response = templated.search(body)
    for hit in hits(response):
        if channel_names(hit) == ["thai noodles"]:
            assert "<em>noodles</em>" in hit["highlight"]["title"][0]
    assert any(channel_names(hit) == ["thai noodles"] for hit in hits(response))


def test_a_page_belongs_to_its_template(plugin: PluginSearch, templated: PluginSearch) -> None:
    body = {"query": PAD, "size": 7}
    whole = ids(templated.search({"query": PAD, "size": 42, **GIVEN}))
    seen: list[str] = []
    token: dict[str, str] = {}
    while len(seen) < len(whole):
        ext = {"iterqr": {"query": TYPO, **token}}
        page = templated.search({**body, "from": len(seen), "ext": ext})
        assert outcome(page) == "fused"
        token = {"page_token": facts(page)["page_token"]}
        seen += ids(page)
    assert seen == whole
    other = plugin.create_pipeline({"rewrite_query": {"match": {"title": "{{rewrite}}"}}})
    page = plugin.search({**body, "from": 7, "ext": {"iterqr": {"query": TYPO, **token}}}, pipeline=other)
    assert outcome(page) == "page_unpinned"


def test_expand_adds_the_template_with_all_words(plugin: PluginSearch, templated: PluginSearch) -> None:
    query = {"bool": {"must": [PAD], "filter": [SOUTH]}}
    ext = {"iterqr": {"query": TYPO, "mode": "expand"}}
    response = templated.search({"query": query, "size": 50, "sort": [{"price": "desc"}], "ext": ext})
    assert outcome(response) == "expanded"
    all_words = {"multi_match": {**TEMPLATE["multi_match"], "operator": "and"}}
    expected = set(ids(plugin.plain({"query": query, "size": 50})))
    own = len(expected)
    for text in TEXTS:
        clause = {"multi_match": {**all_words["multi_match"], "query": text}}
        expected |= set(ids(plugin.plain({"query": {"bool": {"must": [clause], "filter": [SOUTH]}}, "size": 50})))
    assert set(ids(response)) == expected
    assert len(expected) > own


@pytest.mark.parametrize("text", ['"}},{"match_all":{', "*:*", "pizza OR noodles", "{{rewrite}} pad"])
@pytest.mark.parametrize("clause", ["match", "query_string", "simple_query_string"])
def test_a_rewrite_in_a_template_is_data(plugin: PluginSearch, clause: str, text: str) -> None:
    template = (
        {"match": {"title": "{{rewrite}}"}}
        if clause == "match"
        else {clause: {"query": "{{rewrite}}", "fields": ["title"]}}
    )
    pipeline = plugin.create_pipeline({"rewrite_query": template, "window_size": 100})
    with scripted_service(answers(text)) as service, plugin.served_by(service.address):
        response = plugin.search({"query": PAD, "size": 100, **GIVEN}, pipeline=pipeline)
    assert outcome(response) == "fused"
    retrieved = {hit["_id"] for hit in hits(response) if text in channel_names(hit)}
    assert retrieved == set(ids(plugin.plain({"query": match(text), "size": 100})))


def test_a_script_gets_the_rewrite_as_a_parameter(plugin: PluginSearch) -> None:
    source = "doc['title.keyword'].value.contains(params.text) ? 2 : 0"
    script = {"source": source, "params": {"text": "{{rewrite}}"}}
    template = {"script_score": {"query": {"match_all": {}}, "script": script}}
    pipeline = plugin.create_pipeline({"rewrite_query": template, "window_size": 100})
    response = plugin.search({"query": PAD, "size": 100, **GIVEN}, pipeline=pipeline)
    assert outcome(response) == "fused"
    for hit in hits(response):
        assert [text for text in TEXTS if text in hit["_source"]["title"]] == [
            name for name in channel_names(hit) if name != "original"
        ]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{rewrite}}", "rewrite_query"),
        ({"match": {"title": "soup"}}, "must have {{rewrite}}"),
        ({"match": {"title": "a {{rewrite}}"}}, "match.title"),
        ({"term": {"title": "{{rewrite}}"}}, "term.title"),
        ({"script": {"script": {"source": "{{rewrite}}"}}}, "script.script.source"),
        ({"match": {"title": {"query": "{{rewrite}}", "qurey": 1}}}, "must be a query"),
        ({"bool": {"must": [match("{{rewrite}}")], "filter": [{"trem": {"a": 1}}]}}, "must be a query"),
    ],
    ids=str,
)
def test_a_wrong_template_is_refused(plugin: PluginSearch, template: object, reason: str) -> None:
    told = json.dumps(refusal(lambda: plugin.create_pipeline({"rewrite_query": template})))
    assert "rewrite_query" in told
    assert reason in told
