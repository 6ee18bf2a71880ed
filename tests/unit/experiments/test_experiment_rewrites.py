"""Interleaving, funnel, frequency bands, false negatives and agreement of labels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from iterqr_training.experiments.frequency_bands import Band, frequency_bands
from iterqr_training.experiments.funnel import funnel
from iterqr_training.experiments.interleaving import TeamClicks, judge_interleaving, team_clicks
from iterqr_training.experiments.label_agreement import label_agreement
from iterqr_training.experiments.popularity import false_negatives
from iterqr_training.experiments.rewrite_exposure import RewriteExposure, rewrite_exposure
from iterqr_training.signals.tables import (
    ATTRIBUTED_EVENTS,
    HIT_CHANNELS,
    IMPRESSIONS,
    QUERY_OUTCOMES,
    REWRITE_OUTCOMES,
)
from scipy import stats
from support.experiment_worlds import make_rows


def test_clicked_hits_are_counted_for_the_team_that_picked_them() -> None:
    impressions = make_rows(IMPRESSIONS, impression_id=["i1", "i2", "i3", "plain"], client_id=["one", "two", "", "one"])
    channels = make_rows(
        HIT_CHANNELS,
        impression_id=["i1", "i1", "i1", "i1", "i1", "i2", "i3", "plain"],
        shown=[True, True, True, True, False, True, True, True],
        position=[1, 1, 2, 3, 1, 1, 1, 1],
        channel=["original", "rewrite", "rewrite", "original", "rewrite", "original", "rewrite", "original"],
        rewrite_id=["", "r1", "r1", "", "r1", "", "r1", ""],
        team=["original", "original", "rewrites", "original", "rewrites", "original", "rewrites", ""],
    )
    events = make_rows(
        ATTRIBUTED_EVENTS,
        event_id=["e1", "e1", "e2", "e3", "e4", "e5"],
        kind=["click", "click", "click", "click", "order", "click"],
        status=["credited", "credited", "credited", "not_shown", "credited", "credited"],
        impression_id=["i1", "i1", "i1", "i1", "i1", "plain"],
        position=[2, 2, 2, 3, 1, 1],
    )
    clicks = team_clicks(impressions, channels, events)
    assert clicks.client_ids.tolist() == ["one", "two"]
    assert clicks.original.tolist() == [0, 0]
    assert clicks.rewrites.tolist() == [1, 0]
    assert clicks.pages_without_client == 1


def make_clicks(original: list[int], rewrites: list[int], clients: list[str] | None = None) -> TeamClicks:
    ids = clients or [f"u{number}" for number in range(len(original))]
    return TeamClicks(np.array(ids), np.array(original), np.array(rewrites), 0)


def test_wins_losses_and_ties_make_the_preference() -> None:
    found = judge_interleaving(make_clicks([0, 1, 2, 1, 0, 0], [1, 2, 1, 1, 0, 3]), seed=1)
    assert (found.pages, found.wins, found.losses, found.ties) == (6, 3, 1, 1)
    assert found.preference.value == pytest.approx((3 + 0.5) / 5 - 0.5)
    assert found.sign_p == pytest.approx(stats.binomtest(3, 4).pvalue)


def test_a_user_with_many_pages_makes_the_interval_wide_not_narrow() -> None:
    original, rewrites = [0, 1] * 100, [1, 0] * 100
    independent = judge_interleaving(make_clicks(original, rewrites), seed=1)
    # The same pages, but all wins are of ten users and all losses of ten others.
    clustered = judge_interleaving(
        make_clicks(original, rewrites, [f"u{number % 20}" for number in range(200)]), seed=1
    )
    assert clustered.preference.value == independent.preference.value == 0
    assert clustered.preference.width > 2 * independent.preference.width
    assert clustered.users == 20


def test_interleaving_without_clicks_decides_nothing() -> None:
    found = judge_interleaving(make_clicks([0, 0], [0, 0]), seed=1)
    assert found.pages == 2
    assert math.isnan(found.preference.value)
    assert math.isnan(found.sign_p)


def test_the_funnel_counts_how_far_searches_come() -> None:
    searches = make_rows(
        QUERY_OUTCOMES,
        outcome=["fused", "fused", "expanded", "timeout", "skipped_sort", "no_rewrites", "page_unpinned", "error"],
        level1_hits=[3, 0, 0, 0, 0, 0, 0, 0],
        level1_clicks=[1, 0, 0, 0, 0, 0, 0, 0],
        orders=[0, 1, 0, 2, 0, 0, 0, 0],
    )
    steps = {step.name: step.searches for step in funnel("treatment", searches).steps}
    assert steps == {
        "searches": 8,
        "rewriting asked for": 6,
        "answered in time": 4,
        "rewrites in the page": 3,
        "new results added": 1,
        "a new result clicked (Level-1)": 1,
        "a new result ordered (Level-1)": 0,
        "anything ordered": 2,
    }
    assert funnel("treatment", searches).steps[1].share == 0.75


def test_bands_follow_the_cumulative_volume() -> None:
    searches = ["pizza"] * 5 + ["ramen"] * 2 + ["sushi"] + ["laksa"] + ["poke"]
    bands = frequency_bands(make_rows(QUERY_OUTCOMES, normalized_query=searches, query_id=[str(n) for n in range(10)]))
    assert bands == {
        "pizza": Band.HEAD,
        "ramen": Band.TORSO,
        "laksa": Band.TORSO,
        "poke": Band.TAIL,
        "sushi": Band.TAIL,
    }


def test_exposure_is_added_up_over_regions_and_checkpoints() -> None:
    exposure = rewrite_exposure(
        make_rows(
            REWRITE_OUTCOMES,
            region=["r1", "r2", "r1"],
            normalized_query=["q", "q", "other"],
            rewrite_text=["rw", "rw", "rw"],
            examined_ppb=[1_500_000_000, 500_000_000, 0],
            level1_clicks_ppb=[500_000_000, 0, 0],
        ),
        {"q": Band.HEAD},
    )
    assert exposure.queries == ("other", "q")
    assert exposure.bands.tolist() == ["tail", "head"]
    assert exposure.examined.tolist() == [0, 2]
    assert exposure.clicks.tolist() == [0, 0.5]


def make_exposure(seed: int = 1) -> tuple[RewriteExposure, dict[tuple[str, str], bool]]:
    """Head: seen 20 times, 60% good. Torso: 6 times, 40%. Tail: 1.5 times, 30%. Rates 0.3 and 0.02."""
    generator = np.random.default_rng(seed)
    bands = np.repeat(["head", "torso", "tail"], [300, 700, 2000])
    mean = np.repeat([20.0, 6.0, 1.5], [300, 700, 2000])
    good = generator.random(3000) < np.repeat([0.6, 0.4, 0.3], [300, 700, 2000])
    examined = generator.gamma(2, mean / 2)
    clicks = generator.poisson(examined * np.where(good, 0.3, 0.02)).astype(np.float64)
    queries = tuple(f"q{number}" for number in range(3000))
    truth = {(query, "rw"): bool(is_good) for query, is_good in zip(queries, good, strict=True)}
    return RewriteExposure(queries, ("rw",) * 3000, bands, examined, clicks), truth


def test_false_negatives_are_estimated_near_the_truth_in_every_band() -> None:
    exposure, truth = make_exposure()
    found = false_negatives(exposure, truth)
    assert found is not None
    assert found.good_rate == pytest.approx(0.3, rel=0.15)
    assert found.other_rate == pytest.approx(0.02, abs=0.02)
    assert found.two_kinds
    for band in found.bands:
        assert band.error is not None
        assert abs(band.error) < 0.05, band
        assert band.true_false_negatives is not None
    head, _torso, tail = found.bands
    # Not clicked says little in the tail: taken for negative, hundreds of good rewrites would be.
    assert tail.true_false_negatives is not None
    assert tail.true_false_negatives > 300
    assert tail.false_negatives == pytest.approx(tail.true_false_negatives, rel=0.25)
    assert tail.no_click_if_good > 0.5 > head.no_click_if_good


def test_what_nobody_examined_is_missing_not_negative() -> None:
    exposure = RewriteExposure(
        ("a", "b", "c"),
        ("rw",) * 3,
        np.array(["tail", "tail", "tail"]),
        np.array([0.0, 4.0, 3.0]),
        np.array([0.0, 2.0, 0.0]),
    )
    found = false_negatives(exposure)
    assert found is not None
    tail = found.bands[2]
    assert (tail.examined, tail.unexamined, tail.clicked, tail.unclicked) == (2, 1, 1, 1)
    assert tail.true_false_negatives is None
    assert 0 < tail.false_negatives < 1


def test_one_kind_of_rewrites_is_not_taken_for_two() -> None:
    exposure, _ = make_exposure()
    alike = np.random.default_rng(2).poisson(exposure.examined * 0.15).astype(np.float64)
    found = false_negatives(replace(exposure, clicks=alike))
    assert found is not None
    assert not found.two_kinds


def test_without_any_click_nothing_is_estimated() -> None:
    exposure = RewriteExposure(("a",), ("rw",), np.array(["tail"]), np.array([2.0]), np.array([0.0]))
    assert false_negatives(exposure) is None


def test_agreement_is_cohens_kappa() -> None:
    # Cohen's own layout: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no of 50 is kappa 0.4.
    clicked = np.repeat([1.0, 1.0, 0.0, 0.0], [20, 5, 10, 15])
    score = np.repeat([0.9, 0.1, 0.5, 0.0], [20, 5, 10, 15])
    queries = tuple(f"q{number}" for number in range(51))
    exposure = RewriteExposure(
        queries, ("rw",) * 51, np.array(["tail"] * 51), np.array([1.0] * 50 + [0.0]), np.append(clicked, 0.0)
    )
    scores = {(query, "rw"): float(value) for query, value in zip(queries, [*score, 1.0], strict=True)}
    everything, head, _torso, tail = label_agreement(exposure, scores)
    assert everything.kappa == pytest.approx(0.4)
    assert everything.precision == pytest.approx(0.8)
    assert everything.recall == pytest.approx(2 / 3)
    assert (tail.rewrites, tail.clicked, tail.relevant, tail.kappa) == (50, 25, 30, everything.kappa)
    assert head.rewrites == 0
    assert math.isnan(head.kappa)
