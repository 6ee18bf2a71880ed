"""Calibration against figures computed by hand, and the policy that is fitted to it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from iterqr_proto.policy import Policy, policy_document, read_policy
from iterqr_training.evaluate.calibration import Calibration, fit_calibration, reliability
from iterqr_training.evaluate.fusion import RecordedRewrite
from iterqr_training.evaluate.policy_fit import FitQuery, fit_policy
from support.evaluations import RULE, window

FALLING = [float(score) for score in range(10, 0, -1)]


def test_reliability_by_hand() -> None:
    found = reliability(np.array([0.9, 0.9, 0.1, 0.1]), np.array([1.0, 0.0, 0.0, 0.0]))
    assert [each.rewrites for each in found.bins] == [2, 2]
    assert [each.said for each in found.bins] == pytest.approx([0.1, 0.9])
    assert [each.good_share for each in found.bins] == [0.0, 0.5]
    assert found.error == pytest.approx(2 / 4 * 0.1 + 2 / 4 * 0.4)
    assert found.brier == pytest.approx((0.01 + 0.81 + 0.01 + 0.01) / 4)


def test_without_rewrites_reliability_is_not_defined() -> None:
    assert math.isnan(reliability(np.array([]), np.array([])).error)


def test_isotonic_regression_pools_what_falls() -> None:
    confidences = np.repeat([0.1, 0.5, 0.6, 0.9], 10)
    good = np.concatenate([np.repeat([1.0, 0.0], [k, 10 - k]) for k in (1, 6, 4, 10)])
    found = fit_calibration(confidences, good, "isotonic")
    assert found is not None
    # 0.6 and 0.4 fall: both become 0.5
    assert found.at(np.array([0.1, 0.5, 0.6, 0.9])).tolist() == pytest.approx([0.1, 0.5, 0.5, 1.0])
    assert (found.pairs, found.good) == (40, 21)
    assert found.at(np.array([0.0, 1.0])).tolist() == pytest.approx([0.1, 1.0])


def test_overconfidence_is_taken_out() -> None:
    generator = np.random.default_rng(5)
    confidences = generator.uniform(0.5, 1.0, 4_000)
    good = (generator.random(4_000) < confidences - 0.4).astype(np.float64)
    for method in ("isotonic", "platt"):
        found = fit_calibration(confidences[:2_000], good[:2_000], "isotonic" if method == "isotonic" else "platt")
        assert found is not None
        assert found.method == method
        before = reliability(confidences[2_000:], good[2_000:]).error
        after = reliability(found.at(confidences[2_000:]), good[2_000:]).error
        assert before == pytest.approx(0.4, abs=0.03)
        assert after < 0.06


def test_few_pairs_take_platts_function_and_one_class_none() -> None:
    confidences = np.linspace(0.1, 0.9, 50)
    found = fit_calibration(confidences, (confidences > 0.5).astype(np.float64))
    assert found is not None
    assert found.method == "platt"
    assert fit_calibration(confidences, np.ones(50)) is None
    assert fit_calibration(confidences, np.zeros(50)) is None


def fit_queries(confidence_tells: bool) -> list[FitQuery]:
    """Weak results: a rewrite either brings a new relevant object or pushes the only one, the last, off the page."""
    queries = []
    for number in range(40):
        original = [f"o{place}" for place in range(10)]
        lifts = number % 2 == number // 2 % 2
        confidence = (0.9 if lifts else 0.2) if confidence_tells else 0.5
        if lifts:
            rewrite, relevant = [*original[:5], "new"], frozenset({"o0", "new"})
        else:
            rewrite, relevant = [*original[:5], "f0", "f1", "f2", "f3", "f4"], frozenset({"o9"})
        recorded = RecordedRewrite(confidence, window(rewrite, FALLING[: len(rewrite)]))
        queries.append(FitQuery(f"query {number}", relevant, window(original, FALLING), (recorded,)))
    return queries


def calibration_of(queries: list[FitQuery]) -> Calibration | None:
    confidences = np.array([query.rewrites[0].confidence for query in queries])
    return fit_calibration(confidences, np.array([float("new" in query.relevant) for query in queries]))


def test_a_confidence_that_tells_makes_the_policy_heed_it() -> None:
    queries = fit_queries(confidence_tells=True)
    found = fit_policy(queries, calibration_of(queries), RULE)
    assert not found.kept_default
    assert (found.fitted.harm_rate, found.unseen.harm_rate) == (0.0, 0.0)
    assert (found.fitted.lift_rate, found.unseen.lift_rate) == (0.5, 0.5)
    assert found.default.harm_rate == 0.5
    document = policy_document(found.policy)
    assert read_policy(json.loads(json.dumps(document))) == found.policy
    assert found.policy.policy_id.startswith("fit-")


def test_a_confidence_that_says_nothing_cannot_be_fitted_to() -> None:
    queries = fit_queries(confidence_tells=False)
    found = fit_policy(queries, None, RULE)
    # No rewrite can be told from another, so only holding back all of them does no harm.
    assert found.fitted.harm_rate <= found.default.harm_rate
    assert found.policy.min_confidence == 0.0


def test_beside_originals_that_match_badly_the_policy_lets_rewrites_lead() -> None:
    """One in ten scores low for its length: its rewrite alone is right. Beside the others it is wrong."""
    queries = []
    for number in range(60):
        weak = number % 10 == number // 10  # as many in each half
        scores = [score * (0.1 if weak else 1.0) for score in FALLING]
        rewrite = [f"r{place}" for place in range(10)]
        relevant = frozenset(rewrite if weak else (f"o{place}" for place in range(10)))
        recorded = RecordedRewrite(0.5, window(rewrite, FALLING))
        queries.append(
            FitQuery(f"query {number:02}", relevant, window([f"o{place}" for place in range(10)], scores), (recorded,))
        )
    found = fit_policy(queries, None, replace(RULE, rewrite_weight=0.3))
    assert found.policy.weak_original is not None
    assert 0.1 < found.policy.weak_original.score_a_character * len("query 00") < 10
    assert (found.fitted.lift_rate, found.fitted.harm_rate) == (0.1, 0.0)
    assert found.fitted.mean > 0.05
    assert read_policy(json.loads(json.dumps(policy_document(found.policy)))) == found.policy


def test_where_rewrites_change_nothing_the_default_is_kept() -> None:
    queries = [
        FitQuery(f"query {n}", frozenset({"a"}), window(["a"]), (RecordedRewrite(0.5, window(["a"])),))
        for n in range(4)
    ]
    own = Policy("own", max_rewrites=2)
    found = fit_policy(queries, None, replace(RULE, policy=own))
    assert found.kept_default
    assert found.policy == own


def test_a_fit_needs_two_queries() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        fit_policy(fit_queries(confidence_tells=True)[:1], None, RULE)
