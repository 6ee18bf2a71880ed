"""CUPED: what users did before the experiment takes out what they would have done anyway.

Deng, Xu, Kohavi and Walker, "Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment
Data" (WSDM 2013); ratio metrics by their linearised values (`metrics.linearised`). With several covariates the
coefficients are those of a least-squares fit within the arms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from iterqr_training.errors import SettingError
from iterqr_training.experiments.estimate import Estimate, mean_error, normal_estimate, normal_lift, two_sided_p
from iterqr_training.experiments.metrics import Metric, linearised
from iterqr_training.experiments.user_sums import Floats, UserSums


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The adjusted difference of one metric.

    Args:
        variance_reduction: Share of the difference's variance that went away; may be slightly below 0 by chance.
        control_variance: Of one user's adjusted value; so is the next.
    """

    metric: Metric
    difference: Estimate
    lift: Estimate
    standard_error: float
    p_value: float
    variance_reduction: float
    control_variance: float
    treatment_variance: float


def covariates(users: UserSums, before: UserSums, metric: Metric) -> Floats:
    """The users' own numerator and denominator before the experiment, and whether they were there at all.

    Returns:
        Shape (users, 3); zeros for users who are new.
    """
    found = np.zeros((len(users), 3))
    if not len(before):
        return found
    places = np.minimum(np.searchsorted(before.client_ids, users.client_ids), len(before) - 1)
    known = before.client_ids[places] == users.client_ids
    found[known, 0] = before.column(metric.numerator)[places[known]]
    found[known, 1] = before.column(metric.denominator)[places[known]]
    found[:, 2] = known
    return found


def adjust(
    control: UserSums, treatment: UserSums, metric: Metric, control_covariates: Floats, treatment_covariates: Floats
) -> Adjusted:
    """Compares arms with what the covariates explain taken out.

    Args:
        control: At least two users; so in treatment.
        treatment: Its users are others than control's.
        metric: What to compare.
        control_covariates: Shape (users of control, n); nothing that the experiment could have changed.
        treatment_covariates: Shape (users of treatment, n).

    Raises:
        SettingError: The covariates are not as many as the users.
    """
    if len(control) != len(control_covariates) or len(treatment) != len(treatment_covariates):
        raise SettingError("covariates: must have one row for each user")
    old, new = linearised(control, metric), linearised(treatment, metric)
    both = np.concatenate([control_covariates, treatment_covariates])
    centre = both.mean(axis=0)
    # Within the arms: a fit over both would take a part of the effect for the covariates'.
    inside = np.concatenate([_centred(control_covariates), _centred(treatment_covariates)])
    outcome = np.concatenate([old - old.mean(), new - new.mean()])
    if not np.isfinite(outcome).all():
        raise SettingError(f"{metric.name}: not defined in one of the arms")
    coefficients = np.linalg.lstsq(inside, outcome, rcond=None)[0]
    old_adjusted = old - (control_covariates - centre) @ coefficients
    new_adjusted = new - (treatment_covariates - centre) @ coefficients
    old_error, new_error = mean_error(old_adjusted), mean_error(new_adjusted)
    error = math.hypot(old_error, new_error)
    raw_error = math.hypot(mean_error(old), mean_error(new))
    difference = float(new_adjusted.mean() - old_adjusted.mean())
    return Adjusted(
        metric,
        difference=normal_estimate(difference, error),
        lift=normal_lift(float(old_adjusted.mean()), float(new_adjusted.mean()), old_error, new_error),
        standard_error=error,
        p_value=two_sided_p(difference, error),
        variance_reduction=1 - (error / raw_error) ** 2 if raw_error else math.nan,
        control_variance=float(old_adjusted.var(ddof=1)),
        treatment_variance=float(new_adjusted.var(ddof=1)),
    )


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean(axis=0), dtype=np.float64)
