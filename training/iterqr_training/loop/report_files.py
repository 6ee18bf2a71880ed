"""Writes the loop's report."""

from __future__ import annotations

import json
from pathlib import Path

from iterqr_training.evaluate.evaluation_json import plain
from iterqr_training.files import write_whole
from iterqr_training.loop.report_model import LoopReport
from iterqr_training.loop.report_page import report_page

SCHEMA = "iterqr-loop-report/v1"


def write_report(report: LoopReport, folder: Path) -> Path:
    """Writes `report.json` (null for what is not defined) and `report.html`, and returns the page's path.

    Raises:
        StoreError: The folder cannot be written.
    """
    document = {"schema": SCHEMA, **plain(report)}
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / "report.json", text)
    page = folder / "report.html"
    write_whole(page, report_page(report))
    return page
