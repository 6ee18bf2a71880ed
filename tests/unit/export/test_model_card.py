"""The model card says what the documents say, and nothing else."""

from __future__ import annotations

import re
from typing import Any

from iterqr_training.export.model_card import Figure, cell, figures, model_card

MANIFEST: dict[str, Any] = {
    "checkpoint_id": "tiny-1",
    "parent_checkpoint_id": None,
    "base_model": {"name": "tiny|base", "sha256": "a" * 64},
    "format_version": "v1",
    "prompt_template": {"name": "food_delivery", "sha256": "b" * 64},
    "artifacts": [{"kind": "onnx-int8", "files": [{"path": "m", "size_bytes": 1_500_000, "sha256": "c" * 64}]}],
    "policy": None,
    "gate_report": None,
    "data_sha256": None,
    "created_at": "2026-11-28T20:00:00Z",
}


def card(**documents: Any) -> str:  # noqa: ANN401 - JSON
    given: dict[str, Any] = {"datasheet": None, "gate_report": None, "architecture": {"layers": 2}, **documents}
    return model_card(MANIFEST | given.pop("manifest", {}), **given)


def test_without_documents_the_card_says_that_nothing_is_known() -> None:
    text = card()
    assert "No gate report came with this checkpoint: nothing is known of its quality." in text
    assert "No datasheet came with this checkpoint." in text
    assert "| onnx-int8 | 1 | 1.5 MB |" in text
    assert r"| base model | tiny\|base, SHA-256 " in text
    assert "| layers | 2 |" in text
    stated = set(re.findall(r"(?<![\w.-])\d+\.\d+", text))
    assert stated == {"1.5"}  # no figure but those that were given


def test_figures_of_the_documents_are_told_by_their_names() -> None:
    gate = {"passed": False, "gates": [{"name": "harm_rate", "value": 0.0712345678, "limit": 0.05, "passed": False}]}
    text = card(
        gate_report=gate,
        datasheet={"counts": {"generation": 1411}, "settings": {"seed": 7, "note": "a | b"}},
        manifest={"policy": {"policy_id": "fitted"}, "data_sha256": "d" * 64},
    )
    assert r"| gates.harm\_rate.value | 0.0712346 |" in text
    assert r"| gates.harm\_rate.passed | no |" in text
    assert "| counts.generation | 1,411 |" in text
    assert r"| settings.note | a \| b |" in text
    assert "| policy | fitted |" in text
    assert "SHA-256 " + "d" * 64 in text


def test_lists_long_values_and_large_documents_stay_readable() -> None:
    assert figures({"a": [1, 2.5, None], "b": [{"x": 1}, {"x": 2}]}) == [
        Figure("a", "1, 2.5, none"),
        Figure("b.0.x", "1"),
        Figure("b.1.x", "2"),
    ]
    assert len(figures({"text": "x" * 500})[0].value) == 200
    many = figures({str(i): i for i in range(300)})
    assert (len(many), many[-1].value) == (201, "100 more in the document itself")
    assert cell("a\nb <script>`x`") == r"a b \<script\>\`x\`"
