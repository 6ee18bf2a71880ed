"""The report as one page that needs nothing else: no script, no font, no image from elsewhere."""

from __future__ import annotations

from iterqr_training.experiments import wording
from iterqr_training.experiments.page import page_template
from iterqr_training.experiments.plots import LiftRow, funnel_plot, lifts_plot, p_values_plot, sequence_plot
from iterqr_training.experiments.power import LIFTS
from iterqr_training.experiments.report_model import ExperimentReport
from iterqr_training.experiments.srm import WHAT_TO_CHECK


def report_page(report: ExperimentReport) -> str:
    """Returns the page. Names of experiments and arms are data: everything is escaped."""
    return page_template("iterqr_training.experiments").render(
        report=report,
        what_to_check=WHAT_TO_CHECK,
        nothing=wording.NOTHING,
        lifts_told=LIFTS,
        lifts=lifts_plot(_lift_rows(report)),
        sequences={
            each.metric.label + (" and day" if each.daily else ""): sequence_plot(each) for each in report.sequences
        },
        funnels={each.arm: funnel_plot(each) for each in report.funnels},
        aa_plots={each.metric.label: p_values_plot(each.metric.label, each.p_values) for each in report.aa},
    )


def _lift_rows(report: ExperimentReport) -> list[LiftRow]:
    rows = []
    for place, each in enumerate(report.comparisons):
        lifts = [("unpaired", each.lift)]
        if report.cuped is not None:
            lifts.append(("CUPED", report.cuped.adjusted[place].lift))
        if report.paired is not None:
            lifts.append(("paired", report.paired.comparisons[place].lift))
        rows.append(LiftRow(each.metric.label, tuple(lifts)))
    return rows
