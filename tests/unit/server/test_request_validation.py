"""Every fault of a request names field and limit."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from iterqr.rewrite.v1.query_rewrite_service_pb2 import (
    RewriteQueriesRequest,
    RewriteQueryRequest,
    ScoreRewritesRequest,
)
from iterqr_server.api.decoding import explain_undecodable
from iterqr_server.api.validation import InvalidFieldError, validate, validate_scoring


def test_a_valid_request_is_cleaned_and_gets_defaults() -> None:
    valid = validate(RewriteQueryRequest(query="  pad\u0000 tai\n", region="north"), default_max_rewrites=3)
    assert (valid.query, valid.region, valid.max_rewrites) == ("pad tai", "north", 3)


@pytest.mark.parametrize(
    ("request_", "field", "said"),
    [
        (RewriteQueryRequest(), "query", "1 to 256"),
        (RewriteQueryRequest(query=" \t\u200b\u202e"), "query", "must not be empty"),
        (RewriteQueryRequest(query="x" * 257), "query", "at most 256 characters, got 257"),
        (RewriteQueryRequest(query="x", region="r" * 65), "region", "at most 64 characters, got 65"),
        (RewriteQueryRequest(query="x", tenant="t" * 65), "tenant", "at most 64"),
        (RewriteQueryRequest(query="x", client_id_hash="c" * 129), "client_id_hash", "at most 128"),
        (RewriteQueryRequest(query="x", max_rewrites=9), "max_rewrites", "1 to 8"),
        (RewriteQueryRequest(query="x", max_rewrites=-1), "max_rewrites", "got -1"),
        (RewriteQueryRequest(query="x", request_id="a b"), "request_id", "[A-Za-z0-9_.:-]"),
        (RewriteQueryRequest(query="x", request_id="a" * 65), "request_id", "1 to 64"),
        (RewriteQueryRequest(query="x", request_id="a\n"), "request_id", "1 to 64"),
    ],
)
def test_faults(request_: RewriteQueryRequest, field: str, said: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        validate(request_, default_max_rewrites=3)
    assert caught.value.field == field
    assert said in caught.value.description
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("request_", "field", "said"),
    [
        (ScoreRewritesRequest(rewrites=["a"]), "query", "1 to 256"),
        (ScoreRewritesRequest(query="x" * 257, rewrites=["a"]), "query", "at most 256 characters, got 257"),
        (ScoreRewritesRequest(query="x"), "rewrites", "must be 1 to 64 rewrites, got 0"),
        (ScoreRewritesRequest(query="x", rewrites=["a"] * 65), "rewrites", "must be 1 to 64 rewrites, got 65"),
        (ScoreRewritesRequest(query="x", rewrites=["a", "b", "c", " \n"]), "rewrites[3]", "must not be empty"),
        (ScoreRewritesRequest(query="x", rewrites=["a", "b" * 121]), "rewrites[1]", "at most 120 characters, got 121"),
        (ScoreRewritesRequest(query="x", rewrites=["a"], region="r" * 65), "region", "at most 64"),
        (ScoreRewritesRequest(query="x", rewrites=["a"], tenant="t" * 65), "tenant", "at most 64"),
        (ScoreRewritesRequest(query="x", rewrites=["a"], request_id="a b"), "request_id", "1 to 64"),
    ],
)
def test_faults_of_scoring(request_: ScoreRewritesRequest, field: str, said: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        validate_scoring(request_)
    assert caught.value.field == field
    assert said in caught.value.description


def test_a_valid_scoring_is_cleaned() -> None:
    request = ScoreRewritesRequest(query=" pad\ttai", rewrites=["a" * 120 + " ", "b"], region="north", tenant="t")
    valid = validate_scoring(request)
    assert (valid.query, valid.rewrites) == ("pad tai", ("a" * 120, "b"))
    assert (valid.region, valid.tenant) == ("north", "t")


@pytest.mark.parametrize("query", ["x" * 256, " " * 300 + "x", "面" * 256])
def test_the_limit_counts_characters_after_cleaning(query: str) -> None:
    assert validate(RewriteQueryRequest(query=query), 3).query == query.strip()


@pytest.mark.parametrize(
    ("message_type", "data", "field", "said"),
    [
        (RewriteQueryRequest, b"\x0a\x03ab\xff", "query", "must be valid UTF-8; byte 2 is not"),
        (RewriteQueryRequest, b"\x0a\x01q\x12\x01\xc3", "region", "must be valid UTF-8; byte 0 is not"),
        (RewriteQueryRequest, b"\xff\xff", "", "the request is not a RewriteQueryRequest message"),
        (RewriteQueryRequest, b"\x0a\x10ab", "", "the request is not a RewriteQueryRequest message"),
        (RewriteQueriesRequest, b"\x0a\x05\x0a\x03ab\xff", "request.query", "must be valid UTF-8; byte 2 is not"),
        (RewriteQueriesRequest, b"\x0a\x02\xff\xff", "", "the request is not a RewriteQueriesRequest message"),
        (ScoreRewritesRequest, b"\x12\x01a\x12\x01\xff", "rewrites[1]", "must be valid UTF-8; byte 0 is not"),
    ],
)
def test_bytes_that_do_not_parse(message_type: type[Message], data: bytes, field: str, said: str) -> None:
    fault = explain_undecodable(message_type, data)
    assert fault.field == field
    assert fault.description == said
