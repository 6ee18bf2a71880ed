"""`iterqr-train hints`: what it says when it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from iterqr_training.main import main
from iterqr_training.signals.marts import write_marts
from iterqr_training.signals.tables import MARTS


def _empty(folder: Path) -> Mapping[str, Any]:
    for spec in MARTS:
        (folder / spec.name).mkdir()
        pq.write_table(spec.schema.empty_table(), folder / spec.name / "part-0.parquet")
    return {}


def _error(capsys: pytest.CaptureFixture[str], marts: Path, *flags: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["hints", "--marts", str(marts), "--url", "http://someone:secret@127.0.0.1:1", *flags])
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_a_node_that_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_marts(tmp_path, _empty)
    error = _error(capsys, tmp_path)
    assert error.startswith("iterqr-train: OpenSearch: ConnectionError")
    assert error.count("\n") == 1
    assert "secret" not in error


def test_marts_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "has no marts" in _error(capsys, tmp_path)


def test_settings_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "alias is '*', and must be one name without wildcards" in _error(capsys, tmp_path, "--alias", "*")
