"""Requests whose bytes do not parse reach their handlers too, so that the caller hears which field is wrong.

protobuf refuses strings that are not UTF-8, and gRPC alone would say INTERNAL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from iterqr_server.api.validation import InvalidFieldError

_WIRE_TYPE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Stands for a request whose bytes do not parse."""

    reason: InvalidFieldError


def tolerant(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Returns a deserializer that gives `Undecodable` where the given one, a message's `FromString`, raises."""
    if deserialize is None:
        return None
    message_type: type[Message] = getattr(deserialize, "__self__")  # noqa: B009 - the class of its FromString

    def decode(data: bytes) -> Any:  # noqa: ANN401 - a message or Undecodable
        try:
            return deserialize(data)
        except DecodeError:
            return Undecodable(explain_undecodable(message_type, data))

    return decode


def explain_undecodable(message_type: type[Message], data: bytes) -> InvalidFieldError:
    """Returns what is wrong with bytes that do not parse as `message_type`: which string is not UTF-8, usually."""
    error = _wrong_string(message_type.DESCRIPTOR, data, "")
    return error or InvalidFieldError("", f"the request is not a {message_type.DESCRIPTOR.name} message")


def _wrong_string(message_type: Any, data: bytes, outer: str) -> InvalidFieldError | None:  # noqa: ANN401
    """The first string that is not UTF-8, such as `request.query` or `rewrites[3]`. The type is a descriptor."""
    try:
        fields: Any = UnknownFieldSet(Empty.FromString(data))  # iterable, which its stub does not say
    except DecodeError:
        return None
    seen: Counter[str] = Counter()
    for field in fields:
        known = message_type.fields_by_number.get(field.field_number)
        if not known or field.wire_type != _WIRE_TYPE_BYTES:
            continue
        name = outer + (f"{known.name}[{seen[known.name]}]" if known.is_repeated else known.name)
        seen[known.name] += 1
        if known.type == FieldDescriptor.TYPE_STRING:
            try:
                field.data.decode("utf-8")
            except UnicodeDecodeError as error:
                return InvalidFieldError(name, f"must be valid UTF-8; byte {error.start} is not")
        elif known.message_type and (inner := _wrong_string(known.message_type, field.data, f"{name}.")):
            return inner
    return None
