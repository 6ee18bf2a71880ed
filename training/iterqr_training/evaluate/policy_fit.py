"""Fits the policy of fusion and skipping to a system's own rewrites, on validation queries.

What may vary are the members of the policy document: factors by confidence, strength and overlap, beside which results
rewrites lead and how much, the least confidence, and how many rewrites are used. Coordinate ascent from the rule's
policy: each member in turn takes the value that is best with the others as they are, until none changes. Choosing
flatters, so the fit is also made on each half of the queries and measured on the other; where that does not beat the
rule's policy, it is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from iterqr_proto.policy import Curve, Policy, WeakOriginal, original_features, policy_document

from iterqr_training.evaluate.calibration import Calibration
from iterqr_training.evaluate.fusion import FusionRule, RecordedRewrite, WindowHit, replay

MAX_HARM_RATE = 0.01
_TOP = 10
_ROUNDS = 4
STRENGTHS = (
    Curve(),
    Curve(((0.3, 1.0), (0.7, 0.0))),
    Curve(((0.5, 1.0), (0.8, 0.0))),
    Curve(((0.7, 1.0), (0.9, 0.0))),
    Curve(((0.0, 1.0), (1.0, 0.0))),
)
OVERLAPS = (
    Curve(),
    Curve(((0.0, 0.0), (0.3, 1.0))),
    Curve(((0.0, 0.25), (0.5, 1.0))),
    Curve(((0.1, 0.0), (0.5, 1.0))),
)
_MAX_REWRITES = (8, 5, 3, 2, 1)
_WEAK_SHARES = (0.05, 0.1, 0.15, 0.2, 0.3)  # of the originals that have hits
_WEAK_FACTORS = (1.0, 2.0, 4.0)
_MAX_WEAK_SCORE = 1_000.0
_LEAST_CONFIDENCES = (0.25, 0.5, 0.75)  # quantiles of the confidences seen


@dataclass(frozen=True, slots=True)
class FitQuery:
    """A validation query: its text, what satisfies it, its window and its rewrites with theirs."""

    query: str
    relevant: frozenset[str]
    original: Sequence[WindowHit]
    rewrites: tuple[RecordedRewrite, ...]


@dataclass(frozen=True, slots=True)
class Gains:
    """Change of results P@10 against plain search: mean, share of queries that rose, share that fell."""

    mean: float
    lift_rate: float
    harm_rate: float


@dataclass(frozen=True, slots=True)
class PolicyFit:
    """The policy and what it does to validation queries.

    `fitted`, `default`: of the best policy found and of the rule's. `unseen`: of policies that were fitted to the
    other half of the queries. `kept_default`: fitting did not pay; `policy` is the rule's.
    """

    policy: Policy
    kept_default: bool
    queries: int
    max_harm_rate: float
    fitted: Gains
    default: Gains
    unseen: Gains


def fit_policy(
    queries: Sequence[FitQuery],
    calibration: Calibration | None,
    rule: FusionRule,
    *,
    max_harm_rate: float = MAX_HARM_RATE,
) -> PolicyFit:
    """Fits.

    Args:
        queries: Of validation, at least two, none of them held out.
        calibration: Of the system's confidences, fitted to the same queries; None: they are not read.
        rule: The pipeline's weights and strategy; its policy is what fitting starts from, and must beat.
        max_harm_rate: A policy that harms a larger share of the queries is taken only if all do.
    """
    if len(queries) < 2:
        raise ValueError("queries: must be at least 2")
    fitter = _Fitter(queries, calibration, rule, max_harm_rate)
    everything = range(len(queries))
    best = fitter.best(everything)
    halves = [[place for place in everything if place % 2 == fold] for fold in (0, 1)]
    seen = np.zeros(len(queries))
    for fold, measured in ((0, halves[1]), (1, halves[0])):
        seen[measured] = fitter.gains(fitter.best(halves[fold]))[measured]
    default = rule.policy
    unseen, by_default = _summed(seen), _summed(fitter.gains(default))
    kept = _preference(unseen, max_harm_rate) >= _preference(by_default, max_harm_rate)
    return PolicyFit(
        policy=default if kept else replace(best, policy_id=_policy_id(best)),
        kept_default=kept,
        queries=len(queries),
        max_harm_rate=max_harm_rate,
        fitted=_summed(fitter.gains(best)),
        default=by_default,
        unseen=unseen,
    )


class _Fitter:
    """Gains of policies on the queries, each policy replayed once."""

    def __init__(
        self, queries: Sequence[FitQuery], calibration: Calibration | None, rule: FusionRule, max_harm_rate: float
    ) -> None:
        self._queries, self._rule, self._max_harm_rate = queries, rule, max_harm_rate
        self._known: dict[Policy, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        self._plain = [_precision([hit.object_id for hit in each.original], each.relevant) for each in queries]
        confidences = [rewrite.confidence for each in queries for rewrite in each.rewrites]
        least = np.quantile(confidences, _LEAST_CONFIDENCES).round(3).tolist() if confidences else []
        self._options: Mapping[str, Sequence[Any]] = {
            "strength_factor": STRENGTHS,
            "overlap_factor": OVERLAPS,
            "weak_original": (None, *_weak_originals(queries, rule)),
            "confidence_factor": (Curve(), *_confidence_curves(calibration)),
            "min_confidence": (0.0, *least) if calibration else (0.0,),
            "max_rewrites": _MAX_REWRITES,
        }

    def best(self, places: Sequence[int]) -> Policy:
        policy = replace(self._rule.policy, policy_id="fit")
        chosen = list(places)
        for _ in range(_ROUNDS):
            before = policy
            for name, options in self._options.items():
                tried = [policy, *(replace(policy, **{name: option}) for option in options)]
                policy = min(
                    tried, key=lambda each: _preference(_summed(self.gains(each)[chosen]), self._max_harm_rate)
                )
            if policy == before:
                break
        return policy

    def gains(self, policy: Policy) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        if policy not in self._known:
            rule = replace(self._rule, policy=policy)
            self._known[policy] = np.array(
                [
                    _precision(replay(rule, each.query, each.original, each.rewrites), each.relevant) - plain
                    for each, plain in zip(self._queries, self._plain, strict=True)
                ]
            )
        return self._known[policy]


def _confidence_curves(calibration: Calibration | None) -> tuple[Curve, ...]:
    """The probability itself, and stretched so that the surest rewrites have their whole weight."""
    if calibration is None:
        return ()
    most = calibration.points[-1][1]
    stretched = tuple((x, round(y / most, 4)) for x, y in calibration.points) if most else calibration.points
    return (Curve(calibration.points), Curve(stretched))


def _weak_originals(queries: Sequence[FitQuery], rule: FusionRule) -> list[WeakOriginal]:
    features = [
        original_features([hit.score for hit in each.original[: rule.window_size]], len(each.query)) for each in queries
    ]
    scores = [each.score_a_character for each in features if each.hits]
    found = np.quantile(scores, _WEAK_SHARES).round(4).tolist() if scores else []
    bounds = sorted({bound for bound in found if 0 < bound <= _MAX_WEAK_SCORE})
    return [WeakOriginal(bound, factor) for bound in bounds for factor in _WEAK_FACTORS]


def _precision(ids: Sequence[str], relevant: frozenset[str]) -> float:
    return sum(each in relevant for each in ids[:_TOP]) / _TOP


def _summed(gains: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Gains:
    return Gains(float(gains.mean()), float((gains > 0).mean()), float((gains < 0).mean()))


def _preference(gains: Gains, max_harm_rate: float) -> tuple[float, ...]:
    """Smaller is better: within the bound of harm the larger gain, beyond it the smaller harm."""
    if gains.harm_rate > max_harm_rate:
        return (1.0, gains.harm_rate, -round(gains.mean, 6))
    return (0.0, -round(gains.mean, 6), gains.harm_rate)


def _policy_id(policy: Policy) -> str:
    document = {name: value for name, value in policy_document(policy).items() if name != "policy_id"}
    return "fit-" + hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
