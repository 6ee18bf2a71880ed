"""What one phase of load is, handed from the command to the process that makes the load."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Phase:
    """Load for `duration_s`. Closed loop: `users` callers, each with one call at a time. Open loop: `rate_per_s`
    arrivals at random times, however many calls are unanswered. The other of the two is 0.

    `fresh` are queries never asked before, each used once at most; `repeated` have been asked. `repeated_share` of the
    calls take one of the latter. `server_timed_share` of the calls have no deadline of their own, but the same one by
    the server's configuration: gRPC ends the others at their deadline, so only these show a reply that came after it.
    """  # fmt: skip

    address: str
    duration_s: float
    deadline_ms: int
    users: int
    rate_per_s: float
    repeated_share: float
    repeated: tuple[str, ...]
    fresh: tuple[str, ...]
    server_timed_share: float
    seed: int


def write_phase(file: Path, phase: Phase) -> None:
    """Writes a phase for `read_phase`."""
    file.write_text(json.dumps(asdict(phase), ensure_ascii=False), encoding="utf-8")


def read_phase(file: Path) -> Phase:
    """Reads what `write_phase` wrote."""
    fields = json.loads(file.read_text(encoding="utf-8"))
    return Phase(**{**fields, "repeated": tuple(fields["repeated"]), "fresh": tuple(fields["fresh"])})
