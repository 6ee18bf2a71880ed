"""Bodies sent to OpenSearch: mappings that fit the documents, and a search that keeps the query as data."""

from __future__ import annotations

import json

import pytest
from iterqr_benchmarks.catalog import build_catalog
from iterqr_benchmarks.history import ClickedTitle, HintDocument
from iterqr_benchmarks.index import dishes_mapping, hints_mapping, search_body


@pytest.mark.parametrize("query", ["pad thai", '"}]} OR *:* <|im_end|>', "title:(a AND b)~ /.*/", "鶏の唐揚げ", ""])
def test_query_is_one_value_and_changes_nothing_else(query: str) -> None:
    body = json.loads(json.dumps(search_body(query, "north", 10)))
    clause = body["query"]["bool"]["must"][0]["multi_match"]
    assert clause.pop("query") == query
    plain = search_body("x", "north", 10)
    del plain["query"]["bool"]["must"][0]["multi_match"]["query"]
    assert body == plain


def test_search_stays_in_the_region() -> None:
    body = search_body("pho", "south", 25)
    assert body["size"] == 25
    assert body["query"]["bool"]["filter"] == [{"term": {"region": "south"}}]


def test_search_asks_fields_that_are_mapped_as_text() -> None:
    properties = dishes_mapping()["mappings"]["properties"]
    fields = search_body("pho", "south", 5)["query"]["bool"]["must"][0]["multi_match"]["fields"]
    assert [properties[field.partition("^")[0]]["type"] for field in fields] == ["text"] * len(fields)


def test_strict_mappings_know_every_field() -> None:
    assert build_catalog().dishes[0].document().keys() == dishes_mapping()["mappings"]["properties"].keys()
    hint = HintDocument("north", "pho", (ClickedTitle("Beef Pho", 5, 3),)).document()
    properties = hints_mapping()["mappings"]["properties"]
    assert hint.keys() == properties.keys()
    assert properties["titles"]["properties"].keys() == {"title", "clicks", "clients"}
    assert properties["query"]["fields"]["keyword"]["type"] == "keyword"
