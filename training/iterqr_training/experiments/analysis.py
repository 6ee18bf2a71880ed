"""From tables to the report: puts the statistics together. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from iterqr_training.errors import SettingError
from iterqr_training.experiments.aa import SPLITS, AaResult, aa_test
from iterqr_training.experiments.arms import CONTROL, TREATMENT, Arms, split_arms
from iterqr_training.experiments.bootstrap import RESAMPLES
from iterqr_training.experiments.conclusions import conclude
from iterqr_training.experiments.cuped import adjust, covariates
from iterqr_training.experiments.estimate import ALPHA
from iterqr_training.experiments.frequency_bands import frequency_bands
from iterqr_training.experiments.funnel import funnel
from iterqr_training.experiments.interleaving import Interleaving, judge_interleaving, team_clicks
from iterqr_training.experiments.intervals import Comparison, compare
from iterqr_training.experiments.label_agreement import label_agreement
from iterqr_training.experiments.metrics import METRICS, linearised
from iterqr_training.experiments.paired import compare_paired, pair_users
from iterqr_training.experiments.popularity import false_negatives
from iterqr_training.experiments.power import POWER, Sensitivity, sensitivity
from iterqr_training.experiments.report_model import (
    ArmTotals,
    CupedSection,
    ExperimentReport,
    PairedSection,
    ReportContext,
)
from iterqr_training.experiments.rewrite_exposure import rewrite_exposure
from iterqr_training.experiments.sequential import SEQUENTIAL_METRICS, confidence_sequence, daily_readings
from iterqr_training.experiments.srm import sample_ratio
from iterqr_training.experiments.user_sums import Column, UserSums, sum_by_user


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """The paired replay's searches, rows of `QUERY_OUTCOMES`."""

    control: pa.Table
    treatment: pa.Table


@dataclass(frozen=True, slots=True, eq=False)
class Interleaved:
    """What interleaving is judged by: `IMPRESSIONS`, `HIT_CHANNELS`, `ATTRIBUTED_EVENTS`."""

    impressions: pa.Table
    hit_channels: pa.Table
    attributed_events: pa.Table


@dataclass(frozen=True, slots=True, eq=False)
class ExperimentData:
    """Tables of the contracts; None leaves a part of the report out.

    Args:
        searches: `QUERY_OUTCOMES` of the experiment's time.
        before: `QUERY_OUTCOMES` of a time before it, for CUPED.
        replay: The same users in both arms.
        interleaved: For team-draft interleaving.
        rewrite_outcomes: `REWRITE_OUTCOMES`, for popularity bias.
        truth: `REWRITE_TRUTH`.
        judgments: `REWRITE_JUDGMENTS`.
    """

    searches: pa.Table
    before: pa.Table | None = None
    replay: Replay | None = None
    interleaved: Interleaved | None = None
    rewrite_outcomes: pa.Table | None = None
    truth: pa.Table | None = None
    judgments: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """How to analyse.

    Args:
        experiment: Its name; None for the only one.
        shares: Arm and relative size of the planned split; None for equal ones.
        aa_splits: Of the A/A test; 0 leaves it out.
        resamples: Of each bootstrap.
        seed: Of everything random.
    """

    experiment: str | None = None
    shares: tuple[tuple[str, float], ...] | None = None
    aa_splits: int = SPLITS
    resamples: int = RESAMPLES
    seed: int = 7


def analyse(data: ExperimentData, settings: AnalysisSettings, now: datetime) -> ExperimentReport:
    """Analyses an experiment.

    Args:
        data: Its tables.
        settings: How.
        now: For the report's date.

    Raises:
        SettingError: It cannot be analysed as asked for; the message says what to change.
    """
    arms = split_arms(data.searches, settings.experiment)
    users = {arm: sum_by_user(searches) for arm, searches in arms.searches.items()}
    control, treatment = users[CONTROL], users[TREATMENT]
    shares = None if settings.shares is None else dict(settings.shares)
    # A planned arm in which nobody was seen is a mismatch, too.
    counts = {arm: len(each) for arm, each in users.items()} | {arm: 0 for arm in shares or () if arm not in users}
    ratio_check = sample_ratio(counts, shares)
    comparisons = compare(control, treatment, seed=settings.seed, resamples=settings.resamples)
    cuped = None if data.before is None else _cuped(arms, control, treatment, data.before)
    paired = None if data.replay is None else _paired(data.replay, settings)
    sensitivities = _sensitivities(control, treatment, comparisons, cuped, paired)
    readings = daily_readings(arms.searches[CONTROL], arms.searches[TREATMENT])
    sequences = tuple(confidence_sequence(readings, metric) for metric in SEQUENTIAL_METRICS)
    aa: tuple[AaResult, ...] = ()
    if settings.aa_splits:
        aa = aa_test(control, seed=settings.seed, splits=settings.aa_splits)
    interleaving = None if data.interleaved is None else _interleaving(data.interleaved, settings)
    exposure = None
    if data.rewrite_outcomes is not None:
        exposure = rewrite_exposure(data.rewrite_outcomes, frequency_bands(data.searches))
    truth = None if data.truth is None else _by_rewrite(data.truth, "good")
    return ExperimentReport(
        context=_context(arms, settings, now),
        conclusions=conclude(ratio_check, comparisons, cuped, paired, sensitivities, sequences, aa, interleaving),
        arms=tuple(_totals(arm, each) for arm, each in users.items()),
        left_out=arms.left_out,
        sample_ratio=ratio_check,
        comparisons=comparisons,
        cuped=cuped,
        paired=paired,
        sequences=sequences,
        sensitivities=sensitivities,
        funnels=tuple(funnel(arm, searches) for arm, searches in arms.searches.items()),
        aa=aa,
        interleaving=interleaving,
        false_negatives=None if exposure is None else false_negatives(exposure, truth),
        agreement=()
        if exposure is None or data.judgments is None
        else label_agreement(exposure, _by_rewrite(data.judgments, "score")),
    )


