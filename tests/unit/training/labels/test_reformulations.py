"""What users searched for next: the pairs, which of them are labelled, and how they merge with other labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iterqr_training.dataset.rows import Band, LabelSource, Task
from iterqr_training.errors import SettingError
from iterqr_training.labels.candidates import TOO_FEW_CLIENTS, TOO_LONG, Candidates, Queries, Query
from iterqr_training.labels.merging import merge, told_labels
from iterqr_training.labels.positives import positive_rewrites
from iterqr_training.labels.reference import HUMAN, reference
from iterqr_training.labels.reformulation_pairs import reformulation_pairs
from iterqr_training.labels.reformulations import (
    MISSPELT,
    RARER,
    SAME_WORDS,
    TOO_FEW_REFORMULATED,
    Reformulation,
    Reformulations,
    find_reformulations,
    reformulation_labels,
    usual_spellings,
)
from iterqr_training.labels.settings import LabelSettings
from iterqr_training.signals.engines import Engine, open_engine
from iterqr_training.signals.tables import QUERY_OUTCOMES
from support.labelling import NOON, make_label

RULES = LabelSettings()
Search = tuple[str, float, str, int, int]
"""Client, seconds after noon, query, clicks, orders."""
Counted = tuple[str, str, int, int, int, int]
"""Query, later query, pairs, clicked, ordered, clients."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine("duckdb://?threads=1") as opened:
        yield opened


def pairs_of(engine: Engine, folder: Path, *searches: Search, gap_s: int = 60) -> list[Counted]:
    """Pairs of searches whose ids are in their order, all in one region but those of the client "abroad"."""
    rows = [
        {
            "query_id": f"{number:03d}", "timestamp": NOON + timedelta(seconds=at_s), "client_id": client,
            "region": "south" if client == "abroad" else "north", "normalized_query": query, "clicks": clicks,
            "orders": orders,
        }
        for number, (client, at_s, query, clicks, orders) in enumerate(searches)
    ]  # fmt: skip
    full = [{name: row.get(name) for name in QUERY_OUTCOMES.schema.names} for row in rows]
    file = folder / f"{len(list(folder.iterdir()))}.parquet"
    pq.write_table(pa.Table.from_pylist(full, QUERY_OUTCOMES.schema), file)
    found = engine.collect(reformulation_pairs(engine.read(QUERY_OUTCOMES, [file]), gap_s)).to_pylist()
    return sorted(
        (row["normalized_query"], row["rewrite_text"], row["pairs"], row["clicked"], row["ordered"], row["clients"])
        for row in found
    )


def test_pairs_are_counted_over_all_clients(engine: Engine, tmp_path: Path) -> None:
    found = pairs_of(
        engine, tmp_path,
        ("ann", 0, "winggs", 1, 0), ("ann", 30, "wings", 2, 1),
        ("ann", 500, "winggs", 0, 0), ("ann", 510, "wings", 1, 0),
        ("bob", 0, "winggs", 0, 0), ("bob", 5, "wings", 0, 0),
    )  # fmt: skip
    assert found == [("winggs", "wings", 3, 2, 1, 2)]


def test_the_gap_is_whole_and_only_the_next_search_counts(engine: Engine, tmp_path: Path) -> None:
    searches: list[Search] = [("ann", 0, "a", 0, 0), ("ann", 60, "b", 1, 0), ("ann", 61, "c", 1, 0)]
    assert pairs_of(engine, tmp_path, *searches) == [("a", "b", 1, 1, 0, 1), ("b", "c", 1, 1, 0, 1)]
    assert pairs_of(engine, tmp_path, *searches, gap_s=59) == [("b", "c", 1, 1, 0, 1)]
    late: list[Search] = [("ann", 0, "a", 0, 0), ("ann", 60.000001, "b", 1, 0)]
    assert pairs_of(engine, tmp_path, *late) == []


def test_an_order_answers_a_search_and_what_is_not_clicked_answers_none(engine: Engine, tmp_path: Path) -> None:
    assert pairs_of(engine, tmp_path, ("ann", 0, "a", 1, 1), ("ann", 9, "b", 1, 0)) == []
    assert pairs_of(engine, tmp_path, ("ann", 0, "a", 0, 0), ("ann", 9, "b", 0, 0)) == []


