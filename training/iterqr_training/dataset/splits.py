"""Which split an example belongs to: by its query's words, for ever, and if asked for by time."""

from __future__ import annotations

import hashlib
from datetime import datetime

from iterqr_training.dataset.rows import SPLITS
from iterqr_training.dataset.settings import DatasetSettings

TRAIN, VALIDATION, TEST = SPLITS


def split_of(query_key: str, settings: DatasetSettings) -> str:
    """Returns the split of a query: a hash decides, so that no later iteration moves it."""
    digest = hashlib.sha256(f"{settings.salt}\n{query_key}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < settings.test_share:
        return TEST
    return VALIDATION if place < settings.test_share + settings.validation_share else TRAIN


def is_of_its_time(split: str, observed_at: datetime, settings: DatasetSettings) -> bool:
    """Whether a row may be in its split: nothing is trained on that happened when, or after, the test began."""
    if settings.holdout_from is None:
        return True
    return (observed_at >= settings.holdout_from) == (split == TEST)
