"""Records that were costly to make, kept as JSON lines so that a run that stops goes on where it was.

The first line says what made the records; those of another maker are not used but refused, so that a report never mixes
two. A last line that a crash cut off is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from iterqr_training.errors import StoreError


class JsonLines:
    """An append-only file. A context manager; one process at a time."""

    def __init__(self, file: Path, schema: str, identity: str) -> None:
        """Opens the file, or makes it.

        Args:
            file: Where.
            schema: Name and version of the records.
            identity: What makes them.

        Raises:
            StoreError: It cannot be opened, is damaged, or its records are another maker's.
        """
        self._file = file
        header = {"schema": schema, "identity": identity}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self.records, kept = _read(file, header)
            self._out: IO[str] = file.open("a", encoding="utf-8")
            if kept < file.stat().st_size:
                os.truncate(file, kept)
            if not kept:
                self._write(header)
        except OSError as error:
            raise StoreError(f"{file} cannot be opened: {error}") from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a record; it outlives this process, not a failure of the machine.

        Raises:
            StoreError: It cannot be written.
        """
        try:
            self._write(record)
        except OSError as error:
            raise StoreError(f"{self._file} cannot be written: {error}") from error

    def _write(self, record: Mapping[str, Any]) -> None:
        self._out.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._out.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()


def _read(file: Path, header: Mapping[str, str]) -> tuple[list[dict[str, Any]], int]:
    """The records and how many bytes of the file are whole lines."""
    if not file.exists():
        return [], 0
    data = file.read_bytes()
    kept = data.rfind(b"\n") + 1
    try:
        lines = [json.loads(line) for line in data[:kept].splitlines()]
    except ValueError as error:
        raise StoreError(f"{file} is damaged: {error}") from error
    if lines and lines[0] != header:
        raise StoreError(
            f"{file} was made by {lines[0].get('identity')!r}, not by {header['identity']!r}: "
            "use another folder, or delete it"
        )
    return lines[1:], kept
