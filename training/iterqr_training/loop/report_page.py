"""The loop's report as one page that needs nothing else: no script, no font, no image from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence

from markupsafe import Markup

from iterqr_training.evaluate.measures import BY_NAME
from iterqr_training.evaluate.plots import Bar, bars_plot
from iterqr_training.experiments.page import page_template
from iterqr_training.experiments.plots import LiftRow, lifts_plot
from iterqr_training.loop.report_model import TOLD_BANDS, TOLD_MEASURES, IterationReport, LoopReport
from iterqr_training.loop.stage import Stage

_PLOTTED = ("rewrite_p1", "rewrite_p5", "rewrite_p10", "harm_rate")


def report_page(report: LoopReport) -> str:
    """Returns the page. Queries, rewrites and names of checkpoints are data: everything is escaped."""
    return page_template("iterqr_training.loop").render(
        report=report,
        lift_plots=_lift_plots(report.iterations),
        system_plots={each.number: _system_plots(each) for each in report.iterations},
        measures=[BY_NAME[name] for name in TOLD_MEASURES],
        bands=TOLD_BANDS,
        stages=list(Stage),
        settings=json.dumps(report.settings, indent=1, ensure_ascii=False),
    )


def _lift_plots(iterations: Sequence[IterationReport]) -> dict[str, Markup]:
    """A plot for each metric: what the checkpoint that served an iteration earned, unpaired and paired."""
    labels = {lift.metric: lift.label for each in iterations for lift in each.lifts}
    return {
        label: lifts_plot(
            [
                LiftRow(
                    f"round {each.number}: {each.served_name}", (("unpaired", lift.unpaired), ("paired", lift.paired))
                )
                for each in iterations
                for lift in each.lifts
                if lift.metric == metric
            ]
        )
        for metric, label in labels.items()
    }


def _system_plots(iteration: IterationReport) -> dict[str, Markup]:
    rows = [each for each in iteration.systems if each.band == TOLD_BANDS[0]]
    if not rows:
        return {}
    return {
        BY_NAME[name].label: bars_plot(BY_NAME[name].label, [Bar(each.name, each.values[name]) for each in rows])
        for name in _PLOTTED
    }
