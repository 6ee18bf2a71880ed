"""The gates: a candidate against the champion by paired bootstrap, and against absolute bounds. Pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from iterqr_training.dataset.rows import Band
from iterqr_training.evaluate.estimates import differences, estimates
from iterqr_training.evaluate.evaluated import EvaluatedSystem, Evaluation
from iterqr_training.evaluate.evaluation_json import BANDS
from iterqr_training.experiments.estimate import UNDEFINED, Estimate
from iterqr_training.experiments.wording import decimal, interval, percent, signed
from iterqr_training.gates.datasheet import LabelAgreement
from iterqr_training.gates.settings import GateSettings

_UNTOLD = LabelAgreement()


class State(enum.StrEnum):
    """What a gate says."""

    PASSED = "passed"
    REFUSED = "refused"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate. `sentence` says what was found beside what was wanted; `value` is NaN if it was not measured."""

    name: str
    state: State
    value: float
    bound: float
    sentence: str


@dataclass(frozen=True, slots=True)
class GateReport:
    """All gates of one candidate."""

    candidate: str
    candidate_identity: str
    champion: str
    champion_identity: str
    truth_sha256: str
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no gate refuses."""
        return not self.refused

    @property
    def refused(self) -> tuple[GateResult, ...]:
        """The gates that refuse."""
        return tuple(each for each in self.gates if each.state is State.REFUSED)

    @property
    def verdict(self) -> str:
        """What was decided, and why, in a sentence."""
        if self.passed:
            return f"{self.candidate} may take the place of {self.champion}."
        reasons = "; ".join(each.sentence for each in self.refused)
        return f"{self.candidate} is refused: {reasons}."


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the checks look at: values of the candidate and paired differences to the champion, by band and measure."""

    candidate: EvaluatedSystem
    champion: EvaluatedSystem
    baseline: EvaluatedSystem
    values: Callable[[Band | None], Mapping[str, Estimate]]
    gains: Callable[[Band | None], Mapping[str, Estimate]]
    labels: LabelAgreement
    judges_itself: bool


def check_gates(
    evaluation: Evaluation,
    candidate: str,
    champion: str,
    settings: GateSettings,
    labels: LabelAgreement = _UNTOLD,
    *,
    baseline: str = "",
) -> GateReport:
    """Checks a candidate.

    Args:
        evaluation: Of both, on the same queries.
        candidate: Name of the system that wants to serve.
        champion: Name of the system that serves.
        settings: Bounds.
        labels: Agreement of the labels that the candidate learned from.
        baseline: Name of the system that capacity was planned for, which latency is compared with; "": the champion.
            Over the champions' alone it may rise a little each time, and after a terse one nobody passes.

    Raises:
        SettingError: A system was not evaluated.
    """
    new, old, planned = (evaluation.system(name) for name in (candidate, champion, baseline or champion))
    context = evaluation.context

    def values(band: Band | None) -> Mapping[str, Estimate]:
        return estimates(new.sums, evaluation.chosen(band), seed=context.seed, resamples=context.resamples)

    def gains(band: Band | None) -> Mapping[str, Estimate]:
        chosen = evaluation.chosen(band)
        return differences(old.sums, new.sums, chosen, seed=context.seed, resamples=context.resamples)

    # Identities of servers and judges begin with the checkpoint; nobody is the judge of its own rewrites.
    judges_itself = bool(context.judge) and context.judge.partition("/")[0] == new.identity.partition("/")[0]
    measured = _Measured(new, old, planned, values, gains, labels, judges_itself)
    results = (_required(each, settings) for each in _results(measured, settings))
    return GateReport(candidate, new.identity, champion, old.identity, context.truth_sha256, tuple(results))


def _results(measured: _Measured, settings: GateSettings) -> Iterator[GateResult]:
    band = BANDS[settings.band]
    whole, head = measured.values(None), measured.values(Band.HEAD)
    precision = measured.gains(band).get("rewrite_p5", UNDEFINED)
    change = measured.gains(None)
    where = f"{settings.band} queries"
    yield _not_worse("rewrite_precision", f"rewrites P@5 on {where}", precision, settings.precision_margin)
    yield _at_least("gain", f"gain of rewrites P@5 on {where}", precision.value, settings.min_gain, signed)
    result = change.get("result_p10", UNDEFINED)
    yield _not_worse("result_precision", "results P@10", result, settings.result_margin)
    for name, label, found, bound in (
        ("harm_rate", "share of queries whose results get worse", whole, settings.max_harm_rate),
        ("head_harm_rate", "share of head queries whose results get worse", head, settings.max_head_harm_rate),
    ):
        yield _at_most(name, label, _value(found, "harm_rate"), bound, percent)
    yield _drift(_value(whole, "drift"), change.get("drift", UNDEFINED), settings)
    lost = math.nan if measured.judges_itself else _value(whole, "judged_drift")
    yield _at_most("judged_drift", "share of rewrites that lose the need", lost, settings.max_judged_drift, percent)
    empty = _value(whole, "empty_rate")
    yield _at_most("empty_results", "share of queries without results", empty, settings.max_empty_rate, percent)
    yield _diversity(measured.candidate, settings)
    for name, key, label, bound in (
        ("coverage", "coverage", "share of queries with a rewrite", settings.min_coverage),
        ("format", "well_formed", "share of answers in the format", settings.min_well_formed),
    ):
        yield _at_least(name, label, _value(whole, key), bound, percent)
    failures = _value(whole, "failure_rate")
    yield _at_most("failures", "share of queries without an answer", failures, settings.max_failure_rate, percent)
    planned = measured.baseline
    slower = _quotient(measured.candidate.latency.p95_ms, planned.latency.p95_ms)
    yield _at_most(
        "latency", f"95th percentile of latency over that of {planned.name}", slower, settings.max_latency_ratio
    )
    worse = _quotient(measured.candidate.perplexity, measured.champion.perplexity)
    yield _at_most("forgetting", "perplexity over the champion's", worse, settings.max_perplexity_ratio)
    yield _labels(measured.labels, settings)


