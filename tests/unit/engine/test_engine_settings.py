from __future__ import annotations

from dataclasses import replace

import pytest
from iterqr_server.engine.settings import EngineSettings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_running", 0),
        ("max_waiting", -1),
        ("arena_positions", 102),
        ("arena_positions", 0),
        ("block_positions", 0),
        ("max_step_rows", 15),
        ("max_draft_rows", -1),
        ("threads", -1),
    ],
)
def test_a_wrong_limit_is_named(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(EngineSettings(), **{field: value})  # type: ignore[arg-type]


def test_defaults_fit_each_other() -> None:
    assert EngineSettings().max_step_rows >= EngineSettings().max_running
