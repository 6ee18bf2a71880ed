"""Writes a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from iterqr_training.errors import StoreError


def write_whole(file: Path, text: str) -> None:
    """Writes a text under a temporary name and renames it; makes the folder if it is not there.

    Raises:
        StoreError: It cannot be written.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error}") from error
