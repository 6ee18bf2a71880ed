"""The guard against forgetting: perplexity on fixed general text, before and after tuning.

A checkpoint that was tuned on short outputs must not lose its language. The texts are fixed (`general_text.json`), so
perplexities of two checkpoints with the same tokenizer compare. Whoever has the weights scores them: the trainer, or
any `TextScorer`. What it writes is `general.json`:

    {"schema": "iterqr-general-ability/v1", "checkpoint_id": "...", "texts_sha256": "...",
     "tokens": 812, "negative_log_likelihood": 2301.5}
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from iterqr_training.errors import StoreError
from iterqr_training.files import write_whole

SCHEMA = "iterqr-general-ability/v1"


@dataclass(frozen=True, slots=True)
class TextScore:
    """Of one text: tokens that were predicted, and the sum of their negative log-likelihoods, in nats."""

    tokens: int
    negative_log_likelihood: float


class TextScorer(Protocol):
    """A language model that tells how likely texts are."""

    @property
    def checkpoint_id(self) -> str:
        """Which weights."""
        ...

    def score(self, text: str) -> TextScore:
        """Scores a text; the first token, which nothing predicts, is not counted."""
        ...


@dataclass(frozen=True, slots=True)
class GeneralAbility:
    """What a scorer found."""

    checkpoint_id: str
    tokens: int
    negative_log_likelihood: float

    @property
    def perplexity(self) -> float:
        """Of all texts together."""
        return math.exp(self.negative_log_likelihood / self.tokens)


def general_texts() -> Sequence[str]:
    """Returns the fixed texts."""
    text = resources.files("iterqr_training.evaluate").joinpath("general_text.json").read_text("utf-8")
    texts: list[str] = json.loads(text)
    return texts


def measure_general_ability(scorer: TextScorer) -> GeneralAbility:
    """Scores all fixed texts."""
    scores = [scorer.score(text) for text in general_texts()]
    return GeneralAbility(
        scorer.checkpoint_id,
        sum(score.tokens for score in scores),
        sum(score.negative_log_likelihood for score in scores),
    )


def write_general_ability(file: Path, ability: GeneralAbility) -> None:
    """Writes `general.json`.

    Raises:
        StoreError: It cannot be written.
    """
    document = {
        "schema": SCHEMA,
        "checkpoint_id": ability.checkpoint_id,
        "texts_sha256": _digest(),
        "tokens": ability.tokens,
        "negative_log_likelihood": ability.negative_log_likelihood,
    }
    write_whole(file, json.dumps(document, indent=2) + "\n")


def read_general_ability(file: Path) -> GeneralAbility:
    """Reads `general.json`.

    Raises:
        StoreError: It cannot be read, or other texts were scored.
    """
    try:
        document: Any = json.loads(file.read_text("utf-8"))
        found = GeneralAbility(
            str(document["checkpoint_id"]), int(document["tokens"]), float(document["negative_log_likelihood"])
        )
        schema, digest = document["schema"], document["texts_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} cannot be read: {error!r}") from error
    if schema != SCHEMA or digest != _digest():
        raise StoreError(f"{file}: texts_sha256: other texts or another version were scored")
    if found.tokens < 1:
        raise StoreError(f"{file}: tokens: must be at least 1")
    return found


def _digest() -> str:
    return hashlib.sha256(json.dumps(list(general_texts()), ensure_ascii=False).encode()).hexdigest()
