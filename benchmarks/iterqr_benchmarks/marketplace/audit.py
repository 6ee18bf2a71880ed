"""Whether all that the ledger has was logged and collected, and once; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Audited:
    """Of one kind of record: how many there are in the ledger, and what became of them in the store."""

    what: str
    ledger: int
    collected: int
    lost: int
    twice: int
    strange: int

    @property
    def holds(self) -> bool:
        """Whether each is there once, and nothing else."""
        return not (self.lost or self.twice or self.strange)


def audit(what: str, ledger: Iterable[str], collected: Iterable[str]) -> Audited:
    """Compares ids.

    Args:
        what: For the reader.
        ledger: Ids of all that happened, each once.
        collected: Ids of what was collected of it, in any order.
    """
    expected, found = set(ledger), Counter(collected)
    return Audited(
        what=what,
        ledger=len(expected),
        collected=found.total(),
        lost=len(expected - found.keys()),
        twice=sum(count - 1 for name, count in found.items() if name in expected),
        strange=sum(count for name, count in found.items() if name not in expected),
    )
