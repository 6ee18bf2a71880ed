"""Sample-ratio mismatch: are there as many users in each arm as the split says?

Fabijan et al., "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments" (KDD 2019). Users who are missing
are not missing at random: with a mismatch, no other figure of the experiment means anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from iterqr_training.errors import SettingError

THRESHOLD = 0.001
WHAT_TO_CHECK = (
    "Is the expected split that of plugins.iterqr.experiment.treatment_percent and shadow_percent, the whole time?",
    "Were percentages, name or salt changed while it ran? Then read the time after the change by itself.",
    "Are impressions of one arm lost (dropped or refused in GET /_plugins/_iterqr/stats; a node without the plugin)?",
    "Are client ids missing more often in one arm, or did the key that hashes them change?",
    "Do the bot and duplicate filters of the collection take out more of one arm (its counts say)?",
    "Do users of one arm stop searching, or come back under new ids, because of what they see?",
)


@dataclass(frozen=True, slots=True)
class ArmCount:
    """Users of an arm, and how many the split would give it of all."""

    arm: str
    users: int
    expected: float


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The check. `matches` is False where the p-value is below the threshold."""

    arms: tuple[ArmCount, ...]
    chi_square: float
    p_value: float
    threshold: float
    matches: bool


def sample_ratio(
    users: Mapping[str, int], shares: Mapping[str, float] | None = None, *, threshold: float = THRESHOLD
) -> SampleRatio:
    """Tests the numbers of users against the split (chi-square).

    Args:
        users: By arm, two arms or more, at least one user in all.
        shares: Relative size of each arm, in any unit; None for equal ones.
        threshold: P-value below which the split is not believed.

    Raises:
        SettingError: `shares` does not have the same arms, or one is not above 0.
    """
    wanted = dict.fromkeys(users, 1.0) if shares is None else dict(shares)
    if set(wanted) != set(users):
        raise SettingError(f"shares: must name the arms {', '.join(sorted(users))}, not {', '.join(sorted(wanted))}")
    if any(not 0 < share < math.inf for share in wanted.values()):
        raise SettingError("shares: must be finite and above 0")
    scale = sum(users.values()) / sum(wanted.values())
    counts = tuple(ArmCount(arm, users[arm], wanted[arm] * scale) for arm in users)
    result = stats.chisquare([each.users for each in counts], [each.expected for each in counts])
    p_value = float(result.pvalue)
    return SampleRatio(counts, float(result.statistic), p_value, threshold, matches=p_value >= threshold)