def test_nobody_reformulates_by_another_client_region_or_text(engine: Engine, tmp_path: Path) -> None:
    found = pairs_of(
        engine, tmp_path,
        ("ann", 0, "a", 0, 0), ("bob", 9, "b", 1, 0),
        ("", 20, "c", 0, 0), ("", 29, "d", 1, 0),
        ("cleo", 40, "e", 0, 0), ("cleo", 49, "e", 1, 0), ("cleo", 55, "f", 1, 0),
        ("abroad", 0, "g", 0, 0), ("abroad", 9, "h", 1, 0),
    )  # fmt: skip
    assert found == [("e", "f", 1, 1, 0, 1), ("g", "h", 1, 1, 0, 1)]


def test_searches_of_one_moment_go_by_their_ids(engine: Engine, tmp_path: Path) -> None:
    assert pairs_of(engine, tmp_path, ("ann", 5, "b", 1, 0), ("ann", 5, "a", 1, 0)) == [("b", "a", 1, 1, 0, 1)]


def query(text: str, searches: int = 5, clients: int = 5, region: str = "north") -> Query:
    return Query(text, region, Band.TAIL, searches, clients, NOON)


def pair(first: Query, later: Query, pairs: int = 1, clicked: int = 1, ordered: int = 0) -> Reformulation:
    return Reformulation(first, later, pairs, clicked, ordered, clients=pairs)


def reasons(
    *found: Reformulation, others: tuple[Query, ...] = (), settings: LabelSettings = RULES
) -> tuple[list[str], dict[str, int]]:
    """Subjects that are labelled, and why the others are not."""
    every = [*others, *(each for one in found for each in (one.query, one.wanted))]
    queries: Queries = {(each.region, each.text): each for each in every}
    spellings = usual_spellings(queries, list(found), settings)
    told = find_reformulations(list(found), queries, spellings, settings)
    return [each.subject for each in told.found], dict(told.left_out)


def test_a_pair_that_users_clicked_is_kept() -> None:
    assert reasons(pair(query("murican food"), query("american"))) == (["american"], {})


@pytest.mark.parametrize(
    ("first", "later", "reason"),
    [
        (query("murican food"), query("american", clients=2), TOO_FEW_CLIENTS),
        (query("murican food", clients=2), query("american"), TOO_FEW_CLIENTS),
        (query("murican food"), query("call 555 123 4567"), "a long number"),
        (query("ann@example.com"), query("american"), "an e-mail address"),
        (query("murican food"), query("american " * 20), TOO_LONG),
        (query("murican food"), query("murican-food"), SAME_WORDS),
        (query("kung pao", searches=6), query("kung pao to go"), RARER),
        (query("wings", searches=5), query("wkings"), RARER),  # near, so as many searches are not enough
    ],
)
def test_what_must_not_or_cannot_be_learned_is_left_out(first: Query, later: Query, reason: str) -> None:
    assert reasons(pair(first, later)) == ([], {reason: 1})


def test_an_order_outweighs_frequency_but_teaches_no_slip() -> None:
    often = query("kung pao", searches=6)
    assert reasons(pair(often, query("kung pao to go"), ordered=1)) == (["kung pao to go"], {})
    assert reasons(pair(often, query("kuung pao"), ordered=1)) == ([], {RARER: 1})


def test_another_words_slip_is_not_taught_either() -> None:
    usual = query("kung pao", searches=15)
    assert reasons(pair(query("gong bao"), query("kugn pao")), others=(usual,)) == ([], {MISSPELT: 1})


def test_frequency_is_of_all_regions() -> None:
    elsewhere = query("american", searches=9, region="south")
    often = query("murican food", searches=9)
    assert reasons(pair(often, query("american")))[1] == {RARER: 1}
    assert reasons(pair(often, query("american")), others=(elsewhere,))[0] == ["american"]


def test_more_clients_may_be_asked_for() -> None:
    once, often = (pair(query("murican food"), query("american"), pairs=count) for count in (1, 2))
    asked = replace(RULES, min_reformulation_clients=2)
    assert reasons(once, settings=asked) == ([], {TOO_FEW_REFORMULATED: 1})
    assert reasons(often, settings=asked) == (["american"], {})


def weight(settings: LabelSettings = RULES, **told: int) -> float:
    (relevance, quality) = reformulation_labels(
        Reformulations((pair(query("murican food"), query("american"), **told),)), settings
    )
    assert (relevance.task, quality.task) == (Task.RELEVANCE, Task.QUALITY)
    assert relevance.weight == quality.weight
    return relevance.weight


