"""The stages of an iteration, in their order."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Stage(enum.StrEnum):
    """One step of an iteration; its name is that of its entry in loop.json and of its log."""

    SERVE = "serve"  # which checkpoint takes the traffic
    TRAFFIC = "traffic"
    COLLECT = "collect"
    ATTRIBUTE = "attribute"
    EXPERIMENT = "experiment"  # what the serving checkpoint earned
    LABEL = "label"
    DATASET = "dataset"
    TRAIN = "train"
    EXPORT = "export"  # the candidate
    GENERAL = "general"  # what was forgotten
    EVALUATE = "evaluate"
    GATE = "gate"
    HEALTH = "health"  # of the loop: detectors over all iterations
    SEAL = "seal"  # and publish
    CANARY = "canary"
    PROMOTE = "promote"


LEARNING: tuple[Stage, ...] = tuple(Stage)
"""Of each iteration."""
MEASURING: tuple[Stage, ...] = LEARNING[: LEARNING.index(Stage.LABEL)]
"""Of the round after the last iteration, which measures what that one's checkpoint earns."""


@dataclass(frozen=True, slots=True)
class StageOutcome:
    """What came of a stage.

    Attributes:
        facts: What later stages and the report need and files do not tell; as JSON has it.
        refusal: Why the iteration ends here, with the champion in place; "" if it goes on.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class DoneStage:
    """A stage that was done, and the seconds that took."""

    outcome: StageOutcome
    seconds: float
