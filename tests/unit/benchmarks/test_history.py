"""The simulated click history: its shape, its privacy floor, and that the tail queries' truth stays out of it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from iterqr_benchmarks import history
from iterqr_benchmarks.catalog import REGIONS, Catalog, build_catalog
from iterqr_benchmarks.history import MAX_TITLES, MIN_CLIENTS, HintDocument, click_history
from iterqr_benchmarks.misspelling import common_misspelling
from iterqr_benchmarks.queries import load_queries, normalized


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return build_catalog()


@pytest.fixture(scope="module")
def documents(catalog: Catalog) -> tuple[HintDocument, ...]:
    return click_history(catalog)


def test_few_hundred_documents_over_all_regions(documents: tuple[HintDocument, ...]) -> None:
    assert 300 <= len(documents) <= 1_000
    assert min(Counter(document.region for document in documents).values()) >= 50
    assert {document.region for document in documents} == set(REGIONS)


def test_one_document_per_region_and_query(documents: tuple[HintDocument, ...]) -> None:
    assert len({(document.region, document.query) for document in documents}) == len(documents)
    assert len({(document.region, document.query) for document in documents}) == len(documents)


def test_document_is_what_the_hints_index_holds(documents: tuple[HintDocument, ...]) -> None:
    for found in documents:
        assert found.query == found.query.lower() == " ".join(found.query.split())
        assert 1 <= len(found.titles) <= MAX_TITLES
        assert all(title.clicks >= title.clients >= MIN_CLIENTS for title in found.titles)
        assert [title.clicks for title in found.titles] == sorted((t.clicks for t in found.titles), reverse=True)
    document = documents[0].document()
    assert document.keys() == {"region", "query", "titles", "clicks"}
    assert document["clicks"] == sum(title.clicks for title in documents[0].titles)


def test_titles_are_sold_in_the_region(catalog: Catalog, documents: tuple[HintDocument, ...]) -> None:
    sold = {region: {dish.title for dish in dishes} for region, dishes in catalog.by_region.items()}
    assert all(title.title in sold[document.region] for document in documents for title in document.titles)


def test_no_tail_query_was_ever_searched(documents: tuple[HintDocument, ...]) -> None:
    tail = {normalized(query.query) for name in ("heldout", "tuning") for query in load_queries(name)}
    assert not tail & {normalized(document.query) for document in documents}


def test_truth_of_tail_queries_is_not_read(
    catalog: Catalog, documents: tuple[HintDocument, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other tail queries with other truth change nothing but which queries are left out."""
    monkeypatch.setattr(history, "load_queries", lambda _name: ())
    without = {(document.region, document.query): document for document in click_history(catalog)}
    assert all(without[document.region, document.query] == document for document in documents)


def test_same_seed_same_history_and_other_seed_another(catalog: Catalog, documents: tuple[HintDocument, ...]) -> None:
    assert click_history(catalog) == documents
    assert click_history(catalog, seed=2) != documents


def test_head_is_heavy_and_names_are_of_every_kind(catalog: Catalog, documents: tuple[HintDocument, ...]) -> None:
    clicks = sorted((document.clicks for document in documents), reverse=True)
    assert sum(clicks[: len(clicks) // 10]) > 0.3 * sum(clicks)
    queries = {document.query for document in documents}
    assert queries & {merchant.name.lower() for merchant in catalog.merchants}
    assert queries & {dish.base_dish.replace("-", " ") for dish in catalog.dishes}
    assert any(query.startswith(("vegan ", "vegetarian ", "gluten-free ")) for query in queries)
    assert any(query.endswith(" near me") for query in queries)


def test_misspelling_changes_one_word_in_few_ways() -> None:
    found = {common_misspelling(random.Random(seed), "chicken burrito") for seed in range(60)}
    assert 2 <= len(found) <= 4
    assert "chicken burrito" not in found
    assert common_misspelling(random.Random(1), "pho") == "pho"
