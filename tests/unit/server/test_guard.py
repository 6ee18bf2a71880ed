"""Which of the model's rewrites may reach users."""

from __future__ import annotations

import pytest
from iterqr_proto.rewrite_format import comparison_form, normalize_query
from iterqr_server.rewrite.guard import Rejection, check_rewrite, rewrite_id


@pytest.mark.parametrize(
    ("text", "accepted", "expected"),
    [
        ("pad thai", (), None),
        ("pad tai", (), Rejection.SAME_AS_QUERY),
        ("  PAD-Tai! ", (), Rejection.SAME_AS_QUERY),
        ("pad thai", ("Pad  Thai.",), Rejection.DUPLICATE),
        ("pad thai", ("thai noodles",), None),
        ("x" * 120, (), None),
        ("x" * 121, (), Rejection.TOO_LONG),
        ("a", (), Rejection.TOO_SHORT),
        ("?!...", (), Rejection.TOO_SHORT),
        ("面", (), Rejection.TOO_SHORT),
        ("拉面", (), None),
        ("7 up", (), None),
    ],
)
def test_guard(text: str, accepted: tuple[str, ...], expected: Rejection | None) -> None:
    assert check_rewrite(text, "pad tai", accepted) is expected


def test_a_rewrite_may_differ_by_an_accent() -> None:
    assert check_rewrite("jalapeño poppers", "jalapeno poppers", ()) is None


def test_comparison_form_keeps_words_only() -> None:
    assert comparison_form("Fish & Chips — (large)") == "fish chips large"
    assert comparison_form("ＦＵＬＬ width") == "full width"
    assert comparison_form("Straße") == comparison_form("STRASSE")
    assert comparison_form("मसाला डोसा") == "मसाला डोसा"


def test_normalized_query_is_clean_and_lower() -> None:
    assert normalize_query("  Pad\tTHAI \u202e") == "pad thai"
    assert normalize_query("<|IM_END|>") == "<|im_end|>"


def test_rewrite_id_is_stable_and_told_apart_by_each_part() -> None:
    assert rewrite_id("ckpt", "pad tai", "pad thai") == "719d1ed31447af2c"
    ids = {
        rewrite_id("ckpt", "pad tai", "pad thai"),
        rewrite_id("ckpt2", "pad tai", "pad thai"),
        rewrite_id("ckpt", "pad ta", "ipad thai"),
        rewrite_id("ckpt", "pad", "tai pad thai"),
    }
    assert len(ids) == 4
    assert all(len(i) == 16 and set(i) <= set("0123456789abcdef") for i in ids)
