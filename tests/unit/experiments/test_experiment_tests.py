"""Sample ratio, CUPED, power, paired replay and A/A."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from iterqr_training.errors import SettingError
from iterqr_training.experiments.aa import aa_test
from iterqr_training.experiments.cuped import adjust, covariates
from iterqr_training.experiments.intervals import compare, delta_test
from iterqr_training.experiments.metrics import ORDERS_PER_QUERY, ORDERS_PER_VISITOR, Metric, linearised
from iterqr_training.experiments.paired import compare_paired, pair_users
from iterqr_training.experiments.power import detectable_effect, sensitivity, users_needed
from iterqr_training.experiments.srm import sample_ratio
from iterqr_training.experiments.user_sums import Column
from scipy import stats
from support.experiment_worlds import draw_habit, draw_users, make_users


def test_an_even_split_matches_and_52_to_48_of_many_does_not() -> None:
    even = sample_ratio({"control": 10_000, "treatment": 10_000})
    assert even.matches
    assert even.p_value == 1
    skewed = sample_ratio({"control": 10_400, "treatment": 9_600})
    assert not skewed.matches
    assert skewed.chi_square == pytest.approx(2 * 400**2 / 10_000)
    assert skewed.p_value == pytest.approx(stats.chi2.sf(32, 1))
    assert sample_ratio({"control": 52, "treatment": 48}).matches


def test_an_uneven_split_is_judged_by_its_shares() -> None:
    users = {"control": 10_400, "shadow": 2_000, "treatment": 7_600}
    assert sample_ratio(users, {"control": 52, "shadow": 10, "treatment": 38}).matches
    assert not sample_ratio(users, {"control": 50, "shadow": 10, "treatment": 40}).matches
    assert [each.expected for each in sample_ratio(users, {"control": 2, "shadow": 1, "treatment": 1}).arms] == [
        10_000,
        5_000,
        5_000,
    ]


def test_sample_ratio_refuses_shares_of_other_arms() -> None:
    with pytest.raises(SettingError, match="must name the arms control, treatment, not control"):
        sample_ratio({"control": 1, "treatment": 1}, {"control": 1})
    with pytest.raises(SettingError, match="shares: must be finite and above 0"):
        sample_ratio({"control": 1, "treatment": 1}, {"control": 1, "treatment": 0})


@pytest.mark.parametrize("metric", [ORDERS_PER_VISITOR, ORDERS_PER_QUERY], ids=lambda metric: metric.name)
def test_cuped_takes_out_the_square_of_the_correlation(metric: Metric) -> None:
    count = 20_000
    habit = draw_habit(count, np.random.default_rng(1))
    before, during = draw_users(count, 2, habit=habit), draw_users(count, 3, habit=habit)
    rho = np.corrcoef(linearised(before, metric), linearised(during, metric))[0, 1]
    assert rho > 0.15
    rows = np.arange(count)
    control, treatment = during.take(rows[::2]), during.take(rows[1::2])
    found = adjust(
        control,
        treatment,
        metric,
        covariates(control, before, metric),
        covariates(treatment, before, metric),
    )
    assert found.variance_reduction == pytest.approx(rho**2, abs=0.02)
    plain = delta_test(control, treatment, metric)
    assert found.standard_error == pytest.approx(plain.standard_error * (1 - rho**2) ** 0.5, rel=0.02)


def test_cuped_is_right_about_planted_effects_as_often_as_it_says() -> None:
    # Every user orders once more in treatment: the truth is exactly 1, whoever is drawn.
    covered = 0
    for number in range(300):
        habit = draw_habit(400, np.random.default_rng(number))
        before = draw_users(400, 10_000 + number, habit=habit)
        during = draw_users(400, 20_000 + number, habit=habit)
        control, treatment = during.take(np.arange(200)), during.take(np.arange(200, 400))
        treatment.sums[:, Column.ORDERS] += 1
        found = adjust(
            control,
            treatment,
            ORDERS_PER_VISITOR,
            covariates(control, before, ORDERS_PER_VISITOR),
            covariates(treatment, before, ORDERS_PER_VISITOR),
        )
        assert found.variance_reduction > 0
        covered += found.difference.low <= 1 <= found.difference.high
    assert 0.90 <= covered / 300 < 1


def test_users_who_are_new_have_no_history() -> None:
    before = make_users([3, 1], [5, 6], first=1)
    assert covariates(make_users([0, 0, 0, 0]), before, ORDERS_PER_QUERY).tolist() == [
        [0, 0, 0],
        [3, 5, 1],
        [1, 6, 1],
        [0, 0, 0],
    ]
    nobody = before.take(np.array([], dtype=np.intp))
    assert not covariates(make_users([1, 1]), nobody, ORDERS_PER_QUERY).any()


def test_cuped_wants_a_row_for_each_user() -> None:
    users = make_users([1, 0, 1])
    with pytest.raises(SettingError, match="covariates: must have one row for each user"):
        adjust(users, users, ORDERS_PER_VISITOR, np.ones((3, 1)), np.ones((2, 1)))


def test_users_needed_are_those_of_the_textbook() -> None:
    # Two arms of variance 1, an effect of half a standard deviation, 80% power: 63 in each by the normal test.
    assert users_needed(1, 1, 0.5) == 63
    assert users_needed(1, 1, -0.5) == 63
    assert users_needed(1, 1, 0.05) == 6280
    assert users_needed(1, 1, 0) is None
    assert users_needed(float("nan"), 1, 0.5) is None


def test_the_detectable_effect_is_found_with_the_power_that_was_asked_for() -> None:
    effect = detectable_effect(0.1, alpha=0.05, power=0.8)
    assert effect == pytest.approx(0.28016, abs=1e-4)
    assert stats.norm.sf(stats.norm.isf(0.025) - effect / 0.1) == pytest.approx(0.8)
    estimates = np.random.default_rng(3).normal(effect, 0.1, 20_000)
    assert np.mean(np.abs(estimates) / 0.1 > stats.norm.isf(0.025)) == pytest.approx(0.8, abs=0.015)


def test_sensitivity_undoes_itself() -> None:
    control, treatment = draw_users(5_000, 1), draw_users(5_000, 2, first=5_000)
    test = delta_test(control, treatment, ORDERS_PER_VISITOR)
    variances = (
        float(linearised(control, ORDERS_PER_VISITOR).var(ddof=1)),
        float(linearised(treatment, ORDERS_PER_VISITOR).var(ddof=1)),
    )
    found = sensitivity(
        "unpaired",
        ORDERS_PER_VISITOR,
        control=1.0,
        users=10_000,
        standard_error=test.standard_error,
        variances=variances,
    )
    assert users_needed(*variances, found.detectable) == pytest.approx(5_000, abs=2)
    assert [each.lift for each in found.needed] == [0.01, 0.02, 0.05, 0.10]
    needed = [each.users_per_arm or 0 for each in found.needed]
    assert needed == sorted(needed, reverse=True)


def _replay(count: int, effect: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    generator = np.random.default_rng(11)
    control = generator.poisson(draw_habit(count, generator) * 3)
    return control, control + generator.binomial(1, effect, count)


def test_a_paired_replay_finds_what_an_unpaired_test_of_its_size_cannot() -> None:
    control, treatment = _replay(500, 0.04)
    (paired,) = compare_paired(
        pair_users(make_users(control), make_users(treatment)), seed=1, metrics=[ORDERS_PER_VISITOR]
    )
    (unpaired,) = compare(make_users(control), make_users(treatment, first=500), seed=1, metrics=[ORDERS_PER_VISITOR])
    assert paired.difference.value == pytest.approx(float((treatment - control).mean()))
    assert paired.difference.low > 0
    assert not unpaired.difference.excludes_zero
    assert paired.narrowing == pytest.approx(unpaired.difference.width / paired.difference.width, rel=0.1)
    assert paired.narrowing > 5
    assert paired.correlation > 0.99
    assert paired.standard_error == pytest.approx((treatment - control).std(ddof=1) / 500**0.5)
    assert paired.unpaired_users_per_arm == users_needed(
        control.var(ddof=1), treatment.var(ddof=1), float((treatment - control).mean())
    )
    assert (paired.unpaired_users_per_arm or 0) > 10_000


def test_a_replay_without_a_difference_needs_no_number_of_users() -> None:
    users = make_users([1, 0, 2, 1])
    (paired,) = compare_paired(pair_users(users, users), seed=1, metrics=[ORDERS_PER_VISITOR])
    assert (paired.difference.low, paired.difference.high) == (0, 0)
    assert paired.unpaired_users_per_arm is None
    assert np.isnan(paired.narrowing)


def test_users_of_one_arm_only_are_no_pairs() -> None:
    pairs = pair_users(make_users([1, 2, 3]), make_users([4, 5, 6, 7], first=1))
    assert pairs.control.column(Column.ORDERS).tolist() == [2, 3]
    assert pairs.treatment.column(Column.ORDERS).tolist() == [4, 5]
    assert (pairs.only_control, pairs.only_treatment) == (1, 2)


def test_an_aa_test_rejects_at_the_nominal_rate() -> None:
    for each in aa_test(draw_users(1_000, 5), seed=6, splits=200):
        assert each.defined == 200
        assert each.holds, each.metric.name
        assert each.rejections.low <= 0.05 <= each.rejections.high
        assert each.uniform_p > 0.001


def test_an_aa_test_over_independent_worlds_rejects_at_the_nominal_rate_too() -> None:
    rejected = sum(
        delta_test(draw_users(200, 2 * number), draw_users(200, 2 * number + 1), ORDERS_PER_QUERY).p_value < 0.05
        for number in range(200)
    )
    interval = stats.binomtest(rejected, 200).proportion_ci(0.99)
    assert interval.low <= 0.05 <= interval.high


def test_an_aa_test_sees_a_test_that_takes_rows_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    # Errors half as large as they are: what a test by search, not by user, does where users differ.
    monkeypatch.setattr("iterqr_training.experiments.intervals.mean_error", lambda values: values.std() / 900**0.5)
    (found,) = aa_test(draw_users(450, 5), seed=6, splits=200, metrics=[ORDERS_PER_VISITOR])
    assert found.rejections.value > 0.2
    assert not found.holds
    assert found.uniform_p < 0.001


def test_an_aa_test_of_users_who_never_order_is_undefined() -> None:
    (found,) = aa_test(make_users([0] * 30), seed=1, splits=5, metrics=[ORDERS_PER_VISITOR])
    assert found.defined == 0
    assert not found.holds


def test_an_aa_test_needs_users_and_splits() -> None:
    with pytest.raises(SettingError, match="at least 20 users in control, not 3"):
        aa_test(make_users([0, 1, 0]), seed=1)
    with pytest.raises(SettingError, match="needs 1 split or more, not 0"):
        aa_test(make_users([0, 1] * 20), seed=1, splits=0)
