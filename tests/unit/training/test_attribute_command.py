"""`iterqr-train attribute`: from files to marts, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from iterqr_training.main import main
from iterqr_training.signals.marts import read_marts
from iterqr_training.signals.tables import ATTRIBUTED_EVENTS
from support.signals.marketplace import TOWN
from support.signals.raw_rows import write_raw


def test_it_writes_the_marts_and_tells_what_became_of_the_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_raw(TOWN, tmp_path / "signals")
    main(["attribute", "--signals", str(tmp_path / "signals"), "--out", str(tmp_path / "marts"), "--min-clients", "2"])
    told = capsys.readouterr().out
    marts = read_marts(tmp_path / "marts")
    assert marts.files(ATTRIBUTED_EVENTS)
    assert marts.about["settings"]["min_clients"] == 2
    assert marts.about["rows"]["hints"] > 0
    assert {"kind": "order", "status": "no_touch", "level": None, "events": 1} in marts.about["events"]
    assert "no_touch" in told
    assert "generation 1" in told
    assert not [path for path in (tmp_path / "marts").rglob("*") if path.name.startswith(".")]
    json.dumps(dict(marts.about))


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--engine", "sqlite://"], "iterqr-train: engine 'sqlite://' is none of"),
        (["--max-weight", "0"], "iterqr-train: max_weight is 0, and must be from 1 to 1000"),
        ([], "has no raw tables"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], complaint: str
) -> None:
    if flags:
        write_raw(TOWN, tmp_path / "signals")
    with pytest.raises(SystemExit) as ended:
        main(["attribute", "--signals", str(tmp_path / "signals"), "--out", str(tmp_path / "marts"), *flags])
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["attribute", "--help"])
    assert "--engine 'spark+local?driver_memory=8g'" in capsys.readouterr().out
