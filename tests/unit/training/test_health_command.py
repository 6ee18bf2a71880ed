"""`iterqr-train health`: from folders to a verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from iterqr_training.main import main
from iterqr_training.signals.signal_folder import raw_files_of
from iterqr_training.signals.store.partitions import DatedRows
from iterqr_training.signals.store.writer import SignalStore
from iterqr_training.signals.tables import EVENTS, RAW
from support.health_folders import write_folders
from support.health_rows import troubled


def test_troubled_signals_fail_with_every_measure_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signals, marts = write_folders(troubled(), tmp_path)
    report = tmp_path / "health.json"
    with pytest.raises(SystemExit) as ended:
        main(["health", "--signals", str(signals), "--marts", str(marts), "--json", str(report)])
    assert ended.value.code == 1
    assert "signal health" in capsys.readouterr().out
    measures = {each["measure"]: each for each in json.loads(report.read_text())["measures"]}
    assert (measures["orphans"]["part"], measures["orphans"]["whole"]) == (3, 6)
    assert measures["orphans"]["state"] == "fail"


def test_sound_signals_pass(tmp_path: Path) -> None:
    rows = troubled()
    rows.queries = [each for each in rows.queries if each["query_id"] != "lost-1"]
    rows.events = rows.events[:1]
    rows.attributed_events = rows.attributed_events[:1]
    signals, marts = write_folders(rows, tmp_path)
    main(["health", "--signals", str(signals), "--marts", str(marts), "--level1-clicks-needed", "1"])


def test_without_marts_it_says_who_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signals, _ = write_folders(troubled(), tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["health", "--signals", str(signals), "--marts", str(tmp_path / "none")])
    assert ended.value.code == 1
    assert "iterqr-train attribute" in capsys.readouterr().err


def test_of_a_store_only_what_is_committed_counts(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with SignalStore(folder) as store:
        store.commit([DatedRows(EVENTS.name, "2026-01-01", troubled().tables()[EVENTS.name])], [])
    committed = raw_files_of(folder).of(EVENTS)
    (folder / EVENTS.name / "date=2026-01-01" / "leftover.parquet").write_bytes(committed[0].read_bytes())
    assert raw_files_of(folder).of(EVENTS) == committed
    assert all(raw_files_of(folder).of(spec) for spec in RAW)
