"""Team-draft interleaving: on one and the same page, are the rewrites' hits clicked more, or the original's?

Radlinski, Kurup and Joachims, "How Does Clickthrough Data Reflect Retrieval Quality?" (CIKM 2008); preference as in
Chapelle, Joachims, Radlinski and Yue, "Large-Scale Validation and Analysis of Interleaved Search Evaluation" (2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from iterqr_training.experiments.bootstrap import RESAMPLES, resampled_totals
from iterqr_training.experiments.estimate import UNDEFINED, Estimate, percentile_estimate
from iterqr_training.signals.attribution.touches import CLICK, CREDITED

ORIGINAL_TEAM = "original"
REWRITES_TEAM = "rewrites"


@dataclass(frozen=True, slots=True, eq=False)
class TeamClicks:
    """Clicked hits of each team, one element for each interleaved page of a known client."""

    client_ids: npt.NDArray[np.str_]
    original: npt.NDArray[np.int64]
    rewrites: npt.NDArray[np.int64]
    pages_without_client: int


@dataclass(frozen=True, slots=True)
class Interleaving:
    """Who wins.

    Args:
        pages: Interleaved ones of known clients.
        wins: Pages on which more of the rewrites' hits were clicked than of the original's.
        losses: The other way round.
        ties: Pages with as many clicks on both sides, at least one.
        preference: (wins + ties / 2) / clicked pages - 1/2, from -1/2 to 1/2; above 0 rewrites are preferred. The
            interval is by bootstrap of users.
        sign_p: P-value of the sign test of wins against losses, which takes pages for independent; NaN without any.
    """

    pages: int
    pages_without_client: int
    users: int
    wins: int
    losses: int
    ties: int
    preference: Estimate
    sign_p: float


def team_clicks(impressions: pa.Table, hit_channels: pa.Table, attributed_events: pa.Table) -> TeamClicks:
    """Counts the clicked hits of each team; several clicks on a hit count once.

    Args:
        impressions: Rows of `IMPRESSIONS`.
        hit_channels: Rows of `HIT_CHANNELS`; pages without a team are not interleaved and do not count.
        attributed_events: Rows of `ATTRIBUTED_EVENTS`.
    """
    shown = hit_channels.filter(
        pc.and_(hit_channels["shown"], pc.is_in(hit_channels["team"], pa.array([ORIGINAL_TEAM, REWRITES_TEAM])))
    )
    hits = shown.group_by(["impression_id", "position"]).aggregate([("team", "min")])
    clicked = attributed_events.filter(
        pc.and_(pc.equal(attributed_events["kind"], CLICK), pc.equal(attributed_events["status"], CREDITED))
    )
    clicks = clicked.group_by(["impression_id", "position"]).aggregate([])
    clicks = clicks.append_column("clicked", pa.array(np.ones(clicks.num_rows, dtype=np.int64)))
    joined = hits.join(clicks, ["impression_id", "position"], join_type="left outer")
    made = joined["clicked"].fill_null(0)
    team = joined["team_min"]
    counted = pa.table(
        {
            "impression_id": joined["impression_id"],
            **{
                name: pc.multiply(made, pc.cast(pc.equal(team, name), pa.int64()))
                for name in (ORIGINAL_TEAM, REWRITES_TEAM)
            },
        }
    )
    pages = counted.group_by("impression_id").aggregate([(ORIGINAL_TEAM, "sum"), (REWRITES_TEAM, "sum")])
    pages = pages.join(impressions.select(["impression_id", "client_id"]), "impression_id", join_type="inner")
    known = pages.filter(pc.not_equal(pages["client_id"], "")).sort_by("impression_id")
    return TeamClicks(
        np.asarray(known["client_id"].to_pylist(), dtype=np.str_),
        known[f"{ORIGINAL_TEAM}_sum"].to_numpy(),
        known[f"{REWRITES_TEAM}_sum"].to_numpy(),
        pages_without_client=pages.num_rows - known.num_rows,
    )


def judge_interleaving(clicks: TeamClicks, *, seed: int, resamples: int = RESAMPLES) -> Interleaving:
    """Counts wins and losses; everything but the counts is undefined if no page was clicked."""
    wins = clicks.rewrites > clicks.original
    losses = clicks.rewrites < clicks.original
    ties = (clicks.rewrites == clicks.original) & (clicks.rewrites > 0)
    users, places = np.unique(clicks.client_ids, return_inverse=True)
    by_user = np.zeros((len(users), 3))
    for column, outcome in enumerate((wins, losses, ties)):
        np.add.at(by_user[:, column], places, outcome)
    decided = int(wins.sum() + losses.sum())
    clicked_users = by_user[by_user.sum(axis=1) > 0]  # others weigh nothing in any resample
    preference = UNDEFINED
    if len(clicked_users):
        totals = resampled_totals(clicked_users, seed=seed, resamples=resamples)
        preference = percentile_estimate(
            float(_preferences(clicked_users.sum(axis=0, keepdims=True))[0]), _preferences(totals)
        )
    return Interleaving(
        pages=len(clicks.client_ids),
        pages_without_client=clicks.pages_without_client,
        users=len(users),
        wins=int(wins.sum()),
        losses=int(losses.sum()),
        ties=int(ties.sum()),
        preference=preference,
        sign_p=float(stats.binomtest(int(wins.sum()), decided).pvalue) if decided else math.nan,
    )


def _preferences(totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each row of wins, losses and ties."""
    wins, losses, ties = totals.T
    return np.asarray((wins + ties / 2) / (wins + losses + ties) - 0.5, dtype=np.float64)