def _drift(value: float, rise: Estimate, settings: GateSettings) -> GateResult:
    """Both an absolute bound and one against the champion: slow drift adds up over iterations, sudden drift shows."""
    if math.isnan(value):
        return _not_measured("drift", settings.max_drift)
    if value > settings.max_drift or not rise.low > settings.max_drift_rise:
        return _at_most("drift", "embedding distance of query and rewrite", value, settings.max_drift, decimal)
    sentence = (
        f"drift: the embedding distance of query and rewrite rises over the champion's by {signed(rise.value)} "
        f"({interval(rise)}), at most {decimal(settings.max_drift_rise)} is allowed"
    )
    return GateResult("drift", State.REFUSED, rise.value, settings.max_drift_rise, sentence)


def _labels(labels: LabelAgreement, settings: GateSettings) -> GateResult:
    if labels.failed:
        words = "; ".join(labels.failed)
        return GateResult(
            "label_agreement", State.REFUSED, labels.kappa, settings.min_kappa, f"label_agreement: {words}"
        )
    return _at_least("label_agreement", "least kappa of the labels", labels.kappa, settings.min_kappa, decimal)


def _diversity(system: EvaluatedSystem, settings: GateSettings) -> GateResult:
    """The first of its bounds that is broken, else how many rewrites are distinct."""
    variety = system.variety
    checked = (
        _at_most(
            "diversity", "share of queries with the same rewrite", variety.top_share, settings.max_top_share, percent
        ),
        _at_least("diversity", "share of distinct rewrites", variety.unique_share, settings.min_unique_share, percent),
        _at_least("diversity", "distinct pairs of words", variety.distinct_2, settings.min_distinct_2, percent),
        _at_most("diversity", "self-BLEU of first rewrites", variety.self_bleu, settings.max_self_bleu, decimal),
    )
    if math.isnan(variety.unique_share):
        return checked[1]
    return next((each for each in checked if each.state is State.REFUSED), checked[1])


def _not_worse(name: str, label: str, gain: Estimate, margin: float) -> GateResult:
    if math.isnan(gain.low):
        return _not_measured(name, -margin)
    state = State.PASSED if gain.low >= -margin else State.REFUSED
    sentence = (
        f"{name}: {label} changes by {signed(gain.value)} against the champion ({interval(gain)}), "
        f"the interval must not reach below {signed(-margin)}"
    )
    return GateResult(name, state, gain.low, -margin, sentence)


def _at_most(name: str, label: str, value: float, bound: float, told: Callable[[float], str] = decimal) -> GateResult:
    if math.isnan(value):
        return _not_measured(name, bound)
    state = State.PASSED if value <= bound else State.REFUSED
    return GateResult(name, state, value, bound, f"{name}: {label} is {told(value)}, at most {told(bound)} is allowed")


def _at_least(name: str, label: str, value: float, bound: float, told: Callable[[float], str]) -> GateResult:
    if math.isnan(value):
        return _not_measured(name, bound)
    state = State.PASSED if value >= bound else State.REFUSED
    return GateResult(name, state, value, bound, f"{name}: {label} is {told(value)}, at least {told(bound)} is needed")


def _not_measured(name: str, bound: float) -> GateResult:
    return GateResult(name, State.NOT_MEASURED, math.nan, bound, f"{name}: was not measured")


def _required(result: GateResult, settings: GateSettings) -> GateResult:
    if result.state is not State.NOT_MEASURED or result.name not in settings.required:
        return result
    return GateResult(result.name, State.REFUSED, math.nan, result.bound, f"{result.sentence}, and must be")


def _value(found: Mapping[str, Estimate], name: str) -> float:
    return found.get(name, UNDEFINED).value


def _quotient(value: float, other: float) -> float:
    return value / other if other > 0 else math.nan
