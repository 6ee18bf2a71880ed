"""Properties of rewrite format v1 that hold for any text."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from iterqr_proto.rewrite_format import (
    Field,
    LineParser,
    RewriteInput,
    TemplateError,
    clean_text,
    collect,
    grammar,
    load_template,
    parse,
    render,
)
from iterqr_proto.rewrite_format.grammar import MAX_LINE_CHARS, MAX_UNLIKE_CHARS
from iterqr_proto.rewrite_format.prompt import answer
from iterqr_proto.rewrite_format.template import template_path

TEMPLATE = load_template()


@given(st.text())
def test_clean_text_is_one_visible_line_and_settled(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned == cleaned.strip()
    assert cleaned.splitlines() in ([], [cleaned])
    assert clean_text(cleaned) == cleaned


@given(st.text().filter(lambda text: bool(clean_text(text))), st.lists(st.text(), max_size=7))
def test_user_text_stays_inside_data_segments(query: str, hints: list[str]) -> None:
    prompt = render(TEMPLATE, RewriteInput(query, tuple(hints)))
    structure = "".join(s.text for s in prompt.suffix if not s.is_data)
    assert structure in {
        "<|im_start|>user\npopular:\nquery:<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\nquery:<|im_end|>\n<|im_start|>assistant\n",
    }
    assert all("\n" not in s.text for s in prompt.suffix if s.is_data)


@pytest.mark.parametrize("query", ["", "  ", "\n", "\u200b"])
def test_empty_query_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match="query"):
        render(TEMPLATE, RewriteInput(query))


def test_prefix_depends_on_the_template_alone() -> None:
    first = render(TEMPLATE, RewriteInput("pho"))
    second = render(TEMPLATE, RewriteInput("ramen", ("Shoyu Ramen",)))
    assert first.prefix == second.prefix


@given(st.text(), st.lists(st.integers(0, 200)))
def test_lines_do_not_depend_on_how_text_is_cut(text: str, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parser = LineParser()
    lines = [line for a, b in itertools.pairwise(bounds) for line in parser.feed(text[a:b])]
    assert collect(lines + parser.finish()) == parse(text)


VISIBLE = st.characters(codec="ascii", exclude_categories=["Cc"], include_characters="\n")


@given(st.from_regex(grammar(3), fullmatch=True, alphabet=VISIBLE))
def test_everything_in_the_grammar_parses_whole(text: str) -> None:
    output = parse(text)
    assert output.has_chain_of_thought
    assert 1 <= len(output.rewrites) <= 3
    assert not output.rejected


def test_lines_are_usable_as_soon_as_they_end() -> None:
    parser = LineParser()
    (first,) = parser.feed("fix: pho\nrw: beef ph")
    assert (first.field, first.value) == (Field.FIX, "pho")
    (line,) = parser.feed("o\n")
    assert (line.field, line.value) == (Field.REWRITE, "beef pho")


def test_a_grammar_may_ask_for_more_rewrites_than_one() -> None:
    pattern = grammar(3, "soup", min_rewrites=2)
    chain = "fix: soup\nintent: dish\nmeaning: a soup"
    told = [re.fullmatch(pattern, chain + "\nrw: broth" * count) is not None for count in range(5)]
    assert told == [False, False, True, True, False]
    with pytest.raises(ValueError, match="min_rewrites, max_rewrites: must be at least 1 and rise, got 4, 3"):
        grammar(3, min_rewrites=4)


def test_examples_of_the_default_template_follow_the_grammar() -> None:
    assert TEMPLATE.examples
    for example in TEMPLATE.examples:
        assert re.fullmatch(grammar(3, min_rewrites=3), answer(example))


def test_examples_of_the_template_for_six_rewrites_have_as_many_that_differ() -> None:
    for example in load_template(template_path("food_delivery_six")).examples:
        assert re.fullmatch(grammar(6, min_rewrites=6), answer(example))
        assert len(set(example.rewrites)) == len(example.rewrites)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instruction", "not TOML"),
        ('format_version = "v2"\ninstruction = "x"', "format_version"),
        ('format_version = "v1"', "instruction"),
        ('format_version = "v1"\ninstruction = "x"\nmodel = 1', "'model'"),
        ('format_version = "v1"\ninstruction = "x"\n[[examples]]\nquery = "q"', r"examples\[0\]: fix"),
        ('format_version = "v1"\ninstruction = "x"\nexamples = 3', "examples"),
    ],
)
def test_bad_template_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "template.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(TemplateError, match=message):
        load_template(path)


def with_rewrites(*rewrites: str) -> str:
    return "fix: a\nintent: b\nmeaning: c" + "".join(f"\nrw: {rewrite}" for rewrite in rewrites)


@pytest.mark.parametrize(
    "query", ["shwarma staton", "a-b]c^[d\\e .*+?(){}|$/", "شاورما دجاج", "ß ﬁ", "x", "x" * MAX_UNLIKE_CHARS]
)
def test_no_rewrite_is_the_query_again(query: str) -> None:
    pattern = grammar(3, query)
    assert re.fullmatch(pattern, with_rewrites("pho", f"{query} soup"[-MAX_LINE_CHARS:], "spring rolls"))
    for again in (query, f"{query}  "):
        assert not re.fullmatch(pattern, with_rewrites(again))
        assert not re.fullmatch(pattern, with_rewrites("pho", again))
    assert not re.fullmatch(grammar(3, "Pad Thai"), with_rewrites("pad thai"))


@given(st.text(VISIBLE, min_size=1, max_size=8), st.text(VISIBLE, min_size=1, max_size=8))
def test_every_other_value_may_be_a_rewrite(query: str, value: str) -> None:
    query, value = clean_text(query), clean_text(value)
    assume(query and value and query.lower() != value.lower() and query.upper() != value.upper())
    assert re.fullmatch(grammar(1, query), with_rewrites(value))


def test_a_long_query_leaves_rewrites_free() -> None:
    assert grammar(3, "x" * (MAX_UNLIKE_CHARS + 1)) == grammar(3)


@pytest.mark.parametrize("query", ["", "soup", "a" * MAX_UNLIKE_CHARS])
def test_a_rewrite_kept_unlike_the_query_is_no_longer_than_a_line(query: str) -> None:
    head = "fix: a\nintent: b\nmeaning: c\nrw: "
    for begun in ("x", query[:2] + "x", f"{query} x".strip()):
        longest = begun + "y" * (MAX_LINE_CHARS - len(begun))
        assert re.fullmatch(grammar(1, query), head + longest)
        assert not re.fullmatch(grammar(1, query), head + longest + "y")