def test_weights_rise_with_evidence_and_stay_below_a_certain_click() -> None:
    assert weight(pairs=1, clicked=1) == 0.5
    assert weight(pairs=1, clicked=1, ordered=1) == pytest.approx(2 / 3, abs=1e-6)
    assert weight(pairs=2, clicked=1) < weight(pairs=1, clicked=1) < weight(pairs=2, clicked=2)
    assert weight(pairs=10**6, clicked=10**6, ordered=10**6) <= 1
    assert weight(replace(RULES, reformulation_weight=0.4), pairs=1, clicked=1) == 0.2


def test_labels_are_of_both_queries_evidence() -> None:
    later = replace(query("american", clients=3), observed_at=NOON + timedelta(hours=1))
    for each in reformulation_labels(Reformulations((pair(query("murican food"), later),)), RULES):
        assert (each.source, each.positive, each.region) == (LabelSource.REFORMULATION, True, "north")
        assert (each.clients, each.observed_at) == (3, later.observed_at)


def test_what_people_say_of_a_reformulation_is_known_to_as_few_clients() -> None:
    later = replace(query("American", clients=3), observed_at=NOON + timedelta(hours=1))
    said = reference(HUMAN, [make_label("murican food", "american", region="", source=LabelSource.HUMAN, clients=0)])
    searched = reformulation_labels(Reformulations((pair(query("murican food"), later),)), RULES)
    (label,) = told_labels(said, Candidates((), (), {}), searched)
    assert (label.subject, label.region) == ("American", "north")
    assert (label.clients, label.observed_at) == (3, later.observed_at)


@pytest.mark.parametrize(("weight_of_click", "positive"), [(0.9, False), (0.4, True)])
def test_of_clicks_and_reformulations_the_surer_counts(weight_of_click: float, positive: bool) -> None:
    clicks = make_label(positive=False, weight=weight_of_click)
    searched = make_label(source=LabelSource.REFORMULATION, weight=0.5)
    for groups in ([[clicks], [searched]], [[searched], [clicks]]):
        merged = merge(groups)
        assert [each.positive for each in merged.labels] == [positive]
        assert sum(merged.overruled.values()) == 1


def test_a_judge_decides_on_wording_and_users_on_relevance() -> None:
    judged = make_label(source=LabelSource.JUDGE, positive=False, weight=0.1)
    searched = make_label(source=LabelSource.REFORMULATION, weight=0.9)
    told = {
        task: merge([[replace(judged, task=task)], [replace(searched, task=task)]]).labels[0].source
        for task in (Task.QUALITY, Task.RELEVANCE)
    }
    assert told == {Task.QUALITY: LabelSource.JUDGE, Task.RELEVANCE: LabelSource.REFORMULATION}


def test_good_rewrites_of_users_are_in_order_of_weight() -> None:
    labels = [
        make_label(subject="judged", source=LabelSource.JUDGE, weight=1.0),
        make_label(subject="clicked", weight=0.6),
        make_label(subject="searched", source=LabelSource.REFORMULATION, weight=0.8),
        make_label(subject="seldom", source=LabelSource.REFORMULATION, weight=0.5),
        make_label(subject="told", source=LabelSource.HUMAN, weight=0.1),
    ]
    (found,) = positive_rewrites(labels).values()
    assert [each.subject for each in found] == ["told", "searched", "clicked", "seldom", "judged"]


def test_a_good_rewrite_that_extends_another_or_the_query_is_not_learned() -> None:
    clicked = ("beef curry", "beef curry with rice", "soup", "soup bowl", "beef currywurst", "chiken tika with naan")
    labels = [make_label("chiken tika", subject=each) for each in clicked]
    searched = ("Chiken-tika masala", "beef curry pie")
    labels += [make_label("chiken tika", subject=each, source=LabelSource.REFORMULATION) for each in searched]
    (found,) = positive_rewrites(labels).values()
    assert {each.subject for each in found} == {"beef curry", "soup", "soup bowl", "beef currywurst", *searched}
    assert positive_rewrites(make_label("pad thai", subject="pad thai noodles") for _ in range(2)) == {}


def test_the_gap_has_limits() -> None:
    with pytest.raises(SettingError, match="reformulation_gap_s is 3601, and must be from 1 to 3600"):
        LabelSettings(reformulation_gap_s=3_601)
