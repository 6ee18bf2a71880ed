"""Examination by position: what is harvested, and the curve made of it."""

from __future__ import annotations

import random

import pytest
from iterqr_training.signals.attribution.examination import NeighbourClicks, examination_curve
from iterqr_training.signals.attribution.settings import AttributionSettings
from iterqr_training.signals.engines import open_engine
from iterqr_training.signals.tables import EXAMINATION
from support.signals.raw_rows import Event, Hit, Page, Signals
from support.signals.running import run_attribution

MICRO = 10**6


def curve(*harvested: NeighbourClicks, settings: AttributionSettings | None = None) -> dict[int, int]:
    table = examination_curve(harvested, settings or AttributionSettings(examination_positions=5))
    return dict(zip(table["position"].to_pylist(), table["examination_ppb"].to_pylist(), strict=True))


def test_without_data_it_is_the_default_curve() -> None:
    assert curve() == {1: 10**9, 2: 500_000_000, 3: 333_333_333, 4: 250_000_000, 5: 200_000_000}


def test_eta_bends_the_default_curve() -> None:
    assert curve(settings=AttributionSettings(examination_positions=3, examination_eta=0.0)) == dict.fromkeys(
        (1, 2, 3), 10**9
    )


def test_much_data_beats_the_default() -> None:
    found = curve(NeighbourClicks(1, 10**6 * MICRO, 8 * 10**5 * MICRO))
    assert found[2] == pytest.approx(0.8e9, rel=1e-3)
    assert found[3] == pytest.approx(0.8e9 * 2 / 3, rel=1e-3)  # from there on by the default's ratios


def test_as_many_clicks_as_the_prior_s_count_as_much() -> None:
    assert curve(NeighbourClicks(1, 50 * MICRO, 50 * MICRO))[2] == 750_000_000


def test_deeper_positions_are_never_looked_at_more() -> None:
    found = curve(NeighbourClicks(1, 10 * MICRO, 10**6 * MICRO))
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found[2] == 10**9


def test_weights_are_inverse_and_clipped() -> None:
    table = examination_curve([], AttributionSettings(examination_positions=20, max_weight=10))
    weights = table["weight_ppb"].to_pylist()
    assert weights[:2] == [10**9, 2 * 10**9]
    assert weights[10:] == [10 * 10**9] * 10


def test_ratios_are_harvested_from_objects_at_two_positions(tmp_path_factory: pytest.TempPathFactory) -> None:
    # a is at 1 in three searches (two clicks, one of them double) and at 2 in one (a click): weights of Mantel and
    # Haenszel 2 * 1/4 and 1 * 3/4. b and c never move, d moves by two places, and of e the query differs.
    def page(number: int, position: int, query: str = "pad tai") -> Page:
        moved = Hit("a", position, original=1)
        still = Hit("b", 4, original=4)
        return Page(f"p{number}", f"q{number}", at_s=number, query=query, hits=(moved, still))

    pages = [page(1, 1), page(2, 1), page(3, 1), page(4, 2), page(5, 2, query="pad see ew")]
    clicks = [(1, 0), (1, 1), (2, 0), (4, 0), (5, 0)]
    events = [Event(f"e{number}-{again}", query_id=f"q{number}", at_s=60 + again) for number, again in clicks]
    with open_engine("duckdb://?threads=2") as engine:
        marts = run_attribution(engine, Signals(pages, events), tmp_path_factory.mktemp("harvest"))
    first, second, third = marts.rows(EXAMINATION)[:3]
    assert second["evidence_clicks"] == 0.5 + 0.75
    assert second["examination_ppb"] == round(10**9 * (0.75 + 50 * 0.5) / (0.5 + 50))
    assert (first["evidence_clicks"], third["evidence_clicks"]) == (0.0, 0.0)


def test_a_planted_curve_is_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    planted = (1.0, 0.7, 0.3)
    draw = random.Random(5)
    pages, events = [], []
    for number in range(3_000):
        objects = draw.sample(["a", "b", "c"], 3)
        hits = [Hit(each, position, original=position) for position, each in enumerate(objects, start=1)]
        pages.append(Page(f"p{number}", f"q{number}", at_s=number, hits=hits))
        for position, each in enumerate(objects):
            if draw.random() < planted[position] * {"a": 0.9, "b": 0.5, "c": 0.2}[each]:
                events.append(Event(f"e{number}-{each}", query_id=f"q{number}", object_id=each, at_s=number + 9))
    with open_engine("duckdb://?threads=2") as engine:
        marts = run_attribution(engine, Signals(pages, events), tmp_path_factory.mktemp("planted"))
    found = [row["examination_ppb"] / 10**9 for row in marts.rows(EXAMINATION)[:3]]
    assert found == pytest.approx(planted, abs=0.04)
