"""The raw tables of a folder, whoever wrote it."""

from __future__ import annotations

from pathlib import Path

from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.store.reader import STATE_FILE, read_snapshot
from iterqr_training.signals.tables import RAW


def raw_files_of(folder: Path) -> RawFiles:
    """Returns what a store has committed, or the files below a folder that no store wrote.

    Of a store only the committed files count: beside them lie those of a commit under way, and those that were joined
    into larger ones a while ago.

    Raises:
        StoreError: The store cannot be read, or there are no raw tables.
    """
    if not (folder / STATE_FILE).exists():
        return RawFiles.below(folder)
    snapshot = read_snapshot(folder)
    return RawFiles({spec.name: tuple(snapshot.open_table(spec.name)) for spec in RAW})
