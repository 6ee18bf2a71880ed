"""Resampling of users: all metrics of one resample come from the same draw."""

from __future__ import annotations

import numpy as np

from iterqr_training.experiments.user_sums import Floats

RESAMPLES = 10_000
_WEIGHTS_AT_A_TIME = 64_000  # in a core's cache: half the time of a million


def resampled_totals(sums: Floats, *, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Draws as many users as there are, with replacement, again and again, and adds up their sums.

    How often each user was drawn is a row of multinomial weights, and totals are weights times sums. Memory is bounded
    whatever the number of resamples; each takes some 6 ns a user.

    Args:
        sums: Shape (users, columns), at least one user.
        seed: The same seed and number of users draw the same users: so pairs stay pairs.
        resamples: How often to draw.

    Returns:
        Shape (resamples, columns).
    """
    users, columns = sums.shape
    generator = np.random.default_rng(seed)
    at_a_time = max(1, _WEIGHTS_AT_A_TIME // users)
    totals = np.empty((resamples, columns))
    for start in range(0, resamples, at_a_time):
        rows = min(at_a_time, resamples - start)
        drawn = generator.integers(0, users, size=(rows, users), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, np.newaxis] * users
        weights = np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users)
        totals[start : start + rows] = weights.astype(np.float64) @ sums
    return totals
