"""Reads the fields of a document that anybody may have written: what is not as it should be has a reason and a path."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from iterqr_training.errors import SourceError
from iterqr_training.signals.collect.times import time_us

Json = Mapping[str, object]
# Events are of these years: a wrong clock may not make partitions without end.
_FIRST_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_END_US = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_MAX_INTEGER = 2**31 - 1


class Reason(StrEnum):
    """Why a document was not taken."""

    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    REPEATED = "repeated"
    NO_SOURCE = "no_source"


class MalformedDocumentError(SourceError):
    """A document is not as its specification says. It has no values of the document."""

    def __init__(self, reason: Reason, field: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.reason = reason
        self.field = field


def find(source: Json, path: str, *, within: str = "") -> object:
    """Returns the value at a path of names joined by dots; None where it, or what it would be in, is missing.

    Here and below, `within` is the path of `source` in its document, for errors.

    Raises:
        MalformedDocumentError: What it would be in is not an object.
    """
    if "." not in path:
        return source.get(path)
    value: object = source
    for name in path.split("."):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _malformed(Reason.WRONG_TYPE, path, within)
        value = value.get(name)
    return value


def text(source: Json, path: str, *, within: str = "", required: bool = False) -> str:
    """Returns a text; "" where it is missing. A whole number is taken as its digits, as keyword fields take it.

    Raises:
        MalformedDocumentError: It is of another type, or missing or "" and required.
    """
    value = find(source, path, within=within)
    if value is None or value == "":
        if required:
            raise _malformed(Reason.MISSING, path, within)
        return ""
    if isinstance(value, str):
        return value if value.isascii() else _well_formed(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _malformed(Reason.WRONG_TYPE, path, within)


def integer(source: Json, path: str, *, within: str = "", least: int = 0, required: bool = False) -> int | None:
    """Returns a whole number from `least` to 2^31 - 1, also one written as text or with a fraction of zero.

    Raises:
        MalformedDocumentError: It is anything else, or missing and required.
    """
    value = number(source, path, within=within, required=required)
    if value is None:
        return None
    if value != int(value):
        raise _malformed(Reason.WRONG_TYPE, path, within)
    if not least <= value <= _MAX_INTEGER:
        raise _malformed(Reason.OUT_OF_RANGE, path, within)
    return int(value)


def number(source: Json, path: str, *, within: str = "", required: bool = False) -> float | None:
    """Returns a finite number, also one written as text; None where it is missing.

    Raises:
        MalformedDocumentError: It is of another type or not finite, or missing and required.
    """
    value = find(source, path, within=within)
    if value is None:
        if required:
            raise _malformed(Reason.MISSING, path, within)
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _malformed(Reason.WRONG_TYPE, path, within)
    try:
        read = float(value)
    except ValueError as error:
        raise _malformed(Reason.WRONG_TYPE, path, within) from error
    except OverflowError as error:
        raise _malformed(Reason.OUT_OF_RANGE, path, within) from error
    if not math.isfinite(read):
        raise _malformed(Reason.OUT_OF_RANGE, path, within)
    return read


def time(source: Json, path: str, *, within: str = "") -> int:
    """Returns a time in microseconds since 1970; it is required.

    Raises:
        MalformedDocumentError: It is missing, no time, or not from the years 2000 to 2099.
    """
    value = find(source, path, within=within)
    if value is None or value == "":
        raise _malformed(Reason.MISSING, path, within)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _malformed(Reason.WRONG_TYPE, path, within)
    read = time_us(value)
    if read is None:
        raise _malformed(Reason.WRONG_TYPE, path, within)
    if not _FIRST_US <= read < _END_US:
        raise _malformed(Reason.OUT_OF_RANGE, path, within)
    return read


def objects(source: Json, path: str, *, within: str = "") -> list[Json]:
    """Returns a list of objects; empty where it is missing.

    Raises:
        MalformedDocumentError: It is anything else.
    """
    value = find(source, path, within=within)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _malformed(Reason.WRONG_TYPE, path, within)
    return value


def _malformed(reason: Reason, path: str, within: str) -> MalformedDocumentError:
    return MalformedDocumentError(reason, f"{within}.{path}" if within else path)


def _well_formed(value: str) -> str:
    """Replaces halves of surrogate pairs, which JSON can escape and UTF-8 cannot write."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
