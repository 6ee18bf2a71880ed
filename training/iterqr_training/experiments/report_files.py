"""Writes the report."""

from __future__ import annotations

from pathlib import Path

from iterqr_training.errors import StoreError
from iterqr_training.experiments.report_json import report_json
from iterqr_training.experiments.report_model import ExperimentReport
from iterqr_training.experiments.report_page import report_page

_NAME = "experiment"


def write_report(report: ExperimentReport, folder: Path) -> Path:
    """Writes `experiment.json` and `experiment.html`, each whole or not at all, and returns the page's path.

    Raises:
        StoreError: The folder cannot be written.
    """
    page = folder / f"{_NAME}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_whole(folder / f"{_NAME}.json", report_json(report))
        _write_whole(page, report_page(report))
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}") from error
    return page


def _write_whole(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
