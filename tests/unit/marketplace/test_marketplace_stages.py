"""A stage that is done is not done again, unless one before it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.stage_log import StageLog


@dataclass(frozen=True, slots=True)
class Result:
    number: int


def done(log: StageLog, *stages: str) -> list[str]:
    """Does stages; returns those that were really done. The stage `broken` fails."""
    made: list[str] = []

    def work(stage: str) -> Result:
        if stage == "broken":
            raise MarketplaceError("it broke")
        made.append(stage)
        return Result(len(stage))

    for stage in stages:
        assert log.do(stage, lambda stage=stage: work(stage), lambda told: Result(**told)) == Result(len(stage))  # type: ignore[misc]
    return made


def test_a_start_that_follows_goes_on(tmp_path: Path) -> None:
    with pytest.raises(MarketplaceError):
        done(StageLog(tmp_path, "run"), "one", "two", "broken", "three")
    log = StageLog(tmp_path, "run")
    assert log.has("two")
    assert done(log, "one", "two", "three") == ["three"]
    assert set(log.seconds()) == {"one", "two", "three"}
    assert done(StageLog(tmp_path, "run"), "one", "two", "three") == []


def test_what_follows_a_new_stage_is_done_again(tmp_path: Path) -> None:
    done(StageLog(tmp_path, "run"), "one", "three")
    assert done(StageLog(tmp_path, "run"), "one", "two", "three") == ["two", "three"]


def test_stages_of_other_settings_do_not_count(tmp_path: Path) -> None:
    done(StageLog(tmp_path, "run"), "one")
    assert done(StageLog(tmp_path, "other"), "one") == ["one"]


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"run": "run", "stages": {"one": {"result": {"no": 1}}}})])
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "stages.json").write_text(text)
    with pytest.raises(MarketplaceError, match="is damaged; delete it"):
        done(StageLog(tmp_path, "run"), "one")
