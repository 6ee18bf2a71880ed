"""Checks requests. Pure; every fault names field and limit."""

from __future__ import annotations

import re
from dataclasses import dataclass

from iterqr.rewrite.v1.query_rewrite_service_pb2 import RewriteQueryRequest, ScoreRewritesRequest
from iterqr_proto.rewrite_format import MAX_LINE_CHARS, clean_text

from iterqr_server.config import MAX_REWRITES_LIMIT

MAX_QUERY_CHARS = 256
MAX_NAME_CHARS = 64
MAX_CLIENT_ID_HASH_CHARS = 128
MAX_SCORED = 64
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_REQUEST_ID_RULE = "must be 1 to 64 characters of [A-Za-z0-9_.:-]"


class InvalidFieldError(ValueError):
    """A field of a request is wrong. `field` is empty if the message as a whole is."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}" if field else description)
        self.field = field
        self.description = description


@dataclass(frozen=True, slots=True)
class ValidRequest:
    """A RewriteQueryRequest within its limits. `query` is cleaned."""

    query: str
    region: str
    tenant: str
    max_rewrites: int


@dataclass(frozen=True, slots=True)
class ValidScoring:
    """A ScoreRewritesRequest within its limits. `query` and `rewrites` are cleaned."""

    query: str
    rewrites: tuple[str, ...]
    region: str
    tenant: str


def validate(request: RewriteQueryRequest, default_max_rewrites: int) -> ValidRequest:
    """Returns the request's fields, cleaned and with defaults.

    Raises:
        InvalidFieldError: a field breaks its limit.
    """
    _check_request_id(request.request_id)
    query = _check_text("query", request.query, MAX_QUERY_CHARS)
    if not 0 <= request.max_rewrites <= MAX_REWRITES_LIMIT:
        raise InvalidFieldError(
            "max_rewrites",
            f"must be 1 to {MAX_REWRITES_LIMIT}, or 0 for the server's default, got {request.max_rewrites}",
        )
    _check_length("client_id_hash", request.client_id_hash, MAX_CLIENT_ID_HASH_CHARS)
    return ValidRequest(
        query=query,
        region=_check_length("region", request.region, MAX_NAME_CHARS),
        tenant=_check_length("tenant", request.tenant, MAX_NAME_CHARS),
        max_rewrites=request.max_rewrites or default_max_rewrites,
    )


def validate_scoring(request: ScoreRewritesRequest) -> ValidScoring:
    """Returns the request's fields, cleaned.

    Raises:
        InvalidFieldError: a field breaks its limit; that of a rewrite is `rewrites[index]`.
    """
    _check_request_id(request.request_id)
    query = _check_text("query", request.query, MAX_QUERY_CHARS)
    if not 1 <= len(request.rewrites) <= MAX_SCORED:
        raise InvalidFieldError("rewrites", f"must be 1 to {MAX_SCORED} rewrites, got {len(request.rewrites)}")
    return ValidScoring(
        query=query,
        rewrites=tuple(_check_text(f"rewrites[{i}]", text, MAX_LINE_CHARS) for i, text in enumerate(request.rewrites)),
        region=_check_length("region", request.region, MAX_NAME_CHARS),
        tenant=_check_length("tenant", request.tenant, MAX_NAME_CHARS),
    )


def require_request_id(request_id: str) -> str:
    """Returns the id of a request in a stream.

    Raises:
        InvalidFieldError: it is missing or malformed.
    """
    if not request_id:
        raise InvalidFieldError("request_id", f"is required in a stream; {_REQUEST_ID_RULE}")
    _check_request_id(request_id)
    return request_id


def is_request_id(text: str) -> bool:
    """Whether a text may name a request in logs and metadata."""
    return _REQUEST_ID.fullmatch(text) is not None


def _check_request_id(request_id: str) -> None:
    if request_id and not is_request_id(request_id):
        raise InvalidFieldError("request_id", _REQUEST_ID_RULE)


def _check_text(field: str, text: str, limit: int) -> str:
    """Returns the text cleaned."""
    cleaned = clean_text(text)
    if not cleaned:
        raise InvalidFieldError(field, f"must not be empty; the limit is 1 to {limit} characters")
    return _check_length(field, cleaned, limit)


def _check_length(field: str, value: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidFieldError(field, f"must be at most {limit} characters, got {len(value)}")
    return value
