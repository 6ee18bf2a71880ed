"""The two sets of tail queries: counts, kinds, known truth, and that they share nothing."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator

import pytest
from iterqr_benchmarks.catalog import REGIONS, build_catalog
from iterqr_benchmarks.queries import KINDS, Predicate, TailQuery, load_queries, normalized
from iterqr_proto.rewrite_format import load_template

CATALOG = build_catalog()
HELDOUT = load_queries("heldout")
TUNING = load_queries("tuning")
ALL = (*HELDOUT, *TUNING)
REGION_OF = {dish.dish_id: dish.region for dish in CATALOG.dishes}
MAX_SATISFYING = 300


def parts(predicate: Predicate) -> Iterator[Predicate]:
    yield predicate
    for part in predicate.any_of:
        yield from parts(part)


def test_counts_of_queries_kinds_and_regions() -> None:
    assert len(HELDOUT) == 40
    assert len(TUNING) == 200
    assert min(Counter(query.kind for query in HELDOUT).values()) >= 5
    assert min(Counter(query.kind for query in TUNING).values()) >= 25
    for queries in (HELDOUT, TUNING):
        assert {query.kind for query in queries} == set(KINDS)
        assert {query.region for query in queries} == set(REGIONS)


@pytest.mark.parametrize("query", ALL, ids=lambda query: query.query)
def test_some_dishes_of_the_region_satisfy_it_but_not_too_many(query: TailQuery) -> None:
    satisfying = query.satisfying(CATALOG)
    assert 1 <= len(satisfying) <= MAX_SATISFYING
    assert {REGION_OF[dish_id] for dish_id in satisfying} == {query.region}


def test_most_queries_have_a_choice_of_dishes() -> None:
    assert sum(len(query.satisfying(CATALOG)) >= 3 for query in ALL) >= 0.9 * len(ALL)


def test_no_query_twice_even_without_case_and_punctuation() -> None:
    forms = [normalized(query.query) for query in ALL]
    assert len(set(forms)) == len(forms)


def are_near(one: str, other: str) -> bool:
    one, other = normalized(one), normalized(other)
    words, other_words = set(one.split()), set(other.split())
    shared = len(words & other_words) / len(words | other_words)
    return shared >= 0.5 or difflib.SequenceMatcher(None, one, other).ratio() >= 0.75


def test_no_near_copy_and_no_same_wish_in_both_sets() -> None:
    for held in HELDOUT:
        for tuned in TUNING:
            assert not are_near(held.query, tuned.query), (held.query, tuned.query)
            assert held.satisfied_by != tuned.satisfied_by, (held.query, tuned.query)


def test_the_prompts_examples_are_near_no_query() -> None:
    for example in load_template().examples:
        for query in ALL:
            assert not are_near(example.query, query.query), (example.query, query.query)
            assert not are_near(example.fix, query.query), (example.fix, query.query)
            assert not any(normalized(text) == normalized(query.query) for text in example.rewrites), query.query


def test_misspelt_merchants_exist_in_the_region_and_are_misspelt() -> None:
    region_of = {merchant.name: merchant.region for merchant in CATALOG.merchants}
    merchant_queries = [query for query in ALL if query.kind == "merchant"]
    assert len(merchant_queries) >= 30
    for query in merchant_queries:
        (name,) = query.satisfied_by.merchant
        assert region_of[name] == query.region
        assert normalized(query.query) != normalized(name)


def test_tags_asked_for_are_on_some_menu() -> None:
    on_menus = {tag for dish in CATALOG.dishes for tag in dish.tags}
    for query in ALL:
        for part in parts(query.satisfied_by):
            assert part.tags_any | part.tags_all | part.tags_none <= on_menus, query.query


def test_queries_look_typed() -> None:
    for query in ALL:
        assert 2 <= len(query.query) <= 60
        assert query.query == " ".join(query.query.split())
