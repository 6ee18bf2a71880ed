"""What is trained: everything, and everything but one part."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from iterqr_training.dataset.rows import Task

_EVERY = tuple(Task)


class Variant(enum.StrEnum):
    """One run of an ablation; its name is that of its folder."""

    FULL = "full"
    WITHOUT_QUALITY = "without-quality"
    WITHOUT_RELEVANCE = "without-relevance"
    WITHOUT_CHAIN = "without-chain"
    WITHOUT_HINTS = "without-hints"
    GENERATION_ONLY = "generation-only"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run has.

    Attributes:
        label: For people.
        tasks: That it learns.
        hints: In its training rows, and when it is served to be evaluated.
        chain: Chains of thought in its targets; without, their lines say nothing, as the format wants the lines.
    """

    label: str
    tasks: tuple[Task, ...] = _EVERY
    hints: bool = True
    chain: bool = True


PARTS: Mapping[Variant, Parts] = {
    Variant.FULL: Parts("full"),
    Variant.WITHOUT_QUALITY: Parts("without quality", tasks=(Task.GENERATION, Task.RELEVANCE)),
    Variant.WITHOUT_RELEVANCE: Parts("without relevance", tasks=(Task.GENERATION, Task.QUALITY)),
    Variant.WITHOUT_CHAIN: Parts("without chain of thought", chain=False),
    Variant.WITHOUT_HINTS: Parts("without hints", hints=False),
    Variant.GENERATION_ONLY: Parts("generation only", tasks=(Task.GENERATION,)),
}
