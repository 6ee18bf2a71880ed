"""Attribution written down a second time, slowly and in plain Python, from the documents of a node.

For tests only: what reads the same documents in another way must come to the same result.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS
from opensearchpy import OpenSearch

Document = Mapping[str, Any]
_PPB = 10**9


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules, and ways to break them."""

    touch_window: timedelta = timedelta(hours=24)
    shares_equally: bool = False
    takes_first_touch: bool = False
    ignores_original: bool = False


def attribute_planted(client: OpenSearch, application: str, rules: Rules, key: str) -> pa.Table:
    """`ATTRIBUTED_EVENTS` of all events of an application; `key` hashes their client ids."""
    impressions = _documents(client, "iterqr-impressions", application)
    events = _documents(client, "ubi_events", application)
    pages = {document["query_id"]: document for _, document in impressions}
    clicks = [_Touch(event_id, event, key) for event_id, event in events if event["action_name"] == "click"]
    rows: list[dict[str, Any]] = []
    for event_id, event in events:
        touch = _Touch(event_id, event, key)
        if event["action_name"] == "purchase":
            found = _last(touch, clicks, rules)
            rows += _rows(touch, found, pages, rules) if found else [_row(touch, status="no_touch")]
        else:
            rows += _rows(touch, touch, pages, rules)
    return pa.Table.from_pylist(rows, schema=ATTRIBUTED_EVENTS.schema)


class _Touch:
    def __init__(self, event_id: str, event: Document, key: str) -> None:
        self.event_id = event_id
        self.action: str = event["action_name"]
        self.query_id: str = event.get("query_id", "")
        self.object_id: str = event["event_attributes"]["object"]["object_id"]
        self.at = datetime.fromisoformat(event["timestamp"])
        told = event.get("client_id", "")
        self.client_id = hashed(told, key) if told else ""


def hashed(client_id: str, key: str) -> str:
    """As the plugin hashes client ids."""
    return hmac.new(key.encode(), client_id.encode(), hashlib.sha256).hexdigest()


def _last(purchase: _Touch, clicks: Sequence[_Touch], rules: Rules) -> _Touch | None:
    fitting = [
        each
        for each in clicks
        if each.query_id
        and (each.client_id, each.object_id) == (purchase.client_id, purchase.object_id)
        and timedelta(0) <= purchase.at - each.at <= rules.touch_window
    ]
    fitting.sort(key=lambda each: each.at, reverse=not rules.takes_first_touch)
    return fitting[0] if fitting else None


def _rows(event: _Touch, touch: _Touch, pages: Mapping[str, Document], rules: Rules) -> Iterable[dict[str, Any]]:
    page = pages.get(touch.query_id)
    if not touch.query_id or page is None:
        return [_row(event, status="no_impression" if touch.query_id else "no_query_id")]
    if touch.client_id and touch.client_id != page.get("client_id", ""):
        return [_row(event, status="other_client")]
    hit = next((each for each in page["hits"] if each["object_id"] == touch.object_id), None)
    if hit is None:
        return [_row(event, status="not_shown")]
    ranks = {each["rewrite_id"]: each["rank"] for each in hit["channels"] if each["name"] == "rewrite"}
    by_original = any(each["name"].startswith("original") for each in hit["channels"]) and not rules.ignores_original
    level = (2 if by_original else 1) if ranks else 0
    known = {
        "status": "credited",
        "touch_event_id": touch.event_id,
        "query_id": touch.query_id,
        "position": hit["position"],
        "level": level,
        "exclusive": level == 1 and len(ranks) == 1,
    }
    if not ranks:
        return [_row(event, **known, share_ppb=_PPB)]
    weights = {rewrite_id: 1 if rules.shares_equally else 1 / rank for rewrite_id, rank in ranks.items()}
    total = sum(weights.values())
    return [
        _row(event, **known, rewrite_id=rewrite_id, share_ppb=round(_PPB * weight / total))
        for rewrite_id, weight in weights.items()
    ]


def _row(event: _Touch, **known: object) -> dict[str, Any]:
    texts = {field.name: "" for field in ATTRIBUTED_EVENTS.schema if pa.types.is_string(field.type)}
    told = {"event_id": event.event_id, "action": event.action, "timestamp": event.at, "object_id": event.object_id}
    return {**texts, **told, "exclusive": False, "share_ppb": 0, **known}


def _documents(client: OpenSearch, index: str, application: str) -> list[tuple[str, Document]]:
    body = {"query": {"term": {"application": application}}, "size": 1_000}
    found = client.search(index=index, body=body)
    return [(hit["_id"], hit["_source"]) for hit in found["hits"]["hits"]]
