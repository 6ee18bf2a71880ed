"""What the loop needs of whoever has users: a node and a server that runs, and their traffic.

A simulator plays it. Where people search, a source only waits until enough of them did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

EXPERIMENT, CONTROL, TREATMENT = "experiment", "control", "treatment"
OnProgress = Callable[[int, int], None]
"""Called with how many searches are done and how many there are."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where things are while a source runs.

    Attributes:
        url: Of an OpenSearch node; from `collect` to `evaluate`.
        server: host:port of the rewrite server that follows the loop's registry.
        catalog: Index of the items; field names as of `iterqr-train label`.
        search: The application's search, as `iterqr-train evaluate --search` reads it.
        heldout: Truth set that all measures are taken on.
        validation: Truth set that policies are fitted to; none of its queries is held out.
        vocabulary: Texts that are spelt rightly, one a line; None: without.
        base_model: What checkpoints are trained from, as the server's `model.name`.
        client_key_file: Has the key by which client ids are hashed, for `collect`; None if there is none.
        server_flags: Of a second `iterqr-server` that reads the same hints: name (`hints.url`) and value.
    """

    url: str
    server: str
    catalog: str
    search: Path
    heldout: Path
    validation: Path
    vocabulary: Path | None
    base_model: str
    client_key_file: Path | None = None
    server_flags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Played:
    """The traffic of an iteration.

    Attributes:
        applications: By arm, what its searches and events name: `EXPERIMENT` if clients were split between the arms of
            an experiment; `CONTROL` and `TREATMENT` if the same users were replayed in both.
        learn_from: The arm that labels come from.
        treatment_percent: Of the clients of the experiment.
        searches: In all arms.
    """

    applications: Mapping[str, str]
    learn_from: str
    treatment_percent: int
    searches: int

    @property
    def is_paired(self) -> bool:
        """Whether the same users were in both arms."""
        return CONTROL in self.applications and TREATMENT in self.applications


class TrafficSource(Protocol):
    """Users and what they need. One loop has one source; its methods are called from one thread.

    All of them raise `TrainingError` with a message for a person where something cannot be done.
    """

    @property
    def identity(self) -> str:
        """All that changes what users do, so that a folder is never gone on with by another traffic."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What it was told, as JSON has it, for people to do it again."""
        ...

    @property
    def flags(self) -> Mapping[str, tuple[str, ...]]:
        """Flags of the loop's commands, by command, that these users call for; those given come after them."""
        ...

    def running(self, registry: Path) -> AbstractContextManager[Site]:
        """Has node and server run while it is open; the server follows the registry, and keeps it over restarts."""
        ...

    def play(self, site: Site, iteration: int, on_progress: OnProgress) -> Played:
        """Has an iteration's users search. Called again after a kill, it goes on where it was stopped."""
        ...

    def play_canary(self, site: Site, iteration: int, on_progress: OnProgress) -> None:
        """Has enough users search for the server's alarms to judge the canary. Nothing is learned from them."""
        ...

    def judgments(self, iteration: int, signals: Path, out: Path) -> Path | None:
        """Writes into `out` what is known of the iteration's rewrites, as `iterqr-train label --truth` reads it.

        Called when the iteration is collected. Returns None where nobody knows. Labels are compared with it only.
        """
        ...
