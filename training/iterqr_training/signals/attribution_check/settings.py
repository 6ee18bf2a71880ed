"""Settings of the attribution check."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_training.errors import SettingError

_MAX_PATIENCE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """Where and how to plant.

    Attributes:
        pipeline: Search pipeline to search through; "" for one of the check's own, sent with each search.
        impressions: The impressions' data stream.
        queries: The index of UBI queries.
        events: The index of UBI events.
        patience_s: Longest wait for impressions to be written.

    Raises:
        SettingError: One is out of its limits.
    """

    pipeline: str = ""
    impressions: str = "iterqr-impressions"
    queries: str = "ubi_queries"
    events: str = "ubi_events"
    patience_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.patience_s <= _MAX_PATIENCE_S:
            raise SettingError(f"patience_s: {self.patience_s} is not above 0 and at most {_MAX_PATIENCE_S:g}")
        for name in ("impressions", "queries", "events"):
            if not getattr(self, name):
                raise SettingError(f"{name}: must name an index")
