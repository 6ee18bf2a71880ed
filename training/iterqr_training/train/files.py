"""Files of a run's folder, each whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def write_text(file: Path, text: str) -> None:
    """Replaces a file as a whole."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


def write_json(file: Path, document: Mapping[str, Any]) -> None:
    """Replaces a file as a whole."""
    write_text(file, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Writes a folder under a temporary name, then puts it in the place of the old one."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
