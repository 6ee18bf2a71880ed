"""The check's verdict as a table, as JSON, and as a refusal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from iterqr_training.errors import CheckFailedError
from iterqr_training.signals.attribution_check.comparison import CaseResult
from iterqr_training.signals.attribution_check.report import check_table, require_right_credit, write_check
from rich.console import Console

HOLDS = CaseResult("exclusive", "one alone", 1, ())
WRONG = CaseResult("shared", "by rank", 2, ("click e-1: level is 2, not 1",))


def test_one_wrong_case_refuses_by_its_name() -> None:
    require_right_credit([HOLDS])
    with pytest.raises(CheckFailedError, match=r"1 of 2 planted cases .* \(shared\)"):
        require_right_credit([HOLDS, WRONG])


def test_the_table_says_what_is_wrong() -> None:
    told = io.StringIO()
    Console(width=200, file=told).print(check_table([HOLDS, WRONG]))
    assert "credited" in told.getvalue()
    assert "level is 2, not 1" in told.getvalue()


def test_json_says_the_same(tmp_path: Path) -> None:
    write_check(tmp_path / "reports" / "check.json", [HOLDS, WRONG])
    (file,) = (tmp_path / "reports").iterdir()
    written = json.loads(file.read_text())
    assert written["holds"] is False
    assert [(each["case"], each["holds"], each["problems"]) for each in written["cases"]] == [
        ("exclusive", True, []),
        ("shared", False, ["click e-1: level is 2, not 1"]),
    ]
