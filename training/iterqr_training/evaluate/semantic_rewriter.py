"""The semantic baseline: past queries whose meaning is nearest, by a small embedding model."""

from __future__ import annotations

import time

import numpy as np
from iterqr_proto.rewrite_format import comparison_form

from iterqr_training.evaluate.embedder import Embedder, Vectors
from iterqr_training.evaluate.past_queries import PastQueries
from iterqr_training.evaluate.rewriter import Answer, RankedRewrite

MAX_REWRITES = 10
LEAST_COSINE = 0.5


class SemanticRewriter:
    """Rewrites to past queries of the region that led to a click, nearest first; the cosine is the confidence."""

    name = "semantic"
    at_a_time = 1

    def __init__(self, past: PastQueries, embedder: Embedder, *, least_cosine: float = LEAST_COSINE) -> None:
        self.identity = f"semantic-1/{embedder.identity}/{past.digest[:16]}/{least_cosine:g}"
        self._embedder = embedder
        self._least_cosine = least_cosine
        self._texts: dict[str, list[str]] = {}
        self._vectors: dict[str, Vectors] = {}
        for region in past.by_region:
            texts = list(dict.fromkeys(comparison_form(each.text) for each in past.clicked(region)))
            if texts:
                self._texts[region] = texts
                self._vectors[region] = embedder.embed(texts)

    def rewrite(self, query: str, region: str) -> Answer:
        """See `Rewriter`."""
        start = time.perf_counter()
        rewrites: list[RankedRewrite] = []
        if region in self._texts:
            form = comparison_form(query)
            cosines = self._vectors[region] @ self._embedder.embed([form])[0]
            for place in np.argsort(-cosines, kind="stable")[: MAX_REWRITES + 1]:
                text, cosine = self._texts[region][place], float(cosines[place])
                if cosine >= self._least_cosine and text != form:
                    rewrites.append(RankedRewrite(text, min(1.0, cosine)))
        taken_ms = 1000 * (time.perf_counter() - start)
        return Answer(query, region, tuple(rewrites[:MAX_REWRITES]), taken_ms)
