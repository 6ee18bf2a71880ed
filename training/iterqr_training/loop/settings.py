"""What a loop is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iterqr_training.errors import SettingError
from iterqr_training.loop.health import DetectorLimits

MAX_ITERATIONS = 1_000
TUNED = ("attribute", "experiment", "label", "dataset", "train", "export", "evaluate", "gate")
"""Commands that may be given more flags."""


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """A loop.

    Attributes:
        folder: For all that is kept.
        iterations: At least 1; more than before goes on with the loop that is there.
        canary_percent: Of the clients that try a checkpoint before all have it.
        measure_general: Whether perplexity on general text is measured, for the gate `forgetting`.
        flags: More flags by command (`TUNED`), after those that the loop gives, so that they win.
        limits: Of the detectors.

    Raises:
        SettingError: One of them is out of its limits.
    """

    folder: Path
    iterations: int = 3
    canary_percent: int = 50
    measure_general: bool = True
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits: DetectorLimits = field(default_factory=DetectorLimits)

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("iterations", self.iterations, 1, MAX_ITERATIONS),
            ("canary_percent", self.canary_percent, 1, 99),
        ):
            if not low <= value <= high:
                raise SettingError(f"{name} is {value}, and must be from {low} to {high:,}")
        if unknown := sorted(self.flags.keys() - set(TUNED)):
            raise SettingError(f"flags: {unknown[0]!r} takes none; these do: {', '.join(TUNED)}")
