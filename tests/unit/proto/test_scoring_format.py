"""Properties of the scoring format that hold for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iterqr_proto.rewrite_format import Question, clean_text, render_question

TEXT = st.text().filter(lambda text: bool(clean_text(text)))


@given(TEXT, TEXT, st.sampled_from(Question))
def test_foreign_text_stays_inside_data_segments(query: str, rewrite: str, question: Question) -> None:
    prompt = render_question(query, rewrite, question)
    segments = prompt.prefix + prompt.suffix
    harmless = render_question("pho", "pho", question)
    assert [s.text for s in segments if not s.is_data] == [
        s.text for s in harmless.prefix + harmless.suffix if not s.is_data
    ]
    assert [s.text for s in segments if s.is_data] == [" " + clean_text(query), " " + clean_text(rewrite)]


def test_prompts_of_a_request_begin_alike_as_far_as_they_can() -> None:
    """Instruction, query, rewrite, question: in the order of how many prompts share them."""
    one, other = (render_question("pad tai", "pad thai", question) for question in Question)
    assert one.prefix == other.prefix
    assert one.suffix[:-1] == other.suffix[:-1]
    another_rewrite = render_question("pad tai", "noodles", Question.QUALITY)
    assert another_rewrite.suffix[:2] == one.suffix[:2]
    assert render_question("ramen", "noodles", Question.QUALITY).prefix == one.prefix


@pytest.mark.parametrize(("query", "rewrite", "field"), [("", "a", "query"), ("a", " \u200b", "rewrite")])
def test_empty_texts_are_refused(query: str, rewrite: str, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field}: must not be empty"):
        render_question(query, rewrite, Question.RELEVANCE)
