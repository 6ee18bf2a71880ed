"""Where the rows of the raw tables lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from iterqr_training.errors import StoreError
from iterqr_training.signals.tables import RAW, TableSpec


@dataclass(frozen=True, slots=True)
class RawFiles:
    """Parquet files of each raw table by its name; a table without files has no rows."""

    files: Mapping[str, tuple[Path, ...]]

    @classmethod
    def below(cls, folder: Path) -> Self:
        """Finds `<table>/**/*.parquet` below a folder.

        Raises:
            StoreError: There is no folder of a raw table.
        """
        if not any((folder / spec.name).is_dir() for spec in RAW):
            raise StoreError(f"{folder} has no raw tables; expected folders {', '.join(spec.name for spec in RAW)}")
        return cls({spec.name: tuple(sorted((folder / spec.name).rglob("*.parquet"))) for spec in RAW})

    def of(self, spec: TableSpec) -> tuple[Path, ...]:
        """The files of a table."""
        return self.files.get(spec.name, ())
