"""Every tag of every hit is right, and none is missing: over the whole catalog of constructed cases."""

from __future__ import annotations

import pytest
from support.attribution.cases_clauses import clause_cases
from support.attribution.cases_vectors import VECTOR_MAPPINGS, VECTOR_SETTINGS, vectors_cases
from support.attribution.catalog import catalog, chosen, spread
from support.attribution.grading import Grade, report, score
from support.attribution.running import SETTINGS, CaseRunner
from support.opensearch_node import DEFAULT_VERSION, NodePool, RunningCluster, RunningNode

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def grades(node_pool: NodePool) -> list[Grade]:
    """The whole catalog, on the default version."""
    node = node_pool.get(DEFAULT_VERSION)
    return CaseRunner(node.client, node.unique_name("attribution")).run(catalog())


def test_precision_and_recall_of_every_tag_are_one(grades: list[Grade]) -> None:
    assert len(grades) >= 200
    told = score(grades)
    assert (told.precision, told.recall) == (1.0, 1.0), report(grades)


def test_pages_outcomes_and_counts_are_as_constructed(grades: list[Grade]) -> None:
    assert not [each.told() for each in grades if not each.is_exact], report(grades)


def test_a_choice_of_every_kind_is_exact_on_the_older_version(knn_node: RunningNode) -> None:
    grades = CaseRunner(knn_node.client, knn_node.unique_name("attribution")).run(chosen())
    told = score(grades)
    assert (told.precision, told.recall) == (1.0, 1.0), report(grades)
    assert not [each.told() for each in grades if not each.is_exact], report(grades)


def test_an_embedding_clause_is_the_originals(knn_node: RunningNode) -> None:
    name = knn_node.unique_name("attribution")
    runner = CaseRunner(knn_node.client, name, mappings=VECTOR_MAPPINGS, settings=VECTOR_SETTINGS)
    grades = runner.run([*vectors_cases(), *clause_cases()])
    told = score(grades)
    assert (told.precision, told.recall) == (1.0, 1.0), report(grades)
    assert not [each.told() for each in grades if not each.is_exact], report(grades)


def test_shards_on_different_nodes_are_exact_whichever_node_is_asked(plugin_cluster: RunningCluster) -> None:
    """The shards' scores differ, and so do the nodes': one of the three holds no shard of an index of two."""
    cases = spread()
    runner = CaseRunner(
        plugin_cluster.clients[0],
        plugin_cluster.unique_name("attribution"),
        settings={**SETTINGS, "routing.allocation.total_shards_per_node": 1},
        coordinators=plugin_cluster.clients,
    )
    grades = runner.run(cases)
    assert len(grades) == 3 * len(cases)
    told = score(grades)
    assert (told.precision, told.recall) == (1.0, 1.0), report(grades)
    assert not [each.told() for each in grades if not each.is_exact], report(grades)
