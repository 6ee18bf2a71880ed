"""What is asked of signals before anything is learned from them."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_training.errors import SettingError


@dataclass(frozen=True, slots=True)
class Bound:
    """Beyond `warn` somebody should look, beyond `fail` nothing should be learned.

    Attributes:
        warn: Of the measure's value; reached, it still holds.
        fail: The same.
        is_least: Whether the bounds are lower ones.
    """

    warn: float
    fail: float
    is_least: bool = False

    def __post_init__(self) -> None:
        if (self.fail > self.warn) if self.is_least else (self.fail < self.warn):
            raise SettingError(f"bound: fail {self.fail} must be beyond warn {self.warn}")


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Needs and bounds; shares are from 0 to 1.

    The bounds are for a plugin that logs every client's impressions (`plugins.iterqr.impressions.sample_rate` is 1):
    events of clients that are not sampled name searches without impression.

    Attributes:
        tail_searches: A query (of one region) searched at most so often is a tail query.
        level1_clicks_needed: Level-1 clicks that label a tail query.
        level1_orders_needed: Or so many level-1 orders.
        early_tolerance_s: An event so long before its page may be rounding.
        labelled_tail: Share of rewritten tail queries with what labels need.
        level1_volume: Level-1 clicks on rewritten tail queries over what all of them would need.
        with_impression: Share of searches, told by queries and events, whose impression was collected.
        orphans: Share of clicks and purchases that nobody is credited with.
        without_client: Share of events without client id.
        early: Share of events before the page that they are of.
        lead_s: How long before it, on the average of all events with a page, in seconds.
        duplicates: Share of events that say the same as another.

    Raises:
        SettingError: A need is out of its limits.
    """

    tail_searches: int = 10
    level1_clicks_needed: int = 3
    level1_orders_needed: int = 1
    early_tolerance_s: int = 1
    labelled_tail: Bound = Bound(0.1, 0.01, is_least=True)
    level1_volume: Bound = Bound(0.1, 0.01, is_least=True)
    with_impression: Bound = Bound(0.99, 0.9, is_least=True)
    orphans: Bound = Bound(0.05, 0.25)
    without_client: Bound = Bound(0.05, 0.25)
    early: Bound = Bound(0.01, 0.1)
    lead_s: Bound = Bound(1.0, 60.0)
    duplicates: Bound = Bound(0.02, 0.1)

    def __post_init__(self) -> None:
        for name, least in (
            ("tail_searches", 1),
            ("level1_clicks_needed", 1),
            ("level1_orders_needed", 1),
            ("early_tolerance_s", 0),
        ):
            if getattr(self, name) < least:
                raise SettingError(f"{name} is {getattr(self, name)}, and must be {least} or more")
