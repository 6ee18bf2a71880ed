"""RewriteQueries and ScoreRewrites with real weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr.rewrite.v1 import query_rewrite_service_pb2_grpc as pb_grpc
from support.real_server import real_server
from support.scored_pairs import BROKEN, GOOD, IRRELEVANT, auc

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

QUERIES = sorted(GOOD)


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pb_grpc.QueryRewriteServiceStub]:
    log = Path(tmp_path_factory.mktemp("server"), "server.log")
    with real_server(log, **{"hints.url": ""}) as server, grpc.insecure_channel(server.address) as channel:
        yield pb_grpc.QueryRewriteServiceStub(channel)


def test_a_bulk_stream_rewrites_as_single_calls_do(stub: pb_grpc.QueryRewriteServiceStub) -> None:
    requests = {f"q{i}": pb.RewriteQueryRequest(query=query, request_id=f"q{i}") for i, query in enumerate(QUERIES)}
    stream = stub.RewriteQueries((pb.RewriteQueriesRequest(request=r) for r in requests.values()), timeout=300)
    replies = {reply.request_id: reply.response for reply in stream}
    assert replies.keys() == requests.keys()
    different = 0
    for request_id, request in requests.items():
        # Under another tenant, so that it is generated again.
        alone = stub.RewriteQuery(pb.RewriteQueryRequest(query=request.query, tenant="alone"), timeout=60)
        assert alone.source == pb.SOURCE_GENERATED
        different += [r.text for r in replies[request_id].rewrites] != [r.text for r in alone.rewrites]
    assert different <= 1, "drafts depend on the load, and may decide near ties otherwise"
    assert sum(reply.outcome == pb.OUTCOME_COMPLETE for reply in replies.values()) > len(QUERIES) / 2


def test_relevant_rewrites_score_above_irrelevant_ones(stub: pb_grpc.QueryRewriteServiceStub) -> None:
    """The untuned model's relevance is worth something; its quality is not (DECISIONS.md), so nothing is claimed."""
    relevance: dict[str, list[float]] = {"good": [], "irrelevant": []}
    quality: dict[str, list[float]] = {"good": [], "broken": []}
    for query in QUERIES:
        rewrites = [*GOOD[query], IRRELEVANT[query], BROKEN[query]]
        scores = stub.ScoreRewrites(pb.ScoreRewritesRequest(query=query, rewrites=rewrites), timeout=120).scores
        *good, irrelevant, broken = scores
        relevance["good"] += [score.relevance for score in good]
        relevance["irrelevant"].append(irrelevant.relevance)
        quality["good"] += [score.quality for score in good]
        quality["broken"].append(broken.quality)
        assert all(0 < p < 1 for score in scores for p in (score.quality, score.relevance))
    relevance_auc = auc(relevance["good"], relevance["irrelevant"])
    quality_auc = auc(quality["good"], quality["broken"])
    print(f"AUC: relevance {relevance_auc:.3f}, quality {quality_auc:.3f}")
    assert relevance_auc > 0.7
