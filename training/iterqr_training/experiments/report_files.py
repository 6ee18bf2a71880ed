"""Writes the report."""

from __future__ import annotations

from pathlib import Path

from iterqr_training.errors import StoreError
from iterqr_training.experiments.report_json import report_json
from iterqr_training.experiments.report_model import ExperimentReport
from iterqr_training.experiments.report_page import report_page
from iterqr_training.files import write_text

_NAME = "experiment"


def write_report(report: ExperimentReport, folder: Path) -> Path:
    """Writes `experiment.json` and `experiment.html`, each whole or not at all, and returns the page's path.

    Raises:
        StoreError: The folder cannot be written.
    """
    page = folder / f"{_NAME}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{_NAME}.json", report_json(report))
        write_text(page, report_page(report))
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}") from error
    return page
