"""Which waiting request starts next: the fairest tenant's most urgent one.

Among tenants: start-time fair queueing (Goyal, Vin, Cheng 1996). A tenant's virtual time advances by the work it is
given; the tenant with the least goes first, so a flood of one tenant delays another by one request at most, however
long the flood. A tenant that comes back from idling starts at the present virtual time: absence earns no credit, and a
short absence does not wipe out what it was given.

Within a tenant, and between tenants with equal virtual times: the earliest deadline first, requests without one last,
ties in order of arrival.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True, order=True)
class _Entry(Generic[T]):
    """Ordered by urgency."""

    deadline: float  # infinite for none
    arrival: int
    item: T = field(compare=False)
    work: float = field(compare=False)


@dataclass(slots=True)
class _Tenant(Generic[T]):
    virtual_time: float
    entries: list[_Entry[T]] = field(default_factory=list)  # most urgent first


class WaitingQueue(Generic[T]):
    """Waiting items of many tenants in the order in which they should start.

    Deadlines are times of any one clock; work is in any one unit. An item may wait only once.
    """

    def __init__(self) -> None:
        self._tenants: dict[str, _Tenant[T]] = {}
        self._places: dict[T, tuple[str, _Entry[T]]] = {}
        self._virtual_time = 0.0
        self._arrivals = count()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, item: T) -> bool:
        return item in self._places

    def __iter__(self) -> Iterator[T]:
        """Yields the items in the order in which they would start if nothing else arrived."""
        for entry in _service_order({name: (t.virtual_time, t.entries) for name, t in self._tenants.items()}):
            yield entry.item

    def push(self, item: T, *, tenant: str, deadline: float | None, work: float) -> None:
        """Adds an item. `work`, positive, is what starting it gives to its tenant.

        Raises:
            ValueError: the item waits already, or `work` is not positive.
        """
        if item in self._places:
            raise ValueError(f"the item waits already: {item!r}")
        if work <= 0:
            raise ValueError(f"work: must be positive, got {work}")
        entry = _Entry(_key(deadline), next(self._arrivals), item, work)
        account = self._tenants.setdefault(tenant, _Tenant(self._virtual_time))
        if not account.entries:
            account.virtual_time = max(account.virtual_time, self._virtual_time)
        insort(account.entries, entry)
        self._places[item] = (tenant, entry)

    def peek(self) -> T:
        """Returns the item that `pop` would. Raises IndexError if none waits."""
        return self._next()[1].item

    def pop(self) -> T:
        """Takes out the next item and charges its tenant. Raises IndexError if none waits."""
        tenant, entry = self._next()
        account = self._tenants[tenant]
        self._virtual_time = account.virtual_time
        account.virtual_time += entry.work
        self._take(tenant, entry)
        return entry.item

    def remove(self, item: T) -> None:
        """Takes out an item without charging its tenant. Raises KeyError if it does not wait."""
        self._take(*self._places[item])

    def expired(self, now: float) -> tuple[T, ...]:
        """Returns the items whose deadline is `now` or past; they stay until removed."""
        return tuple(
            entry.item
            for account in self._tenants.values()
            for entry in takewhile(lambda entry: entry.deadline <= now, account.entries)
        )

    def ahead_of(self, *, tenant: str, deadline: float | None) -> tuple[T, ...]:
        """Returns the items that would start before one that were pushed now, in their order."""
        newcomer: _Entry[Any] = _Entry(_key(deadline), next(self._arrivals), None, 1.0)
        queues = {name: (account.virtual_time, [*account.entries]) for name, account in self._tenants.items()}
        virtual_time, entries = queues.get(tenant, (self._virtual_time, []))
        queues[tenant] = (virtual_time if entries else max(virtual_time, self._virtual_time), entries)
        insort(entries, newcomer)
        return tuple(e.item for e in takewhile(lambda entry: entry is not newcomer, _service_order(queues)))

    def _next(self) -> tuple[str, _Entry[T]]:
        waiting = [(t.virtual_time, t.entries[0], name) for name, t in self._tenants.items() if t.entries]
        if not waiting:
            raise IndexError("nothing waits")
        _, entry, tenant = min(waiting)
        return tenant, entry

    def _take(self, tenant: str, entry: _Entry[T]) -> None:
        entries = self._tenants[tenant].entries
        del entries[bisect_left(entries, entry)]
        del self._places[entry.item]
        if not self._places:  # nobody was kept waiting, so nobody owes anything
            self._tenants.clear()
            self._virtual_time = 0.0
            return
        settled = [n for n, t in self._tenants.items() if not t.entries and t.virtual_time <= self._virtual_time]
        for name in settled:
            del self._tenants[name]


def _key(deadline: float | None) -> float:
    return math.inf if deadline is None else deadline


def _service_order(queues: dict[str, tuple[float, list[_Entry[T]]]]) -> Iterator[_Entry[T]]:
    """Yields entries as repeated `pop` would. `queues`: virtual time and entries, most urgent first, by tenant."""
    times = {name: virtual_time for name, (virtual_time, _) in queues.items()}
    rest = {name: iter(entries) for name, (_, entries) in queues.items()}
    heads = {name: entry for name, entries in rest.items() if (entry := next(entries, None)) is not None}
    while heads:
        name = min(heads, key=lambda name: (times[name], heads[name]))
        entry = heads.pop(name)
        times[name] += entry.work
        if (following := next(rest[name], None)) is not None:
            heads[name] = following
        yield entry
