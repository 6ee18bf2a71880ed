"""A real OpenSearch node for development, assembled from Maven Central.

instance = NodeInstance.create(Path("build/node"), "3.8.0")
instance.install(build_plugin("3.8.0"), replace=True)
print(instance.start(NodeOptions(http_port=9200)).url)
instance.stop()

cluster = Cluster.create(Path("build/cluster"), size=3)
print(cluster.start(NodeOptions()))
cluster.nodes[2].kill()
cluster.delete()
"""

from iterqr_dev_node.cluster import Cluster
from iterqr_dev_node.components import DEFAULT_VERSION
from iterqr_dev_node.errors import (
    DevNodeError,
    JavaNotFoundError,
    LayoutError,
    MavenError,
    NodeError,
    NodeStartError,
    PluginError,
)
from iterqr_dev_node.instance import NodeInstance, NodeOptions, NodeStatus
from iterqr_dev_node.layout import Layout, ensure_knn_zip, ensure_layout
from iterqr_dev_node.maven import MavenProgress, ProgressListener
from iterqr_dev_node.plugin_build import build_plugin, plugin_zip

__all__ = [
    "DEFAULT_VERSION",
    "Cluster",
    "DevNodeError",
    "JavaNotFoundError",
    "Layout",
    "LayoutError",
    "MavenError",
    "MavenProgress",
    "NodeError",
    "NodeInstance",
    "NodeOptions",
    "NodeStartError",
    "NodeStatus",
    "PluginError",
    "ProgressListener",
    "build_plugin",
    "ensure_knn_zip",
    "ensure_layout",
    "plugin_zip",
]
