"""Labels from what users searched for next: whoever is not served says the same in other words, seconds later.

Query rewriting learns from such pairs since Jones, Rey, Madani and Greiner, "Generating query substitutions" (WWW
2006). Time tells them from the next need (`reformulation_gap_s`); a click or an order, that the words served. A later
query that people search for less than for the first is no rewrite of it, unless they ordered; one that is near it (see
`is_near`) must be searched for more; one with a usual spelling of its own is a slip: so no slip is taught as another
word for the right one. The later query becomes a text to write, so it keeps the rules of privacy of queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from iterqr_proto.rewrite_format import clean_text

from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.labels.candidates import TOO_FEW_CLIENTS, TOO_LONG, Queries, Query
from iterqr_training.labels.exposure_tables import LabelTables
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.records import MAX_QUERY_CHARS, Kind, Label, max_chars, query_key
from iterqr_training.labels.reformulation_pairs import reformulation_pairs
from iterqr_training.labels.settings import LabelSettings
from iterqr_training.labels.spellings import Spellings, is_near
from iterqr_training.signals.engines import Engine

_DECIMALS = 6
_LEAST_WEIGHT = 1e-6
SAME_WORDS = "the same words"
TOO_FEW_REFORMULATED = "fewer clients than min_reformulation_clients"
MISSPELT = "usually spelt otherwise"
RARER = "less searched for than the query"


@dataclass(frozen=True, slots=True)
class Reformulation:
    """A query of a region and what its users searched for next.

    Attributes:
        query: The first, as logged.
        wanted: The later one, in the same region.
        pairs: Of searches, the first without an order.
        clicked: Pairs whose later search had a click or an order.
        ordered: Pairs whose later search had an order.
        clients: Different ones behind the pairs.
    """

    query: Query
    wanted: Query
    pairs: int
    clicked: int
    ordered: int
    clients: int

    @property
    def subject(self) -> str:
        """What the label is of."""
        return self.wanted.text


@dataclass(frozen=True, slots=True)
class Reformulations:
    """What may be labelled, in order of query, region and subject. `left_out`: how many pairs of texts, by reason."""

    found: tuple[Reformulation, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def read_reformulations(
    engine: Engine, tables: LabelTables, queries: Queries, settings: LabelSettings
) -> list[Reformulation]:
    """Computes the pairs on the engine, none if they are not wanted; no rule but the gap is applied yet.

    Raises:
        EngineError: A table could not be computed.
    """
    if not settings.reformulations:
        return []
    rows: pa.Table = engine.collect(reformulation_pairs(tables.query_outcomes, settings.reformulation_gap_s))
    told: list[dict[str, Any]] = rows.to_pylist()
    found = [
        Reformulation(
            queries[row["region"], row["normalized_query"]],
            queries[row["region"], row["rewrite_text"]],
            row["pairs"],
            row["clicked"],
            row["ordered"],
            row["clients"],
        )
        for row in told
    ]
    return sorted(found, key=lambda each: (each.query.text, each.query.region, each.subject))


def usual_spellings(queries: Queries, pairs: list[Reformulation], settings: LabelSettings) -> Spellings:
    """Learns spellings from all queries; only those of enough clients that tell of nobody are usual ones. Pure."""
    usable = {
        each.text
        for each in queries.values()
        if each.clients >= settings.min_clients
        and 0 < len(clean_text(each.text)) <= max_chars(Kind.REWRITE)
        and personal_data(each.text) is None
    }
    reformulated = {(each.query.text, each.subject) for each in pairs}
    return Spellings(_searches(queries), usable, reformulated, settings.correction_ratio)


def find_reformulations(
    pairs: list[Reformulation], queries: Queries, spellings: Spellings, settings: LabelSettings
) -> Reformulations:
    """Applies the rules of privacy and of evidence. Pure."""
    searches = _searches(queries)
    left_out: Counter[str] = Counter()
    kept = []
    for each in pairs:
        reason = _reason(each, searches, spellings, settings)
        if reason is None:
            kept.append(each)
        else:
            left_out[reason] += 1
    return Reformulations(tuple(kept), left_out)


def reformulation_labels(found: Reformulations, settings: LabelSettings) -> tuple[Label, ...]:
    """Labels relevance and quality, all of them good.

    The weight rises with clicks and orders and falls with later searches that had neither; a click label of a rewrite
    can weigh 1, this one nearly `reformulation_weight`.
    """
    return tuple(
        Label(
            task,
            each.query.text,
            each.query.region,
            each.subject,
            Kind.REWRITE,
            positive=True,
            weight=_weight(each, settings),
            source=LabelSource.REFORMULATION,
            observed_at=max(each.query.observed_at, each.wanted.observed_at),
            band=each.query.band,
            clients=min(each.query.clients, each.wanted.clients),
        )
        for each in found.found
        for task in (Task.RELEVANCE, Task.QUALITY)
    )


def _weight(each: Reformulation, settings: LabelSettings) -> float:
    evidence = each.clicked + settings.order_weight * each.ordered
    share = evidence / (evidence + 1 + each.pairs - each.clicked)
    return max(_LEAST_WEIGHT, round(settings.reformulation_weight * share, _DECIMALS))


def _reason(
    each: Reformulation, searches: Mapping[str, int], spellings: Spellings, settings: LabelSettings
) -> str | None:
    """Why a pair is left out; None if it is not."""
    if min(each.query.clients, each.wanted.clients) < settings.min_clients:
        return TOO_FEW_CLIENTS
    if told := personal_data(each.query.text) or personal_data(each.subject):
        return told
    if len(each.query.text) > MAX_QUERY_CHARS or not 0 < len(clean_text(each.subject)) <= max_chars(Kind.REWRITE):
        return TOO_LONG
    if query_key(each.query.text) == query_key(each.subject):
        return SAME_WORDS
    if each.clients < settings.min_reformulation_clients:
        return TOO_FEW_REFORMULATED
    if spellings.usual(each.subject) is not None:
        return MISSPELT
    more = searches[each.subject] - searches[each.query.text]
    is_better = more > 0 if is_near(each.query.text, each.subject) else more >= 0 or each.ordered > 0
    return None if is_better else RARER


def _searches(queries: Queries) -> Counter[str]:
    """Of each text, over all regions."""
    counted: Counter[str] = Counter()
    for each in queries.values():
        counted[each.text] += each.searches
    return counted
