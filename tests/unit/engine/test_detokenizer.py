from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from iterqr_server.engine.detokenizer import Detokenizer


def test_a_character_appears_with_its_last_byte() -> None:
    detokenizer = Detokenizer()
    assert [detokenizer.feed(bytes([byte])) for byte in "é🍜".encode()] == ["", "é", "", "", "", "🍜"]
    assert detokenizer.finish() == ""


def test_bytes_that_cannot_be_text_are_replaced_and_the_rest_is_kept() -> None:
    detokenizer = Detokenizer()
    assert detokenizer.feed(b"a\xffb") == "a\ufffdb"
    assert detokenizer.feed(b"\xf0\x9f") == ""
    assert detokenizer.feed(b"c") == "\ufffdc"


def test_an_unfinished_character_at_the_end_is_replaced() -> None:
    detokenizer = Detokenizer()
    assert detokenizer.feed("🍜".encode()[:3]) == ""
    assert detokenizer.finish() == "\ufffd"


@given(st.text(), st.lists(st.integers(1, 4), min_size=1))
def test_any_cut_gives_the_same_text(text: str, sizes: list[int]) -> None:
    text = text.encode("utf-8", "ignore").decode()
    data, detokenizer, out = text.encode(), Detokenizer(), ""
    for i in range(len(data)):
        size = sizes[i % len(sizes)]
        out += detokenizer.feed(data[:size])
        data = data[size:]
    assert out + detokenizer.finish() == text
