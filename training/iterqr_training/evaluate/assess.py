"""Measures one system: calibration and policy from validation, all else on held-out queries. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from iterqr_proto.policy import policy_document
from iterqr_proto.rewrite_format import comparison_form

from iterqr_training.evaluate.answers import Answers
from iterqr_training.evaluate.calibration import Calibration, fit_calibration, reliability
from iterqr_training.evaluate.evaluated import CalibrationReport, EvaluatedSystem, Example, SystemDetails
from iterqr_training.evaluate.evidence import Evidence
from iterqr_training.evaluate.fusion import FusionRule, RecordedRewrite
from iterqr_training.evaluate.latency import latency
from iterqr_training.evaluate.policy_fit import FitQuery, PolicyFit, fit_policy
from iterqr_training.evaluate.query_sums import QuerySums, query_sums
from iterqr_training.evaluate.rewriter import Rewriter
from iterqr_training.evaluate.text_variety import text_variety
from iterqr_training.experiments.user_sums import Floats

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is needed to measure one system. `validation`: its answers there with what is known of them, or None."""

    rewriter: Rewriter
    answers: Answers
    evidence: Evidence
    validation: tuple[Answers, Evidence] | None
    rule: FusionRule
    max_harm_rate: float
    perplexity: float
    seed: int


def assess(given: Assessment) -> tuple[EvaluatedSystem, SystemDetails]:
    """Returns the measures and details of one system."""
    calibration = None if given.validation is None else _calibration(*given.validation)
    fit = None if given.validation is None else _policy(*given.validation, calibration, given)
    policy = given.rule.policy if fit is None else fit.policy
    sums = query_sums(given.answers, given.evidence, replace(given.rule, policy=policy))
    report = None if calibration is None else _reliability(calibration, given.answers, given.evidence)
    ordered = [given.answers[each.region, each.query] for each in given.evidence.truth]
    examples = sorted(_examples(given.answers, given.evidence, sums), key=lambda each: each.before - each.after)
    system = EvaluatedSystem(
        name=given.rewriter.name,
        identity=given.rewriter.identity,
        sums=sums,
        variety=text_variety(ordered, seed=given.seed),
        latency=latency(ordered),
        perplexity=given.perplexity,
        calibration_error=math.nan if report is None else report.calibrated.error,
    )
    details = SystemDetails(
        calibration=report,
        policy_fit=fit,
        policy=policy_document(policy),
        won=tuple(each for each in examples[:_EXAMPLES] if each.after > each.before),
        lost=tuple(each for each in examples[::-1][:_EXAMPLES] if each.after < each.before),
    )
    return system, details


def _calibration(answers: Answers, evidence: Evidence) -> Calibration | None:
    confidences, good = _pairs(answers, evidence)
    return fit_calibration(confidences, good) if len(good) else None


def _reliability(calibration: Calibration, answers: Answers, evidence: Evidence) -> CalibrationReport:
    confidences, good = _pairs(answers, evidence)
    calibrated = calibration.at(confidences) if len(good) else confidences
    return CalibrationReport(calibration, reliability(confidences, good), reliability(calibrated, good))


def _pairs(answers: Answers, evidence: Evidence) -> tuple[Floats, Floats]:
    """Confidence and worth of each rewrite of known worth."""
    pairs = [
        (rewrite.confidence, float(evidence.worth[key]))
        for query in evidence.truth
        for rewrite in answers[query.region, query.query].rewrites
        if (key := (query.region, query.query, comparison_form(rewrite.text))) in evidence.worth
    ]
    found = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _policy(
    answers: Answers, evidence: Evidence, calibration: Calibration | None, given: Assessment
) -> PolicyFit | None:
    if evidence.windows is None:
        return None
    queries: Sequence[FitQuery] = [
        FitQuery(
            query.query,
            query.relevant,
            evidence.windows[query.region, query.query],
            tuple(
                RecordedRewrite(each.confidence, evidence.windows[query.region, each.text])
                for each in answers[query.region, query.query].rewrites
            ),
        )
        for query in evidence.truth
        if query.relevant
    ]
    if len(queries) < 2 or not any(query.rewrites for query in queries):
        return None
    return fit_policy(queries, calibration, given.rule, max_harm_rate=given.max_harm_rate)


def _examples(answers: Answers, evidence: Evidence, sums: QuerySums) -> Iterator[Example]:
    if "result_gain" not in sums.by_measure:
        return
    gains, afters = sums.by_measure["result_gain"][:, 0], sums.by_measure["result_p10"][:, 0]
    for query, gain, after in zip(evidence.truth, gains.tolist(), afters.tolist(), strict=True):
        if gain:
            rewrites = tuple(each.text for each in answers[query.region, query.query].rewrites)
            yield Example(query.query, query.region, rewrites, after - gain, after)
