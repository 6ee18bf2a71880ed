"""Sums by user, metrics, the bootstrap and the delta method."""

from __future__ import annotations

import math

import numpy as np
import pytest
from iterqr_training.errors import SettingError
from iterqr_training.experiments.arms import split_arms
from iterqr_training.experiments.bootstrap import resampled_totals
from iterqr_training.experiments.estimate import mean_error, normal_lift, percentile_estimate
from iterqr_training.experiments.intervals import compare, delta_test
from iterqr_training.experiments.metrics import (
    BUYERS_PER_VISITOR,
    METRICS,
    ORDERS_PER_PAGE,
    ORDERS_PER_QUERY,
    ORDERS_PER_VISITOR,
    VALUE_PER_VISITOR,
    linearised,
    ratio,
)
from iterqr_training.experiments.user_sums import Column, sum_by_user
from iterqr_training.signals.tables import QUERY_OUTCOMES
from scipy import stats
from support.experiment_worlds import draw_users, make_rows, make_users


def test_metrics_are_ratios_of_sums_by_user() -> None:
    users = sum_by_user(
        make_rows(
            QUERY_OUTCOMES,
            query_id=["a", "b", "c", "d"],
            client_id=["two", "one", "two", "three"],
            pages=[2, 1, 1, 4],
            orders=[1, 0, 2, 0],
            value=[10.0, 0.0, 30.0, 0.0],
        )
    )
    assert users.client_ids.tolist() == ["one", "three", "two"]
    assert users.column(Column.ORDERS).tolist() == [0, 0, 3]
    assert ratio(users, ORDERS_PER_VISITOR) == 1
    assert ratio(users, BUYERS_PER_VISITOR) == pytest.approx(1 / 3)
    assert ratio(users, ORDERS_PER_QUERY) == 3 / 4
    assert ratio(users, ORDERS_PER_PAGE) == 3 / 8
    assert ratio(users, VALUE_PER_VISITOR) == pytest.approx(40 / 3)


def test_a_search_without_a_value_is_worth_nothing() -> None:
    users = sum_by_user(make_rows(QUERY_OUTCOMES, query_id=["a", "b"], client_id=["one", "one"], value=[None, None]))
    assert users.total(Column.VALUE) == 0


def test_the_linearised_mean_is_the_ratio_and_its_error_the_textbook_one() -> None:
    users = make_users([0, 1, 3, 1], [1, 2, 4, 5])
    values = linearised(users, ORDERS_PER_QUERY)
    assert values.mean() == pytest.approx(5 / 12)
    # Cochran, "Sampling Techniques": the variance of a ratio of means.
    orders, searches = np.array([0, 1, 3, 1]), np.array([1, 2, 4, 5])
    covariance = np.cov(orders, searches, ddof=1)
    r = 5 / 12
    expected = (covariance[0, 0] - 2 * r * covariance[0, 1] + r**2 * covariance[1, 1]) / (4 * searches.mean() ** 2)
    assert mean_error(values) ** 2 == pytest.approx(expected)


def test_the_delta_test_of_a_mean_is_the_test_of_unequal_variances() -> None:
    control, treatment = draw_users(300, 1), draw_users(400, 2, rate=0.25, first=300)
    test = delta_test(control, treatment, ORDERS_PER_VISITOR)
    welch = stats.ttest_ind(treatment.column(Column.ORDERS), control.column(Column.ORDERS), equal_var=False)
    assert test.difference.value / test.standard_error == pytest.approx(welch.statistic)
    assert test.p_value == pytest.approx(2 * stats.norm.sf(abs(welch.statistic)))


def test_resamples_draw_as_many_users_as_there_are() -> None:
    totals = resampled_totals(np.column_stack([np.ones(7), np.arange(7.0)]), seed=3, resamples=500)
    assert totals.shape == (500, 2)
    assert (totals[:, 0] == 7).all()
    assert len(np.unique(totals[:, 1])) > 20
    assert (totals[:, 1] >= 0).all()
    assert (totals[:, 1] <= 42).all()


def test_resamples_do_not_depend_on_the_columns_they_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(0).random((50, 2))
    both = resampled_totals(sums, seed=5, resamples=40)
    assert np.allclose(both[:, :1], resampled_totals(sums[:, :1], seed=5, resamples=40))
    monkeypatch.setattr("iterqr_training.experiments.bootstrap._WEIGHTS_AT_A_TIME", 120)
    assert np.allclose(both, resampled_totals(sums, seed=5, resamples=40))


