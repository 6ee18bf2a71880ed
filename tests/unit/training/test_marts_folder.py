"""The folder of marts: what is valid, and what a crash leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from iterqr_training.errors import StoreError
from iterqr_training.signals.marts import read_marts, write_marts
from iterqr_training.signals.tables import HINTS, MARTS


class CrashError(Exception):
    """Stands for the end of the process."""


def _tables(folder: Path) -> Mapping[str, Any]:
    for spec in MARTS:
        (folder / spec.name).mkdir()
        (folder / spec.name / "part-0.parquet").touch()
    return {"rows": {}}


def _half_of_the_tables(folder: Path) -> Mapping[str, Any]:
    (folder / HINTS.name).mkdir()
    raise CrashError


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_last_is_valid(tmp_path: Path) -> None:
    for _ in range(4):
        write_marts(tmp_path / "marts", _tables)
    marts = read_marts(tmp_path / "marts")
    assert marts.generation == 4
    assert marts.files(HINTS) == (tmp_path / "marts/generation-000004/hints/part-0.parquet",)
    # A reader of the one before may still be at work.
    assert _names(tmp_path / "marts") == ["generation-000003", "generation-000004", "marts.json"]


def test_a_crash_leaves_the_valid_one_and_is_cleaned_up(tmp_path: Path) -> None:
    write_marts(tmp_path, _tables)
    with pytest.raises(CrashError):
        write_marts(tmp_path, _half_of_the_tables)
    assert read_marts(tmp_path).generation == 1
    (tmp_path / "generation-000002").mkdir()  # a crash after the rename: not named, so not valid
    assert read_marts(tmp_path).generation == 1
    write_marts(tmp_path, _tables)
    assert read_marts(tmp_path).generation == 2
    assert _names(tmp_path) == ["generation-000001", "generation-000002", "marts.json"]


def test_without_marts_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no marts; `iterqr-train attribute` writes them"):
        read_marts(tmp_path)


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ("{", "is damaged"),
        (json.dumps({"schema": "iterqr-marts/v1"}), "is damaged"),
        (json.dumps({"schema": "iterqr-marts/v2", "generation": 1, "about": {}}), "is of version 'iterqr-marts/v2'"),
        (json.dumps({"schema": "iterqr-marts/v1", "generation": 7, "about": {}}), "lacks files of attributed_events"),
    ],
)
def test_damage_is_named(tmp_path: Path, state: str, complaint: str) -> None:
    (tmp_path / "marts.json").write_text(state)
    with pytest.raises(StoreError) as refused:
        read_marts(tmp_path)
    assert complaint in str(refused.value)
