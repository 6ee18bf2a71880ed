"""From an engine's chunks to the rewrites that stand so far."""

from __future__ import annotations

import math

import pytest
from iterqr_server.engine.interface import FinishReason, GenerationChunk
from iterqr_server.rewrite.output_builder import OutputBuilder


def chunk(text: str, *probabilities: float, end: FinishReason | None = None) -> GenerationChunk:
    logprobs = tuple(math.log(p) for p in probabilities)
    return GenerationChunk(text, tuple(range(len(logprobs))), logprobs, end)


def feed(builder: OutputBuilder, text: str, probability: float = 0.5) -> None:
    for char in text:
        builder.feed(chunk(char, probability))


def texts(builder: OutputBuilder) -> list[str]:
    return [rewrite.text for rewrite in builder.output.rewrites]


def test_lines_stand_as_soon_as_they_end() -> None:
    builder = OutputBuilder("pad tai", 3)
    feed(builder, "fix: pad thai\nintent: dish\nmeaning: thai noodles\nrw: pad thai\nrw: thai noo")
    output = builder.output
    assert (output.fix, output.intent, output.meaning) == ("pad thai", "dish", "thai noodles")
    assert texts(builder) == ["pad thai"]
    feed(builder, "dles\n")
    assert texts(builder) == ["pad thai", "thai noodles"]


def test_the_last_line_counts_only_if_the_model_ended_its_turn() -> None:
    for reason, expected in ((FinishReason.STOP, ["pad thai"]), (FinishReason.LENGTH, [])):
        builder = OutputBuilder("pad tai", 3)
        feed(builder, "rw: pad thai")
        builder.feed(chunk("", end=reason))
        assert texts(builder) == expected


def test_confidence_is_the_geometric_mean_of_the_line() -> None:
    builder = OutputBuilder("pad tai", 3)
    builder.feed(chunk("meaning: x\n", 0.01))
    builder.feed(chunk("rw:", 0.9))
    builder.feed(chunk(" pad thai", 0.5))
    builder.feed(chunk("\n", 0.8))
    builder.feed(chunk("rw: noodles", 0.3))
    builder.feed(chunk("\n", 1.0))
    first, second = builder.output.rewrites
    assert first.confidence == pytest.approx((0.9 * 0.5 * 0.8) ** (1 / 3))
    assert second.confidence == pytest.approx(0.3**0.5)


def test_a_chunk_over_a_line_break_counts_for_both_lines() -> None:
    builder = OutputBuilder("pad tai", 3)
    builder.feed(chunk("rw: pad thai", 0.5))
    builder.feed(chunk("\nrw:", 0.25))
    builder.feed(chunk(" noodles\n", 0.5))
    first, second = builder.output.rewrites
    assert first.confidence == pytest.approx((0.5 * 0.25) ** 0.5)
    assert second.confidence == pytest.approx((0.25 * 0.5) ** 0.5)


def test_guarded_lines_are_counted_and_leave_room_for_others() -> None:
    builder = OutputBuilder("pad tai", 2)
    feed(builder, "rw: Pad Tai\nrw: x\nfoo: bar\nrw: pad thai\nrw: PAD THAI\n")
    assert texts(builder) == ["pad thai"]
    full_before = builder.is_full
    feed(builder, "rw: thai noodles\nrw: one more\n")
    assert texts(builder) == ["pad thai", "thai noodles"]
    assert (full_before, builder.is_full) == (False, True)
    assert builder.rejected == {"same_as_query": 1, "too_short": 1, "malformed": 1, "duplicate": 1}


def test_a_repeated_field_does_not_replace_the_first() -> None:
    builder = OutputBuilder("q", 2)
    feed(builder, "fix: one\nfix: two\n")
    assert builder.output.fix == "one"
    assert builder.rejected == {"malformed": 1}


def test_a_model_that_repeats_itself_is_cut_off() -> None:
    builder = OutputBuilder("pad tai", 3)
    lines = 0
    while not builder.is_full:
        feed(builder, "rw: pad tai\n")
        lines += 1
    assert lines == 12
    assert texts(builder) == []
