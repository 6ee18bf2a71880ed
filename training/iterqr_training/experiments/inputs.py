"""Reads what an experiment is judged by from the folders of signals and marts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from iterqr_training.errors import SettingError, StoreError
from iterqr_training.experiments.analysis import ExperimentData, Interleaved, Replay
from iterqr_training.experiments.arms import CONTROL, TREATMENT
from iterqr_training.experiments.rewrite_exposure import REWRITE_JUDGMENTS, REWRITE_TRUTH
from iterqr_training.signals.marts import read_marts
from iterqr_training.signals.signal_folder import raw_files_of
from iterqr_training.signals.tables import (
    ATTRIBUTED_EVENTS,
    HIT_CHANNELS,
    IMPRESSIONS,
    QUERY_OUTCOMES,
    REWRITE_OUTCOMES,
    TableSpec,
)


@dataclass(frozen=True, slots=True)
class ExperimentFolders:
    """Where things are; None leaves a part of the report out.

    Args:
        marts: Of the experiment's time.
        before: Marts of a time before it.
        replays: Each has the folders `control` and `treatment`: marts of a paired replay. Several are added up.
        signals: Raw tables of the experiment's time.
        judgments: Has `rewrite_judgments.parquet` or `rewrite_truth.parquet`, or both.
    """

    marts: Path
    before: Path | None = None
    replays: Sequence[Path] = ()
    signals: Path | None = None
    judgments: Path | None = None


def read_experiment(folders: ExperimentFolders) -> ExperimentData:
    """Reads the tables.

    Raises:
        StoreError: A folder has none, or they are damaged or of another version.
        SettingError: The folder of judgments has none, or a replay's is given twice.
    """
    return ExperimentData(
        searches=_mart(folders.marts, QUERY_OUTCOMES),
        before=None if folders.before is None else _mart(folders.before, QUERY_OUTCOMES),
        replay=_replay(folders.replays) if folders.replays else None,
        interleaved=None if folders.signals is None else _interleaved(folders.signals, folders.marts),
        rewrite_outcomes=_mart(folders.marts, REWRITE_OUTCOMES),
        truth=_judgments(folders.judgments, REWRITE_TRUTH),
        judgments=_judgments(folders.judgments, REWRITE_JUDGMENTS),
    )


def _mart(folder: Path, spec: TableSpec) -> pa.Table:
    return _read(read_marts(folder).files(spec), spec)


def _replay(folders: Sequence[Path]) -> Replay:
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise SettingError("paired: a folder is given twice, and its users would count twice")
    control, treatment = (
        pa.concat_tables([_mart(folder / arm, QUERY_OUTCOMES) for folder in folders]) for arm in (CONTROL, TREATMENT)
    )
    return Replay(control, treatment)


def _interleaved(signals: Path, marts: Path) -> Interleaved:
    raw = raw_files_of(signals)
    return Interleaved(
        _read(raw.of(IMPRESSIONS), IMPRESSIONS),
        _read(raw.of(HIT_CHANNELS), HIT_CHANNELS),
        _mart(marts, ATTRIBUTED_EVENTS),
    )


def _judgments(folder: Path | None, spec: TableSpec) -> pa.Table | None:
    if folder is None:
        return None
    found = {each.name: folder / f"{each.name}.parquet" for each in (REWRITE_JUDGMENTS, REWRITE_TRUTH)}
    if not any(file.exists() for file in found.values()):
        raise SettingError(f"judgments: {folder} has neither {' nor '.join(file.name for file in found.values())}")
    return _read([found[spec.name]], spec) if found[spec.name].exists() else None


def _read(files: Sequence[Path], spec: TableSpec) -> pa.Table:
    """The rows of exactly these files, with the columns and types of the contract."""
    if not files:
        return spec.schema.empty_table()
    try:
        stored = ds.dataset([str(file) for file in files], format="parquet")
        missing = sorted(set(spec.schema.names) - set(stored.schema.names))
        if missing:
            raise StoreError(f"{spec.name} in {files[0].parent}: lacks the columns {', '.join(missing)}")
        return stored.to_table(columns=spec.schema.names).cast(spec.schema)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{spec.name} in {files[0].parent}: {error}") from error
