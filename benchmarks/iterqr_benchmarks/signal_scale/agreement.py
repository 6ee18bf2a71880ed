"""Whether two engines made the same marts, row for row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iterqr_training.signals.engines import Engine
from iterqr_training.signals.marts import read_marts
from iterqr_training.signals.tables import MARTS, TableSpec


@dataclass(frozen=True, slots=True)
class Agreement:
    """One mart of two engines. `only_first`, `only_second`: rows without an equal one, all columns taken exactly."""

    impressions: int
    table: str
    rows: int
    unique_keys: int
    only_first: int
    only_second: int

    @property
    def equal(self) -> bool:
        """Whether the tables have the same rows, each key once."""
        return self.only_first == self.only_second == 0 and self.unique_keys == self.rows


def compare_marts(engine: Engine, impressions: int, first: Path, second: Path) -> Sequence[Agreement]:
    """Compares all marts of two folders as multisets of rows, on an engine.

    Raises:
        StoreError: A folder has no valid marts.
        EngineError: They could not be compared.
    """
    one, other = read_marts(first), read_marts(second)
    return [_compared(engine, impressions, spec, one.files(spec), other.files(spec)) for spec in MARTS]


def _compared(
    engine: Engine, impressions: int, spec: TableSpec, first: Sequence[Path], second: Sequence[Path]
) -> Agreement:
    one, other = engine.read(spec, first), engine.read(spec, second)
    return Agreement(
        impressions,
        spec.name,
        rows=int(one.count().execute()),
        unique_keys=int(one.select(*spec.key).distinct().count().execute()),
        only_first=int(one.difference(other, distinct=False).count().execute()),
        only_second=int(other.difference(one, distinct=False).count().execute()),
    )
