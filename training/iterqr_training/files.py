"""Writes files and folders whole or not at all: under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError


def write_text(file: Path, text: str) -> None:
    """Replaces a file as a whole; its folder is there.

    Raises:
        OSError: It cannot be written.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


def write_json(file: Path, document: Mapping[str, Any]) -> None:
    """Replaces a file as a whole, as `write_text`."""
    write_text(file, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_whole(file: Path, text: str) -> None:
    """Replaces a file as a whole; makes the folder if it is not there.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, text)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error}") from error


def read_json(file: Path) -> Any:  # noqa: ANN401 - JSON
    """Returns what is in a JSON file.

    Raises:
        StoreError: It cannot be read, or is none.
    """
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder under a temporary name, then puts it in the place of the old one."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