def _cuped(arms: Arms, control: UserSums, treatment: UserSums, before: pa.Table) -> CupedSection:
    first = _first(arms)
    known = before.filter(pc.not_equal(before["client_id"], ""))
    if not known.num_rows:
        raise SettingError("pre: no search has a client")
    last = pc.max(known["timestamp"]).as_py()
    if last >= first:
        raise SettingError(
            f"pre: must end before the experiment begins ({first.isoformat()}), but has a search of {last.isoformat()}"
        )
    history = sum_by_user(known)
    everyone = np.concatenate([control.client_ids, treatment.client_ids])
    return CupedSection(
        covered_users=float(np.isin(everyone, history.client_ids).mean()),
        adjusted=tuple(
            adjust(
                control,
                treatment,
                metric,
                covariates(control, history, metric),
                covariates(treatment, history, metric),
            )
            for metric in METRICS
        ),
    )


def _paired(replay: Replay, settings: AnalysisSettings) -> PairedSection:
    sums = [
        sum_by_user(searches.filter(pc.not_equal(searches["client_id"], "")))
        for searches in (replay.control, replay.treatment)
    ]
    pairs = pair_users(*sums)
    return PairedSection(
        users=len(pairs.control),
        only_control=pairs.only_control,
        only_treatment=pairs.only_treatment,
        comparisons=compare_paired(pairs, seed=settings.seed, resamples=settings.resamples),
    )


def _sensitivities(
    control: UserSums,
    treatment: UserSums,
    comparisons: tuple[Comparison, ...],
    cuped: CupedSection | None,
    paired: PairedSection | None,
) -> tuple[Sensitivity, ...]:
    users = len(control) + len(treatment)
    found = []
    for place, each in enumerate(comparisons):
        metric = each.metric
        old, new = linearised(control, metric), linearised(treatment, metric)
        replayed_lift = None if paired is None else paired.comparisons[place].lift.value
        found.append(
            sensitivity(
                "unpaired",
                metric,
                control=each.control.value,
                users=users,
                standard_error=each.delta.standard_error,
                variances=(float(old.var(ddof=1)), float(new.var(ddof=1))),
                replayed_lift=replayed_lift,
            )
        )
        if cuped is not None:
            adjusted = cuped.adjusted[place]
            found.append(
                sensitivity(
                    "cuped",
                    metric,
                    control=each.control.value,
                    users=users,
                    standard_error=adjusted.standard_error,
                    variances=(adjusted.control_variance, adjusted.treatment_variance),
                    replayed_lift=replayed_lift,
                )
            )
        if paired is not None:
            pairs = paired.comparisons[place]
            found.append(
                sensitivity(
                    "paired",
                    metric,
                    control=pairs.control,
                    users=paired.users,
                    standard_error=pairs.standard_error,
                    variances=None,
                )
            )
    return tuple(found)


def _interleaving(tables: Interleaved, settings: AnalysisSettings) -> Interleaving | None:
    clicks = team_clicks(tables.impressions, tables.hit_channels, tables.attributed_events)
    if not len(clicks.client_ids):
        return None
    return judge_interleaving(clicks, seed=settings.seed, resamples=settings.resamples)


def _by_rewrite(table: pa.Table, column: str) -> dict[tuple[str, str], Any]:
    keys = zip(table["normalized_query"].to_pylist(), table["rewrite_text"].to_pylist(), strict=True)
    return dict(zip(keys, table[column].to_pylist(), strict=True))


def _totals(arm: str, users: UserSums) -> ArmTotals:
    return ArmTotals(
        arm,
        users=len(users),
        buyers=int(users.total(Column.BUYERS)),
        searches=int(users.total(Column.SEARCHES)),
        pages=int(users.total(Column.PAGES)),
        orders=int(users.total(Column.ORDERS)),
        value=users.total(Column.VALUE),
    )


def _context(arms: Arms, settings: AnalysisSettings, now: datetime) -> ReportContext:
    last = max(pc.max(searches["timestamp"]).as_py() for searches in arms.searches.values())
    return ReportContext(
        created_at=now.isoformat(timespec="seconds"),
        experiment=arms.experiment,
        first_search=_first(arms).isoformat(timespec="seconds"),
        last_search=last.isoformat(timespec="seconds"),
        alpha=ALPHA,
        power=POWER,
        resamples=settings.resamples,
        seed=settings.seed,
    )


def _first(arms: Arms) -> datetime:
    first: datetime = min(pc.min(searches["timestamp"]).as_py() for searches in arms.searches.values())
    return first
