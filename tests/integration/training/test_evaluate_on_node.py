"""`iterqr-train evaluate` on a real node and a real server: fused lists are the plugin's own, and a run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from iterqr_proto.policy import Curve, Policy, policy_document
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SourceError
from iterqr_training.evaluate.fusion import FusionRule
from iterqr_training.evaluate.judge import ServerJudge
from iterqr_training.evaluate.query_sums import fused
from iterqr_training.evaluate.server_rewriter import ServerRewriter
from iterqr_training.evaluate.truth import TruthQuery, write_truth
from iterqr_training.evaluate.windows import NodeIndex
from iterqr_training.main import main
from opensearchpy import OpenSearch
from support.dish_catalog import BOTH, GROUP_SIZE, REWRITE_ONLY, REWRITES, index_dishes
from support.opensearch_node import RunningNode
from support.plugin_search import WEIGHTS, PluginSearch, facts, ids, match, set_endpoint
from support.rewrite_server import RunningServer, rewrites_script, running_server

pytestmark = pytest.mark.node

BODY = {"query": {"match": {"title": "{{query}}"}}}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(script=rewrites_script(REWRITES)) as running:
        yield running


@pytest.fixture(scope="module")
def plugin(opensearch_node: RunningNode, server: RunningServer) -> Iterator[PluginSearch]:
    index = opensearch_node.unique_name("dishes")
    index_dishes(opensearch_node.client, index)
    set_endpoint(opensearch_node.client, server.address)
    search = PluginSearch(opensearch_node, index, pipeline="")
    yield replace(search, pipeline=search.create_pipeline())
    set_endpoint(opensearch_node.client, None)


def relevant(*groups: str) -> frozenset[str]:
    return frozenset(f"{group}-{number}" for group in groups for number in range(GROUP_SIZE))


def calls(server: RunningServer) -> dict[str, float]:
    methods = ("RewriteQuery", "ScoreRewrites")
    return {method: server.metric("iterqr_calls_total", method=method, code="OK") for method in methods}


QUERIES = (
    TruthQuery("pad tai", "", Band.TAIL, relevant(BOTH, REWRITE_ONLY)),
    TruthQuery("tai nodels", "", Band.TAIL, relevant(REWRITE_ONLY)),
    TruthQuery("pizza", "", Band.HEAD, relevant("other")),
)


# One that uses every member that a fit may change; the predictable tokens have a confidence of nearly 1.
FITTED = Policy(
    "fit-0",
    max_rewrites=5,
    min_confidence=0.25,
    confidence_factor=Curve(((0.2, 0.1), (1.0, 0.8))),
    strength_factor=Curve(((0.3, 1.0), (0.95, 0.1))),
    overlap_factor=Curve(((0.0, 0.25), (0.5, 1.0))),
)


@pytest.mark.parametrize("policy", [Policy("even"), FITTED], ids=["even", "fitted"])
def test_windows_fused_here_are_the_plugins_own_list(
    plugin: PluginSearch, server: RunningServer, policy: Policy
) -> None:
    pipeline = plugin.create_pipeline({"policy": policy_document(policy)})
    with grpc.insecure_channel(server.address) as channel:
        system = ServerRewriter("model", channel)
        index = NodeIndex(plugin.client, plugin.index, BODY)
        weight, constant = float(WEIGHTS["rewrite_weight"]), int(WEIGHTS["rank_constant"])
        rule = FusionRule(policy, rewrite_weight=weight, rank_constant=constant)
        for query in QUERIES[:2]:
            answer = system.rewrite(query.query, "")
            texts = [query.query, *(each.text for each in answer.rewrites)]
            windows = {("", text): index.window("", text) for text in texts}
            response = plugin.search({"query": match(query.query), "size": 40}, pipeline=pipeline)
            assert facts(response)["outcome"] == "fused"
            assert fused(query, answer, windows, rule)[:40] == ids(response)


def test_the_command_measures_a_server_on_a_real_index_and_goes_on(
    tmp_path: Path, plugin: PluginSearch, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, search = tmp_path / "truth.jsonl", tmp_path / "search.json"
    write_truth(truth, QUERIES)
    search.write_text(json.dumps(BODY))
    arguments = ["evaluate", "--truth", str(truth), "--server", f"model={server.address}", "--embedder", "none"]
    arguments += ["--judge", server.address, "--url", plugin.node.url, "--index", plugin.index]
    arguments += ["--search", str(search), "--out", str(tmp_path / "out"), "--resamples", "200"]
    main(arguments)
    assert "all queries: 3" in capsys.readouterr().out
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    model = document["systems"][1]["bands"]
    # pad tai gets pad thai, all of whose first hits are relevant, and thai noodles; tai nodels gets thai noodles.
    assert model["tail"]["values"]["rewrite_p1"]["value"] == 1.0
    assert model["tail"]["values"]["rewrite_p5"]["value"] == pytest.approx((2 + 1) / 10)
    assert model["all"]["values"]["coverage"]["value"] == pytest.approx(2 / 3)
    assert document["systems"][0]["bands"]["tail"]["values"]["empty_rate"]["value"] == 0.5
    assert model["tail"]["values"]["empty_rate"]["value"] == 0.0
    assert model["all"]["values"]["harm_rate"]["value"] == 0.0
    assert model["tail"]["values"]["judged_drift"]["value"] is not None

    before = calls(server)
    assert before["RewriteQuery"] >= 1 + len(QUERIES)
    kept = (tmp_path / "out" / "heldout" / "answers-model.jsonl").read_text()
    main(arguments)
    assert (tmp_path / "out" / "heldout" / "answers-model.jsonl").read_text() == kept
    # Only the question which checkpoint it is.
    assert calls(server) == {method: count + 1 for method, count in before.items()}


def test_what_cannot_be_reached_is_named(plugin: PluginSearch) -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(SourceError, match="UNAVAILABLE"):
        ServerJudge(channel)
    with pytest.raises(SourceError, match="index nowhere cannot be read"):
        NodeIndex(plugin.client, "nowhere", BODY)
    with OpenSearch("http://127.0.0.1:1", max_retries=0) as client, pytest.raises(SourceError, match="cannot be read"):
        NodeIndex(client, plugin.index, BODY)
