"""What a training run says of the base it started from, and whether that is the base at hand.

A run's `run.json` has {"base_model": {"name", "sha256"}, ...}, beside the adapter or in the folder above. An adapter
from elsewhere has only the name in PEFT's adapter_config.json.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.errors import ExportError

RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class Base:
    """A base model: name and digest. The digest is None where it is not known."""

    name: str
    sha256: str | None


def claimed_base(folder: Path, peft_name: str) -> Base:
    """Returns the base that the weights in `folder` were trained on, as far as is known.

    Raises:
        ExportError: run.json is damaged.
    """
    for path in (folder / RUN_FILE, folder.parent / RUN_FILE):
        if not path.is_file():
            continue
        try:
            base: Any = json.loads(path.read_text("utf-8"))["base_model"]
            return Base(str(base["name"]), str(base["sha256"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ExportError(f"{path}: base_model must have name and sha256: {error!r}") from error
    return Base(peft_name, None)


def check_base(claimed: Base, given: Base, folder: Path) -> None:
    """Digests decide where both are known, else names without the path before them, in lower case.

    Raises:
        ExportError: The weights were trained on another base, or do not say on which.
    """
    if claimed.sha256 is not None and given.sha256 is not None:
        if claimed.sha256 != given.sha256:
            raise ExportError(
                f"{folder} was trained on {claimed.name} (SHA-256 {claimed.sha256}), --base is {given.name} "
                f"(SHA-256 {given.sha256}): give the base it was trained on"
            )
        return
    if not claimed.name:
        raise ExportError(f"{folder} does not say which base it was trained on: base_model_name_or_path is empty")
    if _plain(claimed.name) != _plain(given.name):
        raise ExportError(
            f"{folder} was trained on {claimed.name}, --base is {given.name} (SHA-256 {given.sha256}): give the base "
            "it was trained on"
        )


def _plain(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower()
