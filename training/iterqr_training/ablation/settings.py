"""What an ablation is asked for, and where it keeps what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iterqr_training.ablation.source import SourceIteration
from iterqr_training.ablation.variants import Variant
from iterqr_training.errors import SettingError
from iterqr_training.loop.folders import IterationFolder

TUNED = ("dataset", "train", "export", "evaluate")
"""Commands that may be given more flags."""
EXAMPLES = 300
MAX_STEPS = 1_000
_PASSES, _BATCH = 3, 16


@dataclass(frozen=True, slots=True)
class AblationSettings:
    """An ablation. All runs have the same numbers of examples, as far as there are rows, and of steps.

    Attributes:
        folder: For all that is kept.
        source: Whose labels are learned from.
        variants: What is trained; the full run, which the others are compared with, always is.
        examples: Of each run, over all its tasks.
        steps: Of each run; 0: three passes over the examples in steps of 16.
        flags: More flags by command (`TUNED`).

    Raises:
        SettingError: One of them is out of its limits.
    """

    folder: Path
    source: SourceIteration
    variants: tuple[Variant, ...] = tuple(Variant)
    examples: int = EXAMPLES
    steps: int = 0
    flags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("examples", self.examples, 1, _BATCH * MAX_STEPS // _PASSES),
            ("steps", self.steps, 0, MAX_STEPS),
        ):
            if not low <= value <= high:
                raise SettingError(f"{name} is {value:,}, and must be from {low} to {high:,}")
        if unknown := sorted(self.flags.keys() - set(TUNED)):
            raise SettingError(f"flags: {unknown[0]!r} takes none; these do: {', '.join(TUNED)}")

    @property
    def planned(self) -> tuple[Variant, ...]:
        """What is trained, in order."""
        return tuple(each for each in Variant if each is Variant.FULL or each in self.variants)

    @property
    def planned_steps(self) -> int:
        """Of each run."""
        return self.steps or min(MAX_STEPS, _PASSES * math.ceil(self.examples / _BATCH))

    def run(self, variant: Variant) -> IterationFolder:
        """Of one run: dataset, training, candidate and evaluation lie in it as in an iteration of a loop."""
        return IterationFolder(self.folder / "runs" / variant)

    @property
    def servers(self) -> Path:
        """Logs of servers."""
        return self.folder / "servers"
