"""The report of an experiment as data: everything that page, JSON and console show."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_training.experiments.aa import AaResult
from iterqr_training.experiments.arms import LeftOut
from iterqr_training.experiments.cuped import Adjusted
from iterqr_training.experiments.funnel import Funnel
from iterqr_training.experiments.interleaving import Interleaving
from iterqr_training.experiments.intervals import Comparison
from iterqr_training.experiments.label_agreement import Agreement
from iterqr_training.experiments.paired import PairedComparison
from iterqr_training.experiments.popularity import FalseNegatives
from iterqr_training.experiments.power import Sensitivity
from iterqr_training.experiments.sequential import ConfidenceSequence
from iterqr_training.experiments.srm import SampleRatio


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What was analysed, and how. Times are ISO 8601, UTC."""

    created_at: str
    experiment: str
    first_search: str
    last_search: str
    alpha: float
    power: float
    resamples: int
    seed: int


@dataclass(frozen=True, slots=True)
class ArmTotals:
    """What all users of an arm did together."""

    arm: str
    users: int
    buyers: int
    searches: int
    pages: int
    orders: int
    value: float


@dataclass(frozen=True, slots=True)
class CupedSection:
    """The arms compared again, with what users did before taken out.

    Args:
        covered_users: Share of the users who are known from before.
    """

    covered_users: float
    adjusted: tuple[Adjusted, ...]


@dataclass(frozen=True, slots=True)
class PairedSection:
    """The paired replay: users in both arms, and those in one only."""

    users: int
    only_control: int
    only_treatment: int
    comparisons: tuple[PairedComparison, ...]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A sentence on what can be concluded, or cannot. `tone`: `good`, `bad` or `plain`."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """The whole report. What was not asked for, or has no data, is None or empty."""

    context: ReportContext
    conclusions: tuple[Conclusion, ...]
    arms: tuple[ArmTotals, ...]
    left_out: LeftOut
    sample_ratio: SampleRatio
    comparisons: tuple[Comparison, ...]
    cuped: CupedSection | None
    paired: PairedSection | None
    sequences: tuple[ConfidenceSequence, ...]
    sensitivities: tuple[Sensitivity, ...]
    funnels: tuple[Funnel, ...]
    aa: tuple[AaResult, ...]
    interleaving: Interleaving | None
    false_negatives: FalseNegatives | None
    agreement: tuple[Agreement, ...]
