"""How often users look at a position, learned from pages that showed the same object at different ones.

Intervention harvesting (Agarwal et al., "Estimating Position Bias without Intrusive Interventions", WSDM 2019): where
one query showed one object now at position k, now at k + 1, the two click rates differ by examination alone. The ratios
of neighbours are chained. Pairs of query and object are weighed as Mantel and Haenszel do for a common rate ratio
(1959), so that a pair seen once at each position does not drown one seen a thousand times. Each ratio is drawn towards
that of a default curve, 1 / position ** eta, the more the fewer clicks stand behind it, and is never above 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from iterqr_training.signals.attribution.exact import PPB, as_int, quotient, total
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.attribution.touches import CLICK, CREDITED
from iterqr_training.signals.tables import EXAMINATION

_MICRO = 10**6


@dataclass(frozen=True, slots=True)
class NeighbourClicks:
    """Weighed clicks of the pairs that were shown at `position` and at the next, in millionths of clicks."""

    position: int
    here_micro: int
    next_micro: int


def neighbour_clicks(
    hits: ir.Table, impressions: ir.Table, credited: ir.Table, settings: AttributionSettings
) -> ir.Table:
    """Returns `NeighbourClicks` of the positions that have any, as a table of these three columns.

    Args:
        hits: `HITS`.
        impressions: `IMPRESSIONS`.
        credited: What `credit` returns; a hit counts as clicked once, however often it was.
        settings: `examination_positions` bounds the positions.
    """
    clicked = credited.filter(credited.kind == CLICK, credited.status == CREDITED)
    clicked = clicked.select(clicked_impression_id=clicked.impression_id, clicked_position=clicked.position).distinct()
    shown = hits.filter(hits.shown, hits.position <= settings.examination_positions, hits.object_id != "")
    pages = impressions.filter(impressions.normalized_query != "")
    paged = shown.select("impression_id", "position", "object_id").join(
        pages.select("impression_id", "region", "normalized_query"), "impression_id"
    )
    seen = paged.left_join(
        clicked,
        [paged.impression_id == clicked.clicked_impression_id, paged.position == clicked.clicked_position],
    )
    counts = seen.group_by("region", "normalized_query", "object_id", "position").agg(
        shows=seen.position.count().cast("int64"), clicks=total(as_int(seen.clicked_position.notnull()))
    )
    by_position = ibis.window(
        group_by=(counts.region, counts.normalized_query, counts.object_id), order_by=counts.position.asc()
    )
    pairs = counts.mutate(
        next_position=counts.position.lead().over(by_position),
        next_shows=counts.shows.lead().over(by_position),
        next_clicks=counts.clicks.lead().over(by_position),
    )
    pairs = pairs.filter(pairs.next_position == pairs.position + 1)
    both = pairs.shows + pairs.next_shows
    weighed = pairs.select(
        "position",
        here_micro=_weighed_micro(pairs.clicks, pairs.next_shows, both),
        next_micro=_weighed_micro(pairs.next_clicks, pairs.shows, both),
    )
    return weighed.group_by("position").agg(here_micro=total(weighed.here_micro), next_micro=total(weighed.next_micro))


def _weighed_micro(clicks: ir.IntegerValue, other_shows: ir.IntegerValue, shows: ir.IntegerValue) -> ir.IntegerValue:
    """Clicks times the other position's share of the pair's shows; in two parts, as a product could overflow."""
    product = clicks * other_shows
    return quotient(product, shows) * _MICRO + quotient(product % shows * _MICRO, shows)


def examination_curve(harvested: Sequence[NeighbourClicks], settings: AttributionSettings) -> pa.Table:
    """Returns `EXAMINATION`, of positions 1 to `examination_positions`; pure, of integers.

    The ratio of a position to the one before is (next + prior * curve) / (here + prior), clicks of both being weighed
    as above and the prior in clicks.
    """
    by_position = {each.position: each for each in harvested}
    chance, rows, evidence = 1.0, [PPB], [0.0]
    for position in range(1, settings.examination_positions):
        pair = by_position.get(position, NeighbourClicks(position, 0, 0))
        curve = (position / (position + 1)) ** settings.examination_eta
        prior = settings.examination_prior_clicks
        chance *= min(1.0, (pair.next_micro / _MICRO + prior * curve) / (pair.here_micro / _MICRO + prior))
        rows.append(max(1, round(chance * PPB)))
        evidence.append((pair.here_micro + pair.next_micro) / _MICRO)
    return pa.table(
        {
            "position": range(1, len(rows) + 1),
            "examination_ppb": rows,
            "weight_ppb": [min(PPB * PPB // each, settings.max_weight * PPB) for each in rows],
            "evidence_clicks": evidence,
        },
        schema=EXAMINATION.schema,
    )


def examined_position(position: ir.IntegerValue, settings: AttributionSettings) -> ir.IntegerValue:
    """Returns the position whose row of `EXAMINATION` holds for a hit at `position`."""
    deepest = settings.examination_positions
    return ibis.ifelse(position > deepest, deepest, position).cast("int32")
