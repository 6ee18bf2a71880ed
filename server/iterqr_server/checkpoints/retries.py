"""What was refused, why, and when it is worth another try: a store may come back, memory may be freed."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: str
    wait_s: float
    again_at: float


class Retries:
    """Waits double from refusal to refusal. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._refusals: dict[str, _Refusal] = {}

    @property
    def reasons(self) -> dict[str, str]:
        """By name, the latest refusal of each."""
        return {name: refusal.reason for name, refusal in self._refusals.items()}

    def add(self, name: str, reason: str, now: float) -> None:
        """It was refused."""
        before = self._refusals.get(name)
        wait_s = min(LONGEST_WAIT_S, before.wait_s * 2) if before else FIRST_WAIT_S
        self._refusals[name] = _Refusal(reason, wait_s, now + wait_s)

    def forget(self, name: str) -> None:
        """It was taken."""
        self._refusals.pop(name, None)

    def may_try(self, name: str, now: float) -> bool:
        """Whether it was never refused, or long enough ago."""
        return name not in self._refusals or self._refusals[name].again_at <= now
