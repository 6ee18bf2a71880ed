"""A lease with an end: one writer at a time, on any store that creates a file exactly once.

Leases are numbered files in a folder; the highest number holds. Taking over an expired lease creates the next number,
which one of several succeeds in; giving back rewrites the holder's own file, which nobody else writes. Clocks of
different machines may differ by less than `MARGIN` of a lease.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Self

from iterqr_proto.registry.errors import LeaseHeldError, LeaseLostError, RegistryUnreachableError
from iterqr_proto.registry.storage import Storage

MARGIN = 0.2
"""Share of a lease at its end in which its holder no longer writes, so that a write is over when it ends."""
_TRIES = 5
_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What is in a lease's file. Times are seconds since the epoch."""

    holder: str
    token: str
    ttl_s: float
    expires_at: float


def blocks(record: LeaseRecord, now: float) -> bool:
    """Whether a lease keeps others from writing."""
    return record.expires_at > now


def allows_writing(record: LeaseRecord, now: float) -> bool:
    """Whether so much of a lease is left that its holder may begin to write."""
    return record.expires_at - now > record.ttl_s * MARGIN


def wants_renewal(record: LeaseRecord, now: float) -> bool:
    """Whether half of a lease is over."""
    return record.expires_at - now < record.ttl_s / 2


class Lease:
    """A context manager. Used by one thread.

    `holder` is a name for people: whoever is refused is told it.
    """

    def __init__(
        self, storage: Storage, folder: str, *, holder: str, ttl_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._storage = storage
        self._folder = folder
        self._clock = clock
        self._record = LeaseRecord(holder, uuid.uuid4().hex, ttl_s, 0.0)
        self.number = 0

    def __enter__(self) -> Self:
        """Takes the lease.

        Raises:
            LeaseHeldError: somebody else holds it; the message names them.
        """
        for _try in range(_TRIES):
            numbers = self._numbers()
            current = self._read(numbers[-1]) if numbers else None
            if numbers and current is None:
                continue  # replaced and cleared away between the two looks
            now = self._clock()
            if current and blocks(current, now):
                raise LeaseHeldError(current.holder, current.expires_at - now)
            self._record = replace(self._record, expires_at=now + self._record.ttl_s)
            number = numbers[-1] + 1 if numbers else 1
            try:
                self._storage.create(self._path(number), self._content())
            except FileExistsError:
                continue
            self.number = number
            if self._numbers()[-1:] != [number]:
                self._storage.remove(self._path(number))  # a number that had been used and cleared away
                continue
            for old in numbers:
                self._storage.remove(self._path(old))
            return self
        raise RegistryUnreachableError(f"{self._folder}: the lease changed hands {_TRIES} times; try again")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the lease back, so that nobody has to wait for its end."""
        if self._numbers()[-1:] == [self.number]:
            self._record = replace(self._record, expires_at=0.0)
            self._storage.replace(self._path(self.number), self._content())

    def check(self) -> None:
        """Returns if its holder may write now.

        Raises:
            LeaseLostError: too little of the lease is left, or somebody took it over.
        """
        if self._numbers()[-1:] != [self.number]:
            raise LeaseLostError(f"{self._folder}: the lease of {self._record.holder} expired and was taken over")
        if not allows_writing(self._record, self._clock()):
            raise LeaseLostError(f"{self._folder}: the lease of {self._record.holder} is about to expire")

    def keep(self) -> None:
        """Called now and then by a long writer: renews the lease when half of it is over.

        Raises:
            LeaseLostError: see `check`.
        """
        if wants_renewal(self._record, self._clock()):
            self.check()
            self._record = replace(self._record, expires_at=self._clock() + self._record.ttl_s)
            self._storage.replace(self._path(self.number), self._content())

    def _numbers(self) -> list[int]:
        names = (name.removesuffix(_SUFFIX) for name in self._storage.names(self._folder) if name.endswith(_SUFFIX))
        return sorted(int(name) for name in names if name.isdigit())

    def _read(self, number: int) -> LeaseRecord | None:
        try:
            return LeaseRecord(**json.loads(self._storage.read(self._path(number))))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise RegistryUnreachableError(f"{self._path(number)}: is no lease; remove it: {error}") from error

    def _content(self) -> bytes:
        return (json.dumps(asdict(self._record)) + "\n").encode()

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number:08d}{_SUFFIX}"
