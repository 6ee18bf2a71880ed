"""Notes of the segment under way: which searches were sent and what they showed, so that none is sent twice.

A line before a search is sent, one with its page when it has come back. Lines are flushed to the system one by one:
they outlive this process, killed at any moment, not a machine that loses power.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from iterqr_benchmarks.marketplace.transport import Page
from iterqr_benchmarks.report.json_file import write_whole


class Journal:
    """The journal of a run's folder; opened for one segment after the other."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal.jsonl"
        self._lines: TextIO | None = None

    def earlier(self) -> tuple[dict[str, Page], tuple[str, ...]]:
        """Returns what a start that was cut has noted: pages by query id, and searches sent without a page."""
        pages: dict[str, Page] = {}
        sent: dict[str, None] = {}
        for line in self._written():
            query_id = line["query_id"]
            if "page" in line:
                page = line["page"]
                pages[query_id] = Page(**{**page, "object_ids": tuple(page["object_ids"])})
            else:
                sent[query_id] = None
        return pages, tuple(query_id for query_id in sent if query_id not in pages)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Takes notes inside; those of an earlier start are kept."""
        if self._file.exists():
            write_whole(self._file, "".join(json.dumps(line) + "\n" for line in self._written()))
        with self._file.open("a", encoding="utf-8") as lines:
            self._lines = lines
            try:
                yield
            finally:
                self._lines = None

    def sent(self, query_id: str) -> None:
        """Called before a search is sent."""
        self._note({"query_id": query_id})

    def answered(self, query_id: str, page: Page) -> None:
        """Called when its page is there."""
        self._note({"query_id": query_id, "page": asdict(page)})

    def forget(self) -> None:
        """Called when the segment is in the ledger and counted as done."""
        self._file.unlink(missing_ok=True)

    def _note(self, line: dict[str, object]) -> None:
        assert self._lines is not None, "the journal is not open"  # noqa: S101 - a mistake of this package
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _written(self) -> list[dict[str, Any]]:
        """The whole lines; the last one may have been cut."""
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]
