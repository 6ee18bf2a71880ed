"""What a simulated marketplace is made with, and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Literal

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.stack.settings import SEED

Arm = Literal["control", "treatment", "exploration", "split"]
ARMS: tuple[Arm, ...] = ("control", "treatment", "exploration", "split")
MAX_REGIONS = 64
MAX_MERCHANTS = 80_000
MAX_DISHES = 1_000_000
MENU_LIMITS = (5, 40)


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """A world: how many merchants and dishes in how many regions.

    Raises:
        MarketplaceError: A number is out of its limits.
    """

    merchants: int = 2_000
    dishes: int = 40_000
    regions: int = 12
    seed: int = SEED

    def __post_init__(self) -> None:
        _check("regions", self.regions, 1, MAX_REGIONS)
        _check("merchants", self.merchants, self.regions, MAX_MERCHANTS)
        fewest, most = (lines * self.merchants for lines in MENU_LIMITS)
        _check("dishes", self.dishes, fewest, min(most, MAX_DISHES))


@dataclass(frozen=True, slots=True)
class AdversitySettings:
    """What goes wrong with clients and events. Each is a share, 0 to 1, and 0 by default.

    `bots`: of the sessions. `missing_client_ids`: of the sessions, whose searches and events tell none.
    `missing_query_ids`, `duplicates`, `late` (hours), `out_of_order` (minutes): of the events. `clock_skew`: of the
    clients, whose clocks are wrong by up to two hours either way.
    """

    bots: float = 0.0
    missing_client_ids: float = 0.0
    missing_query_ids: float = 0.0
    duplicates: float = 0.0
    late: float = 0.0
    out_of_order: float = 0.0
    clock_skew: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each.name, getattr(self, each.name), 0, 1)


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """Who searches how much.

    `searches`: needs that are searched for; those who are not satisfied search again, which comes on top. `days`: over
    which they are spread, from `start` on. `page_size`: hits asked for. `threads`: searches at the same time.
    `arm`: `control` searches without rewrites, `treatment` with, `exploration` with rewrites' results interleaved with
    the query's own, `split` lets the node's experiment decide by client.
    `treatment_percent`: of the clients, for `split`. Arms of the same seed have the same users, needs and draws.

    Raises:
        MarketplaceError: A number is out of its limits.
    """

    users: int = 1_000
    searches: int = 10_000
    days: int = 7
    seed: int = SEED
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
    page_size: int = 10
    threads: int = 4
    arm: Arm = "split"
    treatment_percent: int = 50
    adversity: AdversitySettings = field(default_factory=AdversitySettings)

    def __post_init__(self) -> None:
        _check("users", self.users, 1, 1_000_000)
        _check("searches", self.searches, 1, 10_000_000)
        _check("days", self.days, 1, 366)
        _check("page_size", self.page_size, 1, 50)
        _check("threads", self.threads, 1, 64)
        _check("treatment_percent", self.treatment_percent, 0, 100)
        if self.arm not in ARMS:
            raise MarketplaceError(f"arm is {self.arm!r}; it must be one of {', '.join(ARMS)}")
        if self.start.tzinfo is None:
            raise MarketplaceError("start must have a time zone")


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise MarketplaceError(f"{name} is {value:,}; it must be from {low:,} to {high:,}")
