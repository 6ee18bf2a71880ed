"""How many users an effect needs, and which effects could have stayed hidden."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from iterqr_training.experiments.estimate import ALPHA, normal_quantile
from iterqr_training.experiments.metrics import Metric

POWER = 0.8
LIFTS = (0.01, 0.02, 0.05, 0.10)


@dataclass(frozen=True, slots=True)
class UsersNeeded:
    """Users in each arm to find a relative lift; None if no number is enough or nothing is known of the variance."""

    lift: float
    users_per_arm: int | None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What one kind of test can find.

    Args:
        test: `unpaired`, `cuped` or `paired`.
        users: In both arms together; of `paired`, the replayed ones.
        detectable: Smallest difference that it finds with probability `power`, in the metric's unit.
        detectable_lift: The same relative to control; NaN if control is 0.
        needed: Users for given lifts; empty for `paired`, whose users are simulated.
        users_for_replay: Users in each arm to find the relative lift that the paired replay measured; None without
            one, and for `paired` itself.
    """

    test: str
    metric: Metric
    users: int
    alpha: float
    power: float
    detectable: float
    detectable_lift: float
    needed: tuple[UsersNeeded, ...]
    users_for_replay: int | None


def detectable_effect(standard_error: float, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest difference that a two-sided normal test finds with this probability."""
    return _distance(alpha, power) * standard_error


def users_needed(
    control_variance: float, treatment_variance: float, effect: float, *, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """Users in each of two equal arms to find a difference; None if it is 0 or something is not known.

    Args:
        control_variance: Of one user's (linearised) value; so is the next.
        treatment_variance: In the other arm.
        effect: Difference of the means, of either sign.
        alpha: Of the two-sided normal test.
        power: Probability to find it.
    """
    variance = control_variance + treatment_variance
    if not effect or not math.isfinite(effect) or not math.isfinite(variance):
        return None
    return max(2, math.ceil(_distance(alpha, power) ** 2 * variance / effect**2))


def sensitivity(
    test: str,
    metric: Metric,
    *,
    control: float,
    users: int,
    standard_error: float,
    variances: tuple[float, float] | None,
    replayed_lift: float | None = None,
    lifts: Sequence[float] = LIFTS,
    alpha: float = ALPHA,
    power: float = POWER,
) -> Sensitivity:
    """Puts together what a test can find.

    Args:
        test: Which.
        metric: Of what.
        control: The metric's value in control.
        users: That the test had.
        standard_error: Of the difference, as measured.
        variances: Of one user's value in control and treatment; None where more users cannot be had.
        replayed_lift: Relative lift that the paired replay measured; its users searched for another time, so its
            difference would not do.
        lifts: Relative effects to tell the users for.
        alpha: Of the test.
        power: Probability to find it.
    """
    detectable = detectable_effect(standard_error, alpha=alpha, power=power)
    needed = (
        ()
        if variances is None
        else tuple(
            UsersNeeded(lift, users_needed(*variances, lift * control, alpha=alpha, power=power)) for lift in lifts
        )
    )
    for_replay = None
    if variances is not None and replayed_lift is not None:
        for_replay = users_needed(*variances, replayed_lift * control, alpha=alpha, power=power)
    detectable_lift = detectable / control if control else math.nan
    return Sensitivity(test, metric, users, alpha, power, detectable, detectable_lift, needed, for_replay)


def _distance(alpha: float, power: float) -> float:
    """How many standard errors the effect must be away from 0."""
    return normal_quantile(1 - alpha / 2) + normal_quantile(power)
