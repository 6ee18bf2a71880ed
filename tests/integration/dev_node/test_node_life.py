"""One node through its life, beside the session's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from iterqr_dev_node import NodeError, NodeInstance, NodeOptions, NodeStartError
from opensearchpy import OpenSearch
from support.opensearch_node import DEFAULT_VERSION, RunningNode

pytestmark = pytest.mark.node


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[NodeInstance]:
    made = NodeInstance.create(tmp_path / "node", DEFAULT_VERSION)
    yield made
    made.delete()


def test_starts_beside_another_and_stops(opensearch_node: RunningNode, instance: NodeInstance) -> None:
    status = instance.start(NodeOptions(settings={"node.attr.kind": "second"}))
    assert status.is_running
    assert status.url is not None
    assert status.url != opensearch_node.url
    with OpenSearch(status.url) as client:
        attributes = client.cat.nodeattrs(params={"h": "attr,value", "format": "json"})
    assert {"attr": "kind", "value": "second"} in attributes
    with pytest.raises(NodeError, match="already running"):
        instance.start()
    with pytest.raises(NodeError, match="stop it before installing"):
        instance.install(Path("plugin.zip"))
    assert NodeInstance(instance.folder).status() == status, "another process sees the same"
    instance.stop()
    assert not instance.status().is_running
    assert opensearch_node.client.ping()


def test_a_node_that_refuses_to_start_tells_why(instance: NodeInstance) -> None:
    with pytest.raises(NodeStartError, match=r"unknown setting \[nonsense\.setting\]"):
        instance.start(NodeOptions(settings={"nonsense.setting": "1"}))
    assert not instance.status().is_running
