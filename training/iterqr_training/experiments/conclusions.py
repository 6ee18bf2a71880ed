"""What can be concluded, and what cannot, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from iterqr_training.experiments.aa import AaResult
from iterqr_training.experiments.cuped import Adjusted
from iterqr_training.experiments.estimate import ALPHA, Estimate
from iterqr_training.experiments.interleaving import Interleaving
from iterqr_training.experiments.intervals import Comparison
from iterqr_training.experiments.metrics import PRIMARY, Metric
from iterqr_training.experiments.paired import PairedComparison
from iterqr_training.experiments.power import Sensitivity
from iterqr_training.experiments.report_model import Conclusion, CupedSection, PairedSection
from iterqr_training.experiments.sequential import ConfidenceSequence
from iterqr_training.experiments.srm import SampleRatio
from iterqr_training.experiments.wording import (
    count,
    interval,
    lift_interval,
    p_value,
    percent,
    signed,
    signed_percent,
)


def conclude(
    sample_ratio: SampleRatio,
    comparisons: Sequence[Comparison],
    cuped: CupedSection | None,
    paired: PairedSection | None,
    sensitivities: Sequence[Sensitivity],
    sequences: Sequence[ConfidenceSequence],
    aa: Sequence[AaResult],
    interleaving: Interleaving | None,
) -> tuple[Conclusion, ...]:
    """Returns the sentences, the most important first. With a sample-ratio mismatch there are none on the arms."""
    found = [_aa(each) for each in aa if not each.holds]
    if not sample_ratio.matches:
        found.insert(0, _mismatch(sample_ratio))
    else:
        adjusted = {} if cuped is None else {each.metric: each for each in cuped.adjusted}
        found += [
            _primary(each, adjusted.get(PRIMARY), sensitivities) for each in comparisons if each.metric == PRIMARY
        ]
        found += _others(comparisons, adjusted)
        found += [_sequence(each) for each in sequences if each.metric == PRIMARY and each.days]
    if paired is not None:
        found += [_paired(each, paired.users) for each in paired.comparisons if each.metric == PRIMARY]
    if interleaving is not None:
        found.append(_interleaving(interleaving))
    return tuple(found)


def _mismatch(sample_ratio: SampleRatio) -> Conclusion:
    return Conclusion(
        f"Nothing can be concluded from the arms: users are not split as planned (p {_p(sample_ratio.p_value)}). "
        "Who is missing differs between the arms, so whatever else differs may come from that. Explain it first.",
        "bad",
    )


def _primary(comparison: Comparison, adjusted: Adjusted | None, sensitivities: Sequence[Sensitivity]) -> Conclusion:
    difference, lift = (
        (comparison.difference, comparison.lift) if adjusted is None else (adjusted.difference, adjusted.lift)
    )
    label, how = comparison.metric.label, "" if adjusted is None else ", CUPED"
    if math.isnan(difference.low):
        return Conclusion(f"Nothing is known of {label}: it is not defined in both arms.", "bad")
    if difference.excludes_zero:
        verb = "raises" if difference.value > 0 else "lowers"
        tone = "good" if difference.value > 0 else "bad"
        return Conclusion(f"Treatment {verb} {label}: {_told(difference, lift, how)}.", tone)
    least = min(
        (each for each in sensitivities if each.metric == comparison.metric and each.test != "paired"),
        key=lambda each: each.detectable,
        default=None,
    )
    hidden = (
        ""
        if least is None
        else f" One smaller than {_size(least.detectable, least.detectable_lift)} is missed in more than "
        f"{percent(1 - least.power)} of experiments with {count(least.users)} users."
    )
    return Conclusion(
        f"No effect on {label} is shown: {_told(difference, lift, how)}. "
        f"No effect beyond the ends of this interval could hide, any between them could.{hidden}",
        "plain",
    )


def _others(comparisons: Sequence[Comparison], adjusted: Mapping[Metric, Adjusted]) -> list[Conclusion]:
    others = [each for each in comparisons if each.metric != PRIMARY]
    moved = []
    for each in others:
        best = adjusted.get(each.metric)
        difference, lift = (each.difference, each.lift) if best is None else (best.difference, best.lift)
        if difference.excludes_zero:
            moved.append(f"{each.metric.label} {_told(difference, lift, '' if best is None else ', CUPED')}")
    if not moved:
        return []
    return [
        Conclusion(
            f"Beside it moved: {'; '.join(moved)}. Each of {len(others)} such metrics does so by chance in "
            f"{percent(ALPHA)} of experiments: take this for an explanation, not for proof.",
            "plain",
        )
    ]


def _sequence(sequence: ConfidenceSequence) -> Conclusion:
    if sequence.first_crossing is None:
        return Conclusion(
            f"Read on each of {len(sequence.days)} days, the always-valid interval never left zero out: to stop early "
            "would have been to stop by chance. The interval above holds only if the end was fixed beforehand.",
            "plain",
        )
    return Conclusion(
        f"Read every day, the always-valid interval left zero out on {sequence.first_crossing.isoformat()}: stopping "
        "then would have been sound.",
        "good" if sequence.days[-1].difference.value > 0 else "bad",
    )


def _paired(paired: PairedComparison, users: int) -> Conclusion:
    how = f"Replayed with the same {count(users)} users, needs and random streams in both arms, {paired.metric.label}"
    told = _told(paired.difference, paired.lift, "")
    narrower = "" if math.isnan(paired.narrowing) else f" The interval is {paired.narrowing:.1f} times as narrow."
    if not paired.difference.excludes_zero:
        return Conclusion(f"{how} show no effect: {told}.{narrower}", "plain")
    verb, tone = ("rise", "good") if paired.difference.value > 0 else ("fall", "bad")
    needed = (
        ""
        if paired.unpaired_users_per_arm is None
        else f" An unpaired test would need {count(paired.unpaired_users_per_arm)} users in each arm to find it."
    )
    return Conclusion(f"{how} {verb}: {told}.{narrower}{needed}", tone)


def _aa(result: AaResult) -> Conclusion:
    if not result.defined:
        return Conclusion(f"A/A: {result.metric.label} cannot be tested; nobody in control ordered.", "bad")
    return Conclusion(
        f"A/A: the test of {result.metric.label} rejects {percent(result.rejections.value)} of {result.defined} random "
        f"splits, not {percent(result.alpha)}: its intervals are not to be believed with these users.",
        "bad",
    )


def _interleaving(found: Interleaving) -> Conclusion:
    clicked = found.wins + found.losses + found.ties
    if not clicked:
        return Conclusion("Interleaving: no interleaved page was clicked.", "plain")
    told = (
        f"{count(found.wins)} pages to {count(found.losses)}, preference {signed(found.preference.value)} "
        f"({interval(found.preference)})"
    )
    if not found.preference.excludes_zero:
        return Conclusion(f"Interleaving: neither side is preferred; rewrites win {told}.", "plain")
    if found.preference.value > 0:
        return Conclusion(f"Interleaving: users prefer the rewrites' hits; they win {told}.", "good")
    return Conclusion(f"Interleaving: users prefer the original's hits; rewrites win {told}.", "bad")


def _told(difference: Estimate, lift: Estimate, how: str) -> str:
    """The difference with its interval, relative where that is defined."""
    confidence = f"{percent(1 - ALPHA).replace('.0%', '%')} interval"
    if math.isnan(lift.low):
        return f"{signed(difference.value)} ({confidence}{how} {interval(difference)})"
    return f"{signed_percent(lift.value)} ({confidence}{how} {lift_interval(lift)})"


def _size(detectable: float, lift: float) -> str:
    return percent(lift) if math.isfinite(lift) else signed(detectable).lstrip("+")


def _p(value: float) -> str:
    told = p_value(value)
    return told if told.startswith("<") else f"= {told}"
