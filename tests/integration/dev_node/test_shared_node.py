"""The session's node is what its fixture says."""

import pytest
from support.opensearch_node import DEFAULT_VERSION, RunningNode

pytestmark = pytest.mark.node


def test_answers_with_its_version(opensearch_node: RunningNode) -> None:
    assert opensearch_node.client.info()["version"]["number"] == DEFAULT_VERSION
    assert opensearch_node.client.cluster.health()["status"] == "green"
