"""The folder of marts: generations of tables, and one file that names the valid one.

marts.json names a generation and describes it; generation-N/<table>/*.parquet are its tables. A generation is written
under a temporary name, renamed, and only then named by marts.json, which is replaced as a whole. A crash leaves the
last valid one in place; what it left over is deleted by the next writer, as are generations but the last two.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.errors import StoreError
from iterqr_training.files import write_json
from iterqr_training.signals.tables import MARTS, TableSpec

SCHEMA = "iterqr-marts/v1"
_STATE = "marts.json"
_GENERATION = re.compile(r"generation-(\d{6})")
_KEPT = 2


@dataclass(frozen=True, slots=True)
class Marts:
    """One valid generation. `about` is what its writer says of it: settings, engine, rows of each table."""

    folder: Path
    generation: int
    about: Mapping[str, Any]

    def files(self, spec: TableSpec) -> tuple[Path, ...]:
        """The Parquet files of a mart, at least one."""
        return tuple(sorted((self.folder / _name(self.generation) / spec.name).glob("*.parquet")))


def read_marts(folder: Path) -> Marts:
    """Returns the valid generation.

    Raises:
        StoreError: There is none, or marts.json is damaged or of another version, or files are missing.
    """
    state = folder / _STATE
    try:
        document = json.loads(state.read_text("utf-8"))
        schema, marts = document["schema"], Marts(folder, int(document["generation"]), document["about"])
    except FileNotFoundError as error:
        raise StoreError(f"{folder} has no marts; `iterqr-train attribute` writes them") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{state} is damaged: {error!r}") from error
    if schema != SCHEMA:
        raise StoreError(f"{state} is of version {schema!r}, and this reads {SCHEMA!r}")
    for spec in MARTS:
        if not marts.files(spec):
            raise StoreError(f"{folder} lacks files of {spec.name}")
    return marts


def write_marts(folder: Path, write: Callable[[Path], Mapping[str, Any]]) -> Marts:
    """Writes a generation and makes it the valid one.

    Args:
        folder: Of the marts; made if it is not there.
        write: Writes a folder for each mart into the folder it is given, and returns what to say of them.

    Raises:
        StoreError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        last = _last_generation(folder)
        _clean(folder, keep=(last, last - 1))
        partial = folder / f".{_name(last + 1)}.partial"
        partial.mkdir()
        about = dict(write(partial))
        partial.rename(folder / _name(last + 1))
        write_json(folder / _STATE, {"schema": SCHEMA, "generation": last + 1, "about": about})
        _clean(folder, keep=range(last + 2 - _KEPT, last + 2))
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}") from error
    return Marts(folder, last + 1, about)


def _last_generation(folder: Path) -> int:
    if not (folder / _STATE).exists():
        return 0
    return int(json.loads((folder / _STATE).read_text("utf-8"))["generation"])


def _clean(folder: Path, keep: range | tuple[int, ...]) -> None:
    for path in folder.iterdir():
        found = _GENERATION.fullmatch(path.name)
        if (found and int(found[1]) not in keep) or path.name.endswith(".partial"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _name(generation: int) -> str:
    return f"generation-{generation:06d}"
