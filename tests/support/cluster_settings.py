"""Changes cluster settings for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch


@contextmanager
def cluster_settings(client: OpenSearch, settings: Mapping[str, Any]) -> Iterator[None]:
    """Sets them persistently; takes them back at the end."""
    try:
        client.cluster.put_settings(body={"persistent": dict(settings)})
        yield
    finally:
        client.cluster.put_settings(body={"persistent": dict.fromkeys(settings)})
