"""From the registry's state to what this server does. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from iterqr_proto.registry import Split


@dataclass(frozen=True, slots=True)
class Plan:
    """`champion` None: the present one goes on. `to_load`: in this order."""

    champion: str | None
    canary: str | None
    canary_percent: int
    to_load: tuple[str, ...]


def plan(split: Split, *, base_id: str, loaded: Collection[str], taken_back: Collection[str]) -> Plan:
    """Returns what to route and what to load for a split.

    A champion that is not loaded leaves the present one in place; a canary that is not loaded takes nothing yet.
    `taken_back`: canaries whose rollback the registry may not have yet; they take nothing.
    """
    champion = split.champion or base_id
    canary = split.canary if split.canary and split.canary not in taken_back else None
    wanted = [champion] if canary is None else [champion, canary]
    has_canary = canary is not None and canary in loaded
    return Plan(
        champion=champion if champion in loaded else None,
        canary=canary if has_canary else None,
        canary_percent=split.canary_percent if has_canary else 0,
        to_load=tuple(checkpoint_id for checkpoint_id in wanted if checkpoint_id not in loaded),
    )
