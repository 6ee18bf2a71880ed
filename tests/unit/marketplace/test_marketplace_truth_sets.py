"""Truth sets of a world: as many as asked for, none twice, and what satisfies them as the world has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.main import main
from iterqr_benchmarks.marketplace.truth_sets import draw_truth
from iterqr_training.dataset.rows import Band
from iterqr_training.evaluate.truth import read_truth
from iterqr_training.evaluate.windows import read_body
from support.scripted_market import small_market

COUNTS = {Band.HEAD: 3, Band.TORSO: 5, Band.TAIL: 20}


def test_queries_of_each_band_none_twice() -> None:
    found = draw_truth(small_market(), COUNTS, seed=1)
    assert {band: sum(query.band is band for query in found) for band in Band} == COUNTS
    assert len({query.key for query in found}) == len(found)
    assert draw_truth(small_market(), COUNTS, seed=1) == found
    assert draw_truth(small_market(), COUNTS, seed=2) != found


def test_relevant_are_the_dishes_that_satisfy_a_need_with_these_words() -> None:
    market = small_market()
    for query in draw_truth(market, {Band.TAIL: 10}, seed=3):
        region = market.region(query.region)
        said = [need for need in region.needs if query.query in {phrase.text for phrase in region.phrases(need)}]
        assert said
        assert all(region.satisfying(need) <= query.relevant for need in said)
        assert query.relevant <= region.shelf.by_id.keys()


def test_what_is_excluded_is_not_drawn() -> None:
    first = draw_truth(small_market(), COUNTS, seed=1)
    second = draw_truth(small_market(), {Band.TAIL: 20}, seed=1, exclude={query.key for query in first})
    assert not {query.key for query in first} & {query.key for query in second}


def test_too_many_queries_are_refused() -> None:
    with pytest.raises(MarketplaceError, match="head are lacking"):
        draw_truth(small_market(), {Band.HEAD: 150}, seed=1)
    with pytest.raises(MarketplaceError, match="at least 1"):
        draw_truth(small_market(), {Band.HEAD: 0}, seed=1)


def test_the_command_writes_what_evaluation_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = ["--merchants", "24", "--dishes", "480", "--regions", "2", "--head", "2", "--torso", "2", "--tail", "4"]
    file = tmp_path / "heldout.jsonl"
    main(["truth", "--output", str(file), *world])
    assert "8 queries" in capsys.readouterr().out
    assert len(read_truth(file)) == 8
    assert "query" in read_body(tmp_path / "search.json")
    assert (tmp_path / "titles.txt").read_text().count("\n") > 100
    other = tmp_path / "validation.jsonl"
    main(["truth", "--output", str(other), *world, "--exclude", str(file)])
    assert not {each.key for each in read_truth(file)} & {each.key for each in read_truth(other)}
