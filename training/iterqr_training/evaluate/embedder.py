"""Meaning as vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Gives texts of like meaning like vectors."""

    @property
    def identity(self) -> str:
        """Which model."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Returns a vector of length 1 for each text; shape (texts, dimensions)."""
        ...


class RememberingEmbedder:
    """Embeds each text once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vectors] = {}
        self.identity = embedder.identity

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            self._known.update(zip(missing, self._embedder.embed(missing), strict=True))
        return np.stack([self._known[text] for text in texts]) if texts else np.empty((0, 0), np.float32)


def distances(embedder: Embedder, pairs: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], float]:
    """Returns 1 less the cosine of each pair's vectors: 0 for the same meaning, about 1 for unrelated texts."""
    if not pairs:
        return {}
    left = embedder.embed([query for query, _ in pairs])
    right = embedder.embed([rewrite for _, rewrite in pairs])
    cosines = np.einsum("ij,ij->i", left, right)
    return {pair: max(0.0, 1.0 - float(cosine)) for pair, cosine in zip(pairs, cosines, strict=True)}
