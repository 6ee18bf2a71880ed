"""How far a run has come, in its folder: what is needed to go on after it was stopped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.settings import TrafficSettings, WorldSettings
from iterqr_benchmarks.report.json_file import write_whole


@dataclass(frozen=True, slots=True)
class RunState:
    """`run`: its name. `next_segment`: the first hour that is not done. `seconds`: of all starts."""

    run: str
    next_segment: int = 0
    seconds: float = 0.0


def run_name(world: WorldSettings, traffic: TrafficSettings) -> str:
    """Returns a name that only runs of the same settings have: their searches and events have the same ids.

    How many threads search is not part of it.
    """
    settings = {"world": asdict(world), "traffic": {**asdict(traffic), "threads": 0, "start": str(traffic.start)}}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def read_state(folder: Path, run: str) -> RunState:
    """Returns how far a run has come in a folder: nowhere, if the folder is new.

    Raises:
        MarketplaceError: The folder is of a run with other settings, or its state cannot be read.
    """
    file = _file(folder)
    try:
        state = RunState(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return RunState(run)
    except (ValueError, TypeError) as error:
        raise MarketplaceError(f"{file} is damaged; delete {folder} to begin anew") from error
    if state.run != run:
        raise MarketplaceError(f"{folder} is of a run with other settings; choose another folder, or delete it")
    return state


def write_state(folder: Path, state: RunState) -> None:
    """Replaces the state whole."""
    write_whole(_file(folder), json.dumps(asdict(state), indent=2) + "\n")


def _file(folder: Path) -> Path:
    return folder / "state.json"
