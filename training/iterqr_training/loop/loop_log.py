"""loop.json: which stages of which iteration are done, and what came of each.

{"schema": "iterqr-loop/v1", "identity": "...", "iterations": {"1": {"serve": {"seconds": 0.1, "facts": {...}}}}}
"""

from __future__ import annotations

from pathlib import Path

from iterqr_training.loop.stage_log import LogFormat, StageLog

SCHEMA = "iterqr-loop/v1"
FILE = "loop.json"


class LoopLog(StageLog[int]):
    """The file of one loop's folder. A refusal ends its iteration, with the champion in place."""

    def __init__(self, folder: Path, identity: str) -> None:
        """Reads what is there; see `StageLog`."""
        super().__init__(folder / FILE, identity, LogFormat(SCHEMA, "iterations", int, "a loop"))
