"""The report as one page that needs nothing else: no script, no font, no image from elsewhere."""

from __future__ import annotations

import json

from iterqr_training.evaluate.evaluated import EvaluationReport
from iterqr_training.evaluate.measures import BY_NAME
from iterqr_training.evaluate.plots import Bar, bars_plot, reliability_plot
from iterqr_training.evaluate.side_by_side import band_tables, whole_rows
from iterqr_training.experiments.page import page_template

_PLOTTED = ("rewrite_p5", "result_p10", "result_ndcg10", "harm_rate", "drift")


def report_page(report: EvaluationReport) -> str:
    """Returns the page. Queries and rewrites are data: everything is escaped."""
    evaluation = report.evaluation
    tables = band_tables(evaluation)
    return page_template("iterqr_training.evaluate").render(
        evaluation=evaluation,
        tables=tables,
        whole=whole_rows(evaluation),
        plots={
            f"{BY_NAME[name].label}, {table.title}": bars_plot(
                BY_NAME[name].label,
                [Bar(system.name, cell.estimate) for system, cell in zip(evaluation.systems, row.cells, strict=True)],
            )
            for table in (tables[0], tables[-1])
            for row in table.rows
            for name in _PLOTTED
            if row.label == BY_NAME[name].label
        },
        reliabilities={
            name: (
                reliability_plot(name, details.calibration.said, details.calibration.calibrated),
                details.calibration,
            )
            for name, details in report.details.items()
            if details.calibration is not None
        },
        details=report.details,
        policies={name: json.dumps(details.policy) for name, details in report.details.items()},
    )
