"""Truth sets of a world: queries as its users would type them, with all dishes that truly satisfy them. Pure."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Mapping

from iterqr_proto.rewrite_format import comparison_form
from iterqr_training.dataset.rows import Band
from iterqr_training.evaluate.truth import TruthQuery

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.market import BANDS, Market, RegionMarket, frequency_band
from iterqr_benchmarks.marketplace.needs import Need

_DRAWS_A_QUERY = 400
MAX_QUERIES = 100_000


def draw_truth(
    market: Market, counts: Mapping[Band, int], seed: int, exclude: Collection[tuple[str, str]] = ()
) -> tuple[TruthQuery, ...]:
    """Returns distinct queries, as many of each band as are asked for, drawn as often as users search for them.

    Where the same words stand for several needs of a region, a dish that satisfies any of them is relevant, and the
    band is that of all of them together. The same arguments give the same queries.

    Args:
        market: The world.
        counts: How many of each band.
        seed: Of the draws; users' own seed plays no part.
        exclude: Keys of queries that must not be drawn (`TruthQuery.key`).

    Raises:
        MarketplaceError: A count is out of its limits, or the world has not as many different queries of a band.
    """
    if any(not 0 <= count <= MAX_QUERIES for count in counts.values()) or not any(counts.values()):
        raise MarketplaceError(f"queries of a band must be from 0 to {MAX_QUERIES:,}, and of one of them at least 1")
    stream = Draws(seed).stream("truth")
    taken = set(exclude)
    left = {band: counts.get(band, 0) for band in Band}
    meanings: dict[str, Mapping[str, Mapping[str, Need]]] = {}
    shares: dict[str, Mapping[str, float]] = {}
    drawn: list[TruthQuery] = []
    for _ in range(_DRAWS_A_QUERY * sum(counts.values())):
        region = market.region(stream.choice(market.regions))
        if region.name not in meanings:
            meanings[region.name], shares[region.name] = _wordings(region)
        text = _text(region, stream)
        form = comparison_form(text)
        band = Band(frequency_band(shares[region.name][form]))
        if left[band] and form and (region.name, form) not in taken:
            taken.add((region.name, form))
            left[band] -= 1
            relevant = frozenset[str]().union(*map(region.satisfying, meanings[region.name][form].values()))
            drawn.append(TruthQuery(text, region.name, band, relevant))
            if not any(left.values()):
                break
    if any(left.values()):
        lacking = ", ".join(f"{count} {band}" for band, count in left.items() if count)
        raise MarketplaceError(f"the world has not as many different queries: {lacking} are lacking")
    return tuple(sorted(drawn, key=lambda each: (BANDS.index(each.band.value), each.region, each.query)))


def _text(region: RegionMarket, stream: random.Random) -> str:
    need = region.need_at(stream.random())
    return region.wording_at(need, stream.random()).phrase.text


def _wordings(region: RegionMarket) -> tuple[Mapping[str, Mapping[str, Need]], Mapping[str, float]]:
    """What each text may stand for, and its share of the region's searches."""
    meanings: dict[str, dict[str, Need]] = defaultdict(dict)
    shares: dict[str, float] = defaultdict(float)
    for need in region.needs:
        for phrase in region.phrases(need):
            form = comparison_form(phrase.text)
            meanings[form][need.need_id] = need
            shares[form] += region.wording(need, phrase).share
    return meanings, shares
