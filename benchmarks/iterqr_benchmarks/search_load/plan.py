"""What the load of a run is, handed from the command to the process that makes it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ClientName = Literal["raw HTTP", "opensearch-py"]
CLIENTS: tuple[ClientName, ...] = ("raw HTTP", "opensearch-py")
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to search. `pipeline`: "" for none. `ext` of every search. `settings` of the cluster hold
    while it is measured. `fresh`: every search is of a new query. `outcomes`: any of them shows that the node is ready
    for it; none where it always is. `longer`: its phases last so many times as long as the others', because few of its
    searches end in a second.
    """  # fmt: skip

    name: str
    pipeline: str
    ext: dict[str, Any]
    settings: dict[str, str]
    fresh: bool
    outcomes: tuple[str, ...]
    longer: float = 1.0


@dataclass(frozen=True, slots=True)
class Phase:
    """`users` callers, each with one search at a time, for `duration_s`. Round 0 warms up and is not measured."""

    round: int
    arm: str
    client: ClientName
    users: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it. `server_pid`: None where it is not known. `queries`: have rewrites in the server's cache. `words`: new
    queries are made of one of each list.
    """  # fmt: skip

    url: str
    index: str
    body: dict[str, Any]
    node_pid: int
    server_pid: int | None
    arms: tuple[Arm, ...]
    phases: tuple[Phase, ...]
    queries: tuple[str, ...]
    words: tuple[tuple[str, ...], tuple[str, ...]]
    seed: int

    def arm(self, name: str) -> Arm:
        """The arm of a name."""
        return next(arm for arm in self.arms if arm.name == name)


def interleaved(
    arms: tuple[Arm, ...], *, rounds: int, users: tuple[int, ...], duration_s: float, warm_up_s: float
) -> tuple[Phase, ...]:
    """Returns the phases: each arm warmed up, then all arms in each round, in another order each time."""
    phases = [Phase(0, arm.name, "raw HTTP", max(users), warm_up_s) for arm in arms]
    for number in range(1, rounds + 1):
        turn = (number - 1) % len(arms)
        for client in CLIENTS:
            for each in users:
                phases += [
                    Phase(number, arm.name, client, each, duration_s * arm.longer) for arm in arms[turn:] + arms[:turn]
                ]
    return tuple(phases)


def write_plan(file: Path, plan: Plan) -> None:
    """Writes a plan for `read_plan`."""
    file.write_text(json.dumps(asdict(plan), ensure_ascii=False), encoding="utf-8")


def read_plan(file: Path) -> Plan:
    """Reads what `write_plan` wrote."""
    fields = json.loads(file.read_text(encoding="utf-8"))
    first, second = fields["words"]
    return Plan(
        **{
            **fields,
            "arms": tuple(Arm(**{**arm, "outcomes": tuple(arm["outcomes"])}) for arm in fields["arms"]),
            "phases": tuple(Phase(**phase) for phase in fields["phases"]),
            "queries": tuple(fields["queries"]),
            "words": (tuple(first), tuple(second)),
        }
    )
