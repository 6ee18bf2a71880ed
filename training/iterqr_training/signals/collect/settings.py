"""How signals are collected."""

from __future__ import annotations

import re
from dataclasses import dataclass

from iterqr_training.errors import SettingError

_INDEX = re.compile(r"[^\s*?,/\\\"<>|#:A-Z_+-][^\s*?,/\\\"<>|#:A-Z]{0,254}")  # what OpenSearch allows


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """What is read, and how much at a time.

    Attributes:
        impressions_index: A data stream, alias or index; so are the next two. One that is not there has no documents.
        page_documents: Of one search, 1 to 10,000. A page of many hits makes documents of 200 KB.
        commit_documents: Of one commit, 1 to 1,000,000; they are in memory until then. Larger ones make fewer files.
        timeout_s: For one request, over 0 to 600.

    Raises:
        SettingError: One is out of its limits.
    """

    impressions_index: str = "iterqr-impressions"
    queries_index: str = "ubi_queries"
    events_index: str = "ubi_events"
    page_documents: int = 500
    commit_documents: int = 20_000
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        for name in ("impressions_index", "queries_index", "events_index"):
            if not _INDEX.fullmatch(getattr(self, name)):
                raise SettingError(f"{name} is {getattr(self, name)!r}, it must be one name, without wildcards")
        _check("page_documents", self.page_documents, 1, 10_000)
        _check("commit_documents", self.commit_documents, 1, 1_000_000)
        if not 0 < self.timeout_s <= 600:
            raise SettingError(f"timeout_s is {self.timeout_s}, it must be over 0 to 600")


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SettingError(f"{name} is {value}, it must be from {least:,} to {most:,}")
