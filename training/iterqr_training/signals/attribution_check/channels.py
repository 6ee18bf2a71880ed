"""What each channel retrieves, as the node says when it is asked directly; what follows for a hit's credit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from iterqr_training.signals.attribution_check.planting import Credit, Share


@dataclass(frozen=True, slots=True)
class ChannelWindow:
    """The ids that a plain search for one channel's text returns, best first; `rewrite_id` is "" for the original."""

    rewrite_id: str
    object_ids: tuple[str, ...]

    def rank(self, object_id: str) -> int | None:
        """Returns its rank from 1; None if the channel does not retrieve it."""
        return self.object_ids.index(object_id) + 1 if object_id in self.object_ids else None


@dataclass(frozen=True, slots=True)
class Observed:
    """One planted search as the node answered it.

    Attributes:
        query_id: Of the search.
        windows: Of each channel, asked directly, never read from the tags.
        shown: Ids of the page, in order.
    """

    query_id: str
    windows: tuple[ChannelWindow, ...]
    shown: tuple[str, ...]


def credit_of(windows: Sequence[ChannelWindow], object_id: str) -> Credit | None:
    """Returns whom a hit is credited to: by membership of windows, shared by reciprocal rank (DESIGN, section 2).

    None if no channel retrieves it.
    """
    ranks = [(each.rewrite_id, each.rank(object_id)) for each in windows]
    by_original = any(rank is not None for rewrite_id, rank in ranks if not rewrite_id)
    reciprocals = [(rewrite_id, Fraction(1, rank)) for rewrite_id, rank in ranks if rewrite_id and rank is not None]
    if not reciprocals:
        return Credit(0, (Share("", Fraction(1)),)) if by_original else None
    total = sum(part for _, part in reciprocals)
    shares = tuple(Share(rewrite_id, part / total) for rewrite_id, part in reciprocals)
    return Credit(2 if by_original else 1, shares)
