"""A plugin that meets every search, as a security plugin does (see search_probe/SearchProbePlugin.java)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_dev_node import NodeInstance
from opensearchpy import OpenSearch
from support.stub_plugin import build_stub_plugin

CALLER = "x-probe-caller"
"""The header that names a caller to it."""
_SOURCES = Path(__file__).parent / "search_probe"
Met = dict[str, Any]


def build_search_probe(instance: NodeInstance, folder: Path) -> Path:
    """Compiles the probe against an instance's own libraries and returns its zip, made in `folder`."""
    return build_stub_plugin(
        instance,
        folder,
        _SOURCES,
        name="search-probe",
        class_name="org.iterqr.probe.SearchProbePlugin",
        description="Meets every search",
    )


@dataclass(frozen=True, slots=True)
class SearchProbe:
    """What it has met on one node since it was last cleared."""

    client: OpenSearch

    def searches(self) -> list[Met]:
        met: list[Met] = self.client.transport.perform_request("GET", "/_probe/searches")["searches"]
        return met

    def search_of(self, opaque_id: str) -> Met:
        """The client's own search with this id."""
        (met,) = [each for each in self.searches() if each["opaque_id"] == opaque_id and each["parent"] <= 0]
        return met

    def children_of(self, opaque_id: str) -> list[Met]:
        """What was searched on behalf of it."""
        task = self.search_of(opaque_id)["task"]
        return [each for each in self.searches() if each["parent"] == task]

    @contextmanager
    def holding(self, text: str) -> Iterator[None]:
        """Searches that other searches make, and whose source has the text, wait meanwhile."""
        self.client.transport.perform_request("POST", "/_probe/hold", params={"containing": text})
        try:
            yield
        finally:
            self.client.transport.perform_request("POST", "/_probe/release")
