"""Everything that is known of a system's answers before it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iterqr_training.evaluate.answers import Answers
from iterqr_training.evaluate.judge import Judgment
from iterqr_training.evaluate.rewrite_worth import Worth
from iterqr_training.evaluate.truth import TruthQuery
from iterqr_training.evaluate.windows import Window


@dataclass(frozen=True, slots=True)
class Evidence:
    """About all systems, for one truth set. What was not asked for is None.

    Args:
        truth: The queries.
        windows: By region and text: of every query and rewrite. None without a node: results are not measured.
        worth: Of rewrites.
        distances: Embedding distance by query and rewrite.
        judgments: By query and rewrite.
        previous: Answers of the iteration before.
    """

    truth: tuple[TruthQuery, ...]
    windows: Mapping[tuple[str, str], Window] | None
    worth: Worth
    distances: Mapping[tuple[str, str], float] | None = None
    judgments: Mapping[tuple[str, str], Judgment] | None = None
    previous: Answers | None = None
