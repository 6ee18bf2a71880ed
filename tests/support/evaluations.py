"""Systems with known answers on an index whose windows are written down, for tests of evaluation and gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from iterqr_proto.policy import default_policy
from iterqr_training.dataset.rows import Band
from iterqr_training.evaluate.embedder import Vectors
from iterqr_training.evaluate.evaluated import EvaluationReport
from iterqr_training.evaluate.fusion import FusionRule, WindowHit
from iterqr_training.evaluate.rewriter import Answer, RankedRewrite, Rewriter
from iterqr_training.evaluate.run import EvaluationRun, TruthSet, evaluate
from iterqr_training.evaluate.truth import TruthQuery
from iterqr_training.evaluate.windows import Window

RESAMPLES = 500
RULE = FusionRule(default_policy(), rewrite_weight=1.0, rank_constant=5)


def window(ids: Sequence[str], scores: Sequence[float] = ()) -> Window:
    """Hits in this order; equal scores unless others are given. An id has the same sequence number everywhere."""
    given = scores or [1.0] * len(ids)
    return tuple(WindowHit(each, int.from_bytes(each.encode()), score) for each, score in zip(ids, given, strict=True))


def truth(query: str, band: Band = Band.TAIL, relevant: str = "", **judged: bool) -> TruthQuery:
    """A query of region north. `relevant`: ids with spaces between; in names of `judged` "_" is a space."""
    return TruthQuery(
        query,
        "north",
        band,
        frozenset(relevant.split()),
        {text.replace("_", " "): good for text, good in judged.items()},
    )


def answer(query: str, *rewrites: str, latency_ms: float = 10.0, confidence: float = 0.5) -> Answer:
    """An answer in region north with one token for each character."""
    ranked = tuple(RankedRewrite(text, confidence) for text in rewrites)
    return Answer(query, "north", ranked, latency_ms, sum(map(len, rewrites)))


@dataclass
class ScriptedRewriter:
    """Answers as written down, and counts how often it is asked; a query it does not know gets no rewrites."""

    name: str
    script: Mapping[str, Answer]
    identity: str = "script"
    asked: int = 0
    before: Callable[[str], None] = field(default=lambda _query: None)
    at_a_time: int = 1

    def rewrite(self, query: str, region: str) -> Answer:
        self.before(query)
        self.asked += 1
        return self.script.get(query, Answer(query, region, (), 10.0, 0))


@dataclass
class ScriptedIndex:
    """Windows by text, the same in all regions; a text it does not know retrieves nothing."""

    windows: Mapping[str, Window]
    identity: str = "index"
    asked: int = 0

    def window(self, _region: str, text: str) -> Window:
        self.asked += 1
        return self.windows.get(text, ())


class ScriptedEmbedder:
    """Texts with a "far" in them are at right angles to all others."""

    identity = "script"

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.array([[0.0, 1.0] if "far" in text else [1.0, 0.0] for text in texts], dtype=np.float32)


class Silent:
    """Tells nobody."""

    def stage(self, _name: str, _total: int) -> Callable[[], None]:
        return lambda: None


def evaluated(
    folder: Path,
    queries: Sequence[TruthQuery],
    systems: Sequence[Rewriter],
    windows: Mapping[str, Window] | None = None,
    *,
    validation: Sequence[TruthQuery] = (),
    embedder: ScriptedEmbedder | None = None,
) -> EvaluationReport:
    """Evaluates with little resampling."""
    return evaluate(
        EvaluationRun(
            heldout=TruthSet("heldout", tuple(queries)),
            validation=TruthSet("validation", tuple(validation)) if validation else None,
            systems=systems,
            folder=folder,
            index=None if windows is None else ScriptedIndex(windows),
            embedder=embedder,
            judge=None,
            previous=None,
            rule=RULE,
            resamples=RESAMPLES,
        ),
        Silent(),
    )
