"""The check's own rewrites take the place of the server's in a token; what ties it to its search stays."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from iterqr_training.errors import SourceError
from iterqr_training.signals.attribution_check.page_token import pin
from iterqr_training.signals.attribution_check.planting import PlantedRewrite

GIVEN = {
    "v": 2,
    "rw": [{"id": "0" * 16, "t": "theirs", "c": 0.9, "w": 0.1}],
    "f": "append",
    "ow": 3.0,
    "k": 5,
    "ab": 10,
    "s": "ff",
    "w": 50,
    "cp": "checkpoint",
    "d": "digest",
}


def encoded(fields: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()


def decoded(token: str) -> dict[str, Any]:
    assert "=" not in token
    fields: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return fields


@pytest.mark.parametrize("checkpoint", ["c", "cc", "ccc"])
def test_rewrites_window_and_weights_are_replaced(checkpoint: str) -> None:
    rewrites = [PlantedRewrite("a" * 16, "wuzumo"), PlantedRewrite("b" * 16, "gikafo")]
    pinned = decoded(pin(encoded({**GIVEN, "cp": checkpoint}), rewrites, 5))
    assert [(each["id"], each["t"], each["w"]) for each in pinned["rw"]] == [
        ("a" * 16, "wuzumo", 1.0),
        ("b" * 16, "gikafo", 1.0),
    ]
    assert (pinned["f"], pinned["ow"], pinned["w"]) == ("rrf", 1.0, 5)
    assert {key: pinned[key] for key in ("v", "k", "ab", "s", "cp", "d")} == {
        **{key: GIVEN[key] for key in ("v", "k", "ab", "s", "d")},
        "cp": checkpoint,
    }


@pytest.mark.parametrize("token", ["", "!", "bm8ganNvbg", encoded([]), encoded({**GIVEN, "v": 3})])
def test_what_is_no_such_token_is_refused(token: str) -> None:
    with pytest.raises(SourceError, match="page_token"):
        pin(token, (), 5)
