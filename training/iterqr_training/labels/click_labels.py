"""Labels from clicks: a rewrite is good if users click what it retrieved, and bad if they click other things.

Two measures of a rewrite, both of the pages that were fused with it, where it is known which hits it retrieved:

- lift: clicks for each of its hits that users looked at (`examination` of the position), over the mean of all
  rewrites, shrunk to it. Looking is what makes rare and deep hits comparable with frequent and first ones.
- coverage: which share of what was clicked on its pages it retrieved, (covered + 0.5) / (clicked + 1). It needs no
  model of looking, as all of it was clicked.

Good needs both; either makes bad, where users looked or clicked enough and the other does not say otherwise; the rest
has no label. A rewrite whose hits are just those of the page has a lift near 1 and no label. Items have no coverage.
Sums of exact integers in a fixed order: the same marts give the same labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.labels.candidates import Candidate
from iterqr_training.labels.records import Kind, Label
from iterqr_training.labels.settings import LabelSettings

_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class ClickCounts:
    """Of rewrites or items. `mean_rate`: clicks for each examined hit of all; 0 if nothing was examined."""

    examined: int
    clicked: int
    mean_rate: float


@dataclass(frozen=True, slots=True)
class ClickLabels:
    """Labels, and what they were made of; `items` is None without items."""

    labels: tuple[Label, ...]
    rewrites: ClickCounts
    items: ClickCounts | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Good or bad, and how sure: above 0, at most 1."""

    positive: bool
    weight: float


def click_labels(rewrites: Sequence[Candidate], items: Sequence[Candidate], settings: LabelSettings) -> ClickLabels:
    """Labels what clicks decide: relevance of rewrites and items, and quality of rewrites.

    A rewrite that is relevant by clicks is of good quality, too; one none of whose hits was ever shown in `min_pages`
    pages is not.
    """
    of_rewrites = _counts(rewrites)
    labels = []
    for each in rewrites:
        decision = decide_rewrite(each, of_rewrites.mean_rate, settings)
        if decision is not None:
            labels.append(_label(each, Task.RELEVANCE, Kind.REWRITE, decision))
        if decision is not None and decision.positive:
            labels.append(_label(each, Task.QUALITY, Kind.REWRITE, decision))
        elif each.evidence.pages >= settings.min_pages and each.evidence.hits == 0:
            labels.append(_label(each, Task.QUALITY, Kind.REWRITE, Decision(False, settings.unshown_weight)))
    if not items:
        return ClickLabels(tuple(labels), of_rewrites, None)
    of_items = _counts(items)
    judged = [
        _label(each, Task.RELEVANCE, Kind.ITEM, decision)
        for each in items
        if (decision := decide_item(each, of_items.mean_rate, settings)) is not None
    ]
    labels += _surest(judged, settings.max_items_a_query)
    return ClickLabels(tuple(labels), of_rewrites, of_items)


def decide_rewrite(candidate: Candidate, mean_rate: float, settings: LabelSettings) -> Decision | None:
    """Decides by lift and coverage; None where clicks do not tell. Pure."""
    seen = candidate.evidence
    lift = _lift(candidate, mean_rate, settings)
    coverage = (seen.covered + 0.5) / (seen.page_clicks + 1)
    if seen.covered > 0 and lift >= settings.positive_lift and coverage >= settings.positive_coverage:
        return _good(lift)
    misses = seen.page_clicks > 0 and coverage <= settings.negative_coverage and lift <= 1
    ignored = seen.page_examined >= settings.min_examined and lift <= settings.negative_lift
    return _bad(candidate, settings) if misses or ignored else None


def decide_item(candidate: Candidate, mean_rate: float, settings: LabelSettings) -> Decision | None:
    """Decides by lift; None where clicks do not tell. Pure."""
    seen = candidate.evidence
    lift = _lift(candidate, mean_rate, settings)
    if seen.clicks > 0 and lift >= settings.positive_lift:
        return _good(lift)
    return (
        _bad(candidate, settings) if seen.examined >= settings.min_examined and lift <= settings.negative_lift else None
    )


def _lift(candidate: Candidate, mean_rate: float, settings: LabelSettings) -> float:
    """1 where nothing is known, also of the mean."""
    if mean_rate <= 0:
        return 1.0
    seen, prior = candidate.evidence, settings.prior_examined
    return (seen.clicks + prior * mean_rate) / ((seen.examined + prior) * mean_rate)


def _good(lift: float) -> Decision:
    return Decision(True, round(min(1.0, lift / 2), _DECIMALS))


def _bad(candidate: Candidate, settings: LabelSettings) -> Decision:
    """Surer, the more users looked at and clicked."""
    seen = candidate.evidence
    exposure = seen.page_examined + seen.page_clicks
    return Decision(False, max(0.01, round(exposure / (exposure + settings.prior_examined), _DECIMALS)))


def _counts(candidates: Iterable[Candidate]) -> ClickCounts:
    seen = [each.evidence for each in candidates if each.evidence.examined > 0]
    examined, clicks = sum(each.examined for each in seen), sum(each.clicks for each in seen)
    return ClickCounts(len(seen), sum(each.clicks > 0 for each in seen), clicks / examined if examined else 0.0)


def _label(candidate: Candidate, task: Task, kind: Kind, decision: Decision) -> Label:
    query = candidate.query
    return Label(
        task,
        query.text,
        query.region,
        candidate.subject,
        kind,
        decision.positive,
        decision.weight,
        LabelSource.CLICK,
        query.observed_at,
        query.band,
        query.clients,
    )


def _surest(labels: Sequence[Label], most: int) -> list[Label]:
    """The surest of each query, half of them good ones where there are as many."""
    by_query: dict[tuple[str, str], list[Label]] = defaultdict(list)
    for each in labels:
        by_query[each.query, each.region].append(each)
    kept: list[Label] = []
    for group in by_query.values():
        ranked = sorted(group, key=lambda each: (-each.weight, each.subject))
        good, bad = ([each for each in ranked if each.positive is positive] for positive in (True, False))
        good_room = max(most - most // 2, most - len(bad))
        kept += good[:good_room]
        kept += bad[: most - min(len(good), good_room)]
    return kept
