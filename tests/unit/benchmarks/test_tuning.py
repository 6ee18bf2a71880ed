"""Fusion as the plugin does it, and the choice of settings."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.queries import load_queries
from iterqr_benchmarks.tuning.fusion import FusionSettings, fuse
from iterqr_benchmarks.tuning.gather import Gathered, GatheredRewrite, load, save
from iterqr_benchmarks.tuning.grid import choose, measure, settings_grid
from iterqr_benchmarks.tuning.rewrites import RewriteQuality, rewrite_quality
from iterqr_benchmarks.tuning.run import spread
from iterqr_training.evaluate.fusion import WindowHit

RRF = FusionSettings(original_weight=1.0, rewrite_weight=0.5, rank_constant=60, window_size=50)


def window(ids: str) -> tuple[WindowHit, ...]:
    """One hit a letter; letters are in order of their sequence numbers."""
    return tuple(WindowHit(letter, ord(letter)) for letter in ids)


def make_gathered(original: str, rewrites: tuple[str, ...], relevant: str) -> Gathered:
    return Gathered(
        query="q",
        kind="typo",
        relevant=frozenset(relevant),
        original=window(original),
        all_terms=len(original),
        rewrites=tuple(GatheredRewrite(text, 0.5, window(text)) for text in rewrites),
        works=True,
        agrees=True,
    )


def test_a_document_of_both_channels_adds_up_its_scores() -> None:
    # 1/61 for a; 1/62 + 0.5/61 for b
    assert fuse(window("ab"), [window("b")], RRF) == ["b", "a"]


def test_a_rewrite_at_half_weight_stays_below_the_originals_window() -> None:
    assert fuse(window("abcdefghijkl"), [window("z")], RRF)[-1] == "z"


def test_equal_scores_go_by_best_rank_then_sequence_number() -> None:
    even = FusionSettings(original_weight=1.0, rewrite_weight=1.0, rank_constant=60, window_size=50)
    assert fuse(window("cb"), [window("ba")], even) == ["b", "c", "a"]
    assert fuse(window("z"), [window("a")], even) == ["a", "z"]


def test_windows_are_cut() -> None:
    cut = FusionSettings(original_weight=1.0, rewrite_weight=1.0, rank_constant=60, window_size=1)
    assert fuse(window("ab"), [window("cd")], cut) == ["a", "c"]


def test_without_rewrites_the_original_stays() -> None:
    assert fuse(window("cab"), [], RRF) == ["c", "a", "b"]


def test_the_grid_has_each_combination_once() -> None:
    grid = list(settings_grid())
    assert len(grid) == len(set(grid)) > 100


def test_choose_takes_the_best_that_harms_few() -> None:
    empty = [make_gathered("", ("rs",), "rs")] * 9  # any weight helps
    strong = [make_gathered("rstuvwxyza", ("ijklmnopqb",), "rstuvwxyza")]  # a heavy rewrite harms
    light = measure(empty + strong, RRF, seed=1)
    heavy = measure(empty + strong, FusionSettings(1.0, 5.0, 60, 50), seed=1)
    assert light.comparison.harm_rate == 0
    assert heavy.comparison.harm_rate == 0.1
    assert choose([heavy, light], max_harm_rate=0.05) is light
    assert choose([heavy], max_harm_rate=0.05) is None
    assert choose([heavy], max_harm_rate=0.1) is heavy


def test_gathered_survives_the_file(tmp_path: Path) -> None:
    gathered = [make_gathered("ab", ("bc", ""), "c")]
    save(gathered, tmp_path / "gathered.json")
    assert load(tmp_path / "gathered.json") == gathered


def test_a_foreign_file_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('[{"a": 1}]')
    with pytest.raises(BenchmarkError, match=r"other\.json"):
        load(file)


def test_spread_keeps_order_and_reaches_every_kind() -> None:
    queries = load_queries("tuning")
    some = spread(queries, 60)
    assert len(set(some)) == 60
    assert {query.kind for query in some} == {query.kind for query in queries}
    assert spread(queries, 0) == spread(queries, 1_000) == list(queries)


def test_rewrites_are_judged_by_themselves() -> None:
    some = make_gathered("rx", ("rst", "xyz"), "rst")  # 0.1 as typed; 0.3 and 0.0 its rewrites
    none = make_gathered("r", (), "r")
    quality = rewrite_quality([some, none])
    assert astuple(quality) == pytest.approx(astuple(RewriteQuality(0.1, 0.075, 0.2, 1.0)))
