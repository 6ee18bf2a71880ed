"""Writes the report and what is exported with a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from iterqr_training.evaluate.answers import file_part
from iterqr_training.evaluate.evaluated import EvaluationReport
from iterqr_training.evaluate.evaluation_json import evaluation_json
from iterqr_training.evaluate.report_page import report_page
from iterqr_training.files import write_whole


def write_report(report: EvaluationReport, folder: Path) -> Path:
    """Writes `evaluation.json`, `evaluation.html` and a policy document `policy-<system>.json` of each system.

    Returns:
        The page's path.

    Raises:
        StoreError: The folder cannot be written.
    """
    for name, details in report.details.items():
        write_whole(folder / f"policy-{file_part(name)}.json", json.dumps(details.policy, indent=2) + "\n")
    write_whole(folder / "evaluation.json", evaluation_json(report))
    page = folder / "evaluation.html"
    write_whole(page, report_page(report))
    return page