def test_the_bootstrap_of_a_mean_agrees_with_scipy() -> None:
    users = draw_users(200, 8)
    values = users.column(Column.ORDERS)
    ours = percentile_estimate(
        float(values.mean()), resampled_totals(users.sums, seed=1)[:, Column.ORDERS] / len(users)
    )
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_bootstrap_and_delta_method_agree_where_users_are_many() -> None:
    for each in compare(draw_users(3000, 1), draw_users(3000, 2, rate=0.22, first=3000), seed=7):
        assert each.difference.value == pytest.approx(each.delta.difference.value)
        assert each.difference.width == pytest.approx(each.delta.difference.width, rel=0.06)
        assert each.lift.width == pytest.approx(each.delta.lift.width, rel=0.06)


def test_planted_effects_are_in_their_intervals_about_as_often_as_said() -> None:
    # The truth is that of very many users; 300 experiments of 2 x 150 users. 95% of 300 within four standard errors.
    many = draw_users(400_000, 99), draw_users(400_000, 98, rate=0.3)
    truth = {metric: ratio(many[1], metric) - ratio(many[0], metric) for metric in METRICS}
    covered = dict.fromkeys(METRICS, 0)
    covered_by_delta = dict.fromkeys(METRICS, 0)
    for number in range(300):
        control, treatment = draw_users(150, 2 * number), draw_users(150, 2 * number + 1, rate=0.3)
        for found in compare(control, treatment, seed=number, resamples=400):
            planted, delta = truth[found.metric], found.delta.difference
            covered[found.metric] += found.difference.low <= planted <= found.difference.high
            covered_by_delta[found.metric] += delta.low <= planted <= delta.high
    slack = 4 * math.sqrt(0.05 * 0.95 / 300)
    for metric in METRICS:
        # An interval that never misses is too wide.
        assert 0.95 - slack <= covered[metric] / 300 < 1, metric.name
        assert 0.95 - slack <= covered_by_delta[metric] / 300 < 1, metric.name


def test_a_lift_needs_something_to_lift() -> None:
    (found,) = compare(make_users([0, 0, 0]), make_users([0, 1, 1], first=3), seed=1, metrics=[ORDERS_PER_VISITOR])
    assert found.difference.value == pytest.approx(2 / 3)
    assert math.isnan(found.lift.value)
    assert math.isnan(found.delta.lift.low)
    assert normal_lift(2.0, 3.0, 0.0, 0.0).value == pytest.approx(0.5)


def test_an_arm_of_one_user_is_refused() -> None:
    with pytest.raises(SettingError, match="treatment: an experiment needs at least 2 users"):
        compare(make_users([1, 2]), make_users([1], first=2), seed=1)


def _searches(**columns: object) -> object:
    return make_rows(QUERY_OUTCOMES, **{"experiment": "rw", "bucket": "control", **columns})


def test_searches_that_tell_nothing_of_an_arm_are_left_out_and_counted() -> None:
    arms = split_arms(
        _searches(
            query_id=list("abcdefgh"),
            client_id=["one", "two", "", "three", "four", "four", "five", "five"],
            experiment=["rw", "rw", "rw", "", "rw", "rw", "rw", "rw"],
            bucket=["control", "treatment", "control", "", "control", "treatment", "shadow", "shadow"],
        )
    )
    assert {arm: table["query_id"].to_pylist() for arm, table in arms.searches.items()} == {
        "control": ["a"],
        "shadow": ["g", "h"],
        "treatment": ["b"],
    }
    left_out = arms.left_out
    assert (left_out.searches_without_client, left_out.searches_outside) == (1, 1)
    assert (left_out.clients_in_several_arms, left_out.searches_of_those) == (1, 2)


def test_one_of_several_experiments_must_be_named() -> None:
    searches = _searches(
        query_id=list("abcd"),
        client_id=list("abcd"),
        experiment=["old", "new", "new", "old"],
        bucket=["control", "control", "treatment", "control"],
    )
    assert split_arms(searches, "new").experiment == "new"
    with pytest.raises(SettingError, match="name one of new, old"):
        split_arms(searches)
    with pytest.raises(SettingError, match="there is no 'other', only new, old"):
        split_arms(searches, "other")
    with pytest.raises(SettingError, match="'old': no searches in its arm 'treatment'"):
        split_arms(searches, "old")


def test_no_experiment_at_all_is_said() -> None:
    with pytest.raises(SettingError, match="no search has a client, an experiment and a bucket"):
        split_arms(_searches(client_id="a", bucket=""))
