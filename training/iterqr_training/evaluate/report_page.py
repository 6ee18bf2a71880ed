"""The report as one page that needs nothing else: no script, no font, no image from elsewhere."""

from __future__ import annotations

import json
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from iterqr_training.evaluate.evaluated import EvaluationReport
from iterqr_training.evaluate.measures import BY_NAME
from iterqr_training.evaluate.plots import Bar, bars_plot, reliability_plot
from iterqr_training.evaluate.side_by_side import band_tables, whole_rows
from iterqr_training.experiments import wording

_PLOTTED = ("rewrite_p5", "result_p10", "result_ndcg10", "harm_rate", "drift")


def report_page(report: EvaluationReport) -> str:
    """Returns the page. Queries and rewrites are data: everything is escaped."""
    environment = Environment(
        loader=PackageLoader("iterqr_training.evaluate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        decimal=wording.decimal, signed=wording.signed, percent=wording.percent, count=wording.count
    )
    evaluation = report.evaluation
    tables = band_tables(evaluation)
    return environment.get_template("report.html.j2").render(
        css=resources.files("iterqr_training.experiments").joinpath("report.css").read_text("utf-8"),
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
