"""Checks requests. Pure; every fault names field and limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from iterqr.rewrite.v1.query_rewrite_service_pb2 import RewriteQueryRequest
from iterqr_proto.rewrite_format import clean_text

from iterqr_server.config import MAX_REWRITES_LIMIT

MAX_QUERY_CHARS = 256
MAX_NAME_CHARS = 64
MAX_CLIENT_ID_HASH_CHARS = 128
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_WIRE_TYPE_BYTES = 2


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


def validate(request: RewriteQueryRequest, default_max_rewrites: int) -> ValidRequest:
    """Returns the request's fields, cleaned and with defaults.

    Raises:
        InvalidFieldError: a field breaks its limit.
    """
    if request.request_id and not is_request_id(request.request_id):
        raise InvalidFieldError("request_id", "must be 1 to 64 characters of [A-Za-z0-9_.:-]")
    query = clean_text(request.query)
    if not query:
        raise InvalidFieldError("query", f"must not be empty; the limit is 1 to {MAX_QUERY_CHARS} characters")
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidFieldError("query", f"must be at most {MAX_QUERY_CHARS} characters, got {len(query)}")
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


def is_request_id(text: str) -> bool:
    """Whether a text may name a request in logs and metadata."""
    return _REQUEST_ID.fullmatch(text) is not None


def explain_undecodable(message_type: type[Message], data: bytes) -> InvalidFieldError:
    """Returns what is wrong with bytes that do not parse as `message_type`: which string is not UTF-8, usually."""
    try:
        fields: Any = UnknownFieldSet(Empty.FromString(data))  # iterable, which its stub does not say
    except DecodeError:
        return InvalidFieldError("", f"the request is not a {message_type.DESCRIPTOR.name} message")
    for field in fields:
        known = message_type.DESCRIPTOR.fields_by_number.get(field.field_number)
        if known and known.type == FieldDescriptor.TYPE_STRING and field.wire_type == _WIRE_TYPE_BYTES:
            try:
                field.data.decode("utf-8")
            except UnicodeDecodeError as error:
                return InvalidFieldError(known.name, f"must be valid UTF-8; byte {error.start} is not")
    return InvalidFieldError("", f"the request is not a {message_type.DESCRIPTOR.name} message")


def _check_length(field: str, value: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidFieldError(field, f"must be at most {limit} characters, got {len(value)}")
    return value
