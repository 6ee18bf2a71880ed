"""Verdicts on disk, by the digest of the request that would ask for one pair alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError
from iterqr_training.labels.judging import Verdict


class VerdictCache:
    """Files below a folder, each written whole or not at all; threads and processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, request: Mapping[str, Any]) -> Verdict | None:
        """Returns what is known; a damaged file counts as nothing."""
        try:
            told = json.loads(self._file(request).read_text("utf-8"))
            return Verdict(float(told["quality"]), float(told["relevance"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, request: Mapping[str, Any], verdict: Verdict) -> None:
        """Keeps a verdict.

        Raises:
            StoreError: The folder cannot be written.
        """
        file = self._file(request)
        partial = file.with_name(f".{file.name}.{os.getpid()}.{id(verdict)}.partial")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"quality": verdict.quality, "relevance": verdict.relevance}), "utf-8")
            partial.replace(file)
        except OSError as error:
            raise StoreError(f"{self._folder} cannot be written: {error}") from error

    def _file(self, request: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        return self._folder / digest[:2] / f"{digest}.json"
