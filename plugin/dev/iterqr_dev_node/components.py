"""What a server consists of beside its core: the modules, as published on Maven Central."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_VERSION = "3.8.0"


@dataclass(frozen=True, slots=True)
class KnnRelease:
    """A release of the k-NN plugin. Central publishes the zip without checksums, so its digest is kept here."""

    version: str
    sha256: str


# The newest release on Central whose server is there as well. Its zip has no native library, so only the lucene engine
# works: an index of engine faiss would stop the node.
KNN_RELEASES = {
    "3.6.0": KnnRelease("3.6.0.0", "ac392ca28a39b3bf290648a422ef30cb149dda2963a9d7feb26060e932341c9a"),
}


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the server.

    `required`: a node without it is of no use here. The others are left out where Central lacks one of their jars.
    `policy` is the text of its plugin-security.policy; only what the Java agent checks has an effect.
    """

    name: str
    artifact: str
    plugin_class: str
    required: bool = False
    policy: str = ""


def _may(actions: str) -> str:
    return f'grant {{\n  permission java.net.SocketPermission "*", "{actions}";\n}};\n'


MODULES = (
    Module(
        "aggs-matrix-stats",
        "aggs-matrix-stats-client",
        "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin",
    ),
    Module(
        "analysis-common", "analysis-common", "org.opensearch.analysis.common.CommonAnalysisModulePlugin", required=True
    ),
    Module("geo", "geo", "org.opensearch.geo.GeoModulePlugin"),
    Module("ingest-common", "ingest-common", "org.opensearch.ingest.common.IngestCommonModulePlugin"),
    Module("lang-expression", "lang-expression", "org.opensearch.script.expression.ExpressionModulePlugin"),
    Module("lang-mustache", "lang-mustache-client", "org.opensearch.script.mustache.MustacheModulePlugin"),
    Module("lang-painless", "lang-painless", "org.opensearch.painless.PainlessModulePlugin", required=True),
    Module(
        "mapper-extras",
        "mapper-extras-client",
        "org.opensearch.index.mapper.MapperExtrasModulePlugin",
        required=True,
    ),
    Module("parent-join", "parent-join-client", "org.opensearch.join.ParentJoinModulePlugin", required=True),
    Module("percolator", "percolator-client", "org.opensearch.percolator.PercolatorModulePlugin"),
    Module("rank-eval", "rank-eval-client", "org.opensearch.index.rankeval.RankEvalModulePlugin"),
    Module(
        "reindex",
        "reindex-client",
        "org.opensearch.index.reindex.ReindexModulePlugin",
        required=True,
        policy=_may("connect,resolve"),
    ),
    Module(
        "search-pipeline-common",
        "search-pipeline-common",
        "org.opensearch.search.pipeline.common.SearchPipelineCommonModulePlugin",
        required=True,
    ),
    # Not switched on; the k-NN plugin extends it.
    Module(
        "transport-grpc",
        "transport-grpc",
        "org.opensearch.transport.grpc.GrpcPlugin",
        policy=_may("accept,connect,listen,resolve"),
    ),
    Module(
        "transport-netty4",
        "transport-netty4-client",
        "org.opensearch.transport.Netty4ModulePlugin",
        required=True,
        policy=_may("accept,connect,resolve"),
    ),
)
