"""A disk on which the process dies at one of its operations, before it or halfway through it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from iterqr_training.signals.store.disk import Disk


class ProcessDied(BaseException):
    """In place of a kill: nothing may catch it."""


class FailingDisk(Disk):
    """Dies at the operation numbered `dies_at`, from 0. Writes die halfway through, the others before they are done."""

    def __init__(self, dies_at: int) -> None:
        self._left = dies_at

    def make_folder(self, folder: Path) -> None:
        self._count()
        super().make_folder(folder)

    def write_table(self, table: pa.Table, file: Path) -> int:
        if self._left == 0:
            file.write_bytes(b"PAR1 half a file")
        self._count()
        return super().write_table(table, file)

    def sync(self, files: Sequence[Path]) -> None:
        self._count()
        super().sync(files)

    def write_text(self, text: str, file: Path) -> None:
        if self._left == 0:
            file.write_text(text[: len(text) // 2])
        self._count()
        super().write_text(text, file)

    def replace(self, source: Path, target: Path) -> None:
        self._count()
        super().replace(source, target)

    def remove(self, file: Path) -> None:
        self._count()
        super().remove(file)

    def _count(self) -> None:
        if self._left == 0:
            raise ProcessDied
        self._left -= 1
