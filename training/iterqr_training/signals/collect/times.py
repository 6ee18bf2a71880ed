"""Times as UBI and OpenSearch write them: `strict_date_optional_time` or `epoch_millis`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

_ISO = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?:(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?)?)?)?",
    re.ASCII,
)
_EPOCH_MILLIS = re.compile(r"(?P<millis>-?\d{1,15})(?:\.(?P<fraction>\d{1,6}))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000


def time_us(value: str | float) -> int | None:
    """Returns microseconds since 1970, finer digits cut off; None if the value is no time of either format.

    Without a zone a time is in UTC. As in OpenSearch, four digits are a year, not milliseconds.
    """
    text = str(value)
    iso = _ISO.fullmatch(text)
    if iso:
        return _iso_us(iso)
    epoch = _EPOCH_MILLIS.fullmatch(text)
    if epoch is None:
        return None
    micros = int((epoch["fraction"] or "").ljust(3, "0")[:3])
    return int(epoch["millis"]) * 1000 + (-micros if text.startswith("-") else micros)


def date_of(moment_us: int) -> str:
    """Returns the UTC date of a time, as YYYY-MM-DD."""
    return _date_of_day(moment_us // _DAY_US)


@lru_cache(maxsize=1024)
def _date_of_day(day: int) -> str:
    return date.fromordinal(_EPOCH.toordinal() + day).isoformat()


def _iso_us(parts: re.Match[str]) -> int | None:
    try:
        moment = datetime(
            int(parts["year"]),
            int(parts["month"] or 1),
            int(parts["day"] or 1),
            int(parts["hour"] or 0),
            int(parts["minute"] or 0),
            int(parts["second"] or 0),
            int((parts["fraction"] or "").ljust(6, "0")[:6]),
            tzinfo=_zone(parts["zone"] or "Z"),
        )
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):  # no such day, hour or zone
        return None


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
