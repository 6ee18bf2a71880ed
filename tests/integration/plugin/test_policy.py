"""The policy document: of the pipeline, of the checkpoint, and by default."""

from __future__ import annotations

import json
from typing import Any

import pytest
from iterqr_proto.policy import (
    OriginalFeatures,
    RewriteFeatures,
    default_policy,
    original_features,
    overlap,
    read_policy,
)
from support.dish_catalog import TYPO
from support.fusion_oracle import channel_windows
from support.plugin_search import (
    PluginSearch,
    Response,
    assert_plain_hits,
    channel_names,
    channels,
    facts,
    hits,
    match,
    outcome,
    refusal,
)
from support.scripted_service import Answer, answers, reply, scripted_service

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO), "size": 20}
TEXTS = ("pad thai", "thai noodles")
CAREFUL: dict[str, Any] = {
    "policy_version": 1,
    "policy_id": "careful-1",
    "confidence_factor": [[0, 0.2], [1, 0.8]],
    "strength_factor": [[0, 1], [1, 0.5]],
    "overlap_factor": [[0, 0.5], [1, 1]],
}


def policy(**members: object) -> dict[str, Any]:
    return {"policy_version": 1, "policy_id": "test", **members}


def searched(plugin: PluginSearch, answer: Answer, pipeline_policy: dict[str, Any] | None = None) -> Response:
    # A policy of null is none: the checkpoint's, or the plugin's own.
    pipeline = plugin.create_pipeline({"policy": pipeline_policy}, {"rewrite_weight": 2.0})
    with scripted_service(answer) as service, plugin.served_by(service.address):
        return plugin.search(BODY, pipeline=pipeline)


def with_policy(document: str) -> Answer:
    message = reply(*TEXTS)
    message.policy_json = document
    data = message.SerializeToString()
    return lambda _request: data


def test_weights_are_the_python_readings(plugin: PluginSearch) -> None:
    response = searched(plugin, answers(*TEXTS), CAREFUL)
    told = facts(response)
    assert outcome(response) == "fused"
    windows = channel_windows(plugin, BODY, TYPO, TEXTS)
    tops = {name: sorted(found, key=lambda each: found[each].rank) for name, found in windows.items()}
    scores = [windows["original"][each].score for each in tops["original"]]
    original: OriginalFeatures = original_features(scores, len(TYPO))
    assert told["policy"]["policy_id"] == "careful-1"
    assert told["policy"]["source"] == "pipeline"
    assert told["policy"]["hits"] == original.hits
    assert told["policy"]["strength"] == pytest.approx(original.strength, rel=1e-6)
    assert told["policy"]["score_a_character"] == pytest.approx(original.score_a_character, rel=1e-6)
    reading = read_policy(CAREFUL)
    for position, rewrite in enumerate(told["rewrites"]):
        shared = overlap(tops["original"], tops[rewrite["text"]])
        assert rewrite["overlap"] == pytest.approx(shared)
        features = RewriteFeatures(position, rewrite["confidence"], shared)
        assert rewrite["weight"] == pytest.approx(2.0 * reading.factor(original, features), rel=1e-6)
    for hit in hits(response):
        assert sum(channel["contribution"] for channel in channels(hit)) == pytest.approx(hit["_score"], rel=1e-6)


def test_a_requests_policy_goes_before_the_pipelines(plugin: PluginSearch) -> None:
    body = {**BODY, "size": 5, "ext": {"iterqr": {"policy": CAREFUL}}}
    with scripted_service(answers(*TEXTS)) as service, plugin.served_by(service.address):
        response = plugin.search(body)
        told = facts(response)
        assert (told["policy"]["policy_id"], told["policy"]["source"]) == ("careful-1", "request")
        assert all(0 < rewrite["weight"] < 0.5 for rewrite in told["rewrites"])
        assert facts(plugin.search(BODY))["policy"]["source"] == "pipeline"
        token = told["page_token"]

        def second_page(**options: object) -> str:
            return outcome(plugin.search({**body, "from": 5, "ext": {"iterqr": {"page_token": token, **options}}}))

        assert second_page(policy=CAREFUL) == "fused"
        assert second_page(policy=policy()) == second_page() == "page_unpinned"


def test_a_requests_policy_bounds_the_queries_that_are_sent(plugin: PluginSearch) -> None:
    body = {**BODY, "ext": {"iterqr": {"policy": policy(min_query_characters=20)}}}
    with scripted_service(answers(*TEXTS)) as service, plugin.served_by(service.address):
        assert outcome(plugin.search(body)) == "skipped_policy"
        assert service.calls == []


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ("careful", "must be an object"),
        ({"policy_id": "x"}, "policy_version"),
        (policy(confidence_factor=[[0, 1], [1, 0]]), "confidence_factor"),
        (policy(colour=1), "colour"),
        (policy(policy_id="x" * 17_000), "16384 bytes"),
    ],
)
def test_a_requests_policy_is_refused_by_name(plugin: PluginSearch, document: object, named: str) -> None:
    told = str(refusal(lambda: plugin.search({**BODY, "ext": {"iterqr": {"policy": document}}})))
    assert "ext.iterqr.policy" in told
    assert named in told


def test_beside_a_weak_original_rewrites_lead(plugin: PluginSearch) -> None:
    strong = searched(plugin, answers(*TEXTS), CAREFUL)
    score = facts(strong)["policy"]["score_a_character"]
    for bound, weak in ((score * 1.01, True), (score, False)):
        leading = {**CAREFUL, "policy_id": "leading-1", "weak_original": {"score_a_character": bound, "factor": 5}}
        response = searched(plugin, answers(*TEXTS), leading)
        for rewrite, before in zip(facts(response)["rewrites"], facts(strong)["rewrites"], strict=True):
            # 2: the pipeline's weight
            expected = 2 * 5 * (0.2 + 0.6 * rewrite["confidence"]) if weak else before["weight"]
            assert rewrite["weight"] == pytest.approx(expected)


def test_a_weight_is_within_what_a_page_token_takes(plugin: PluginSearch) -> None:
    leading = policy(weak_original={"score_a_character": 1000, "factor": 10})
    pipeline = plugin.create_pipeline({"policy": leading}, {"rewrite_weight": 1000})
    with scripted_service(answers(*TEXTS)) as service, plugin.served_by(service.address):
        first = plugin.search({**BODY, "size": 5}, pipeline=pipeline)
        assert [rewrite["weight"] for rewrite in facts(first)["rewrites"]] == [1000, 1000]
        later = {**BODY, "size": 5, "from": 5, "ext": {"iterqr": {"page_token": facts(first)["page_token"]}}}
        assert outcome(plugin.search(later, pipeline=pipeline)) == "fused"


def test_a_rewrite_without_weight_is_no_channel(plugin: PluginSearch) -> None:
    response = searched(plugin, answers(*TEXTS), policy(max_rewrites=1))
    assert [rewrite["weight"] for rewrite in facts(response)["rewrites"]] == [2.0, 0.0]
    assert {name for hit in hits(response) for name in channel_names(hit)} == {"original", "pad thai"}


def test_where_no_rewrite_has_weight_the_page_is_the_originals(plugin: PluginSearch) -> None:
    response = searched(plugin, answers(*TEXTS), policy(min_confidence=0.9))
    assert outcome(response) == "original_suffices"
    assert_plain_hits(response, plugin.plain(BODY))
    assert [rewrite["weight"] for rewrite in facts(response)["rewrites"]] == [0.0, 0.0]


def test_queries_out_of_bounds_are_not_sent(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({"policy": policy(min_query_characters=20)})
    with scripted_service(answers(*TEXTS)) as service, plugin.served_by(service.address):
        response = plugin.search(BODY, pipeline=pipeline)
        assert service.calls == []
    assert outcome(response) == "skipped_policy"
    assert_plain_hits(response, plugin.plain(BODY))


def test_the_checkpoints_policy_comes_with_its_reply(plugin: PluginSearch) -> None:
    response = searched(plugin, with_policy(json.dumps(CAREFUL)))
    told = facts(response)["policy"]
    assert (told["policy_id"], told["source"]) == ("careful-1", "checkpoint")
    mine = searched(plugin, with_policy(json.dumps(CAREFUL)), policy(policy_id="mine"))
    assert facts(mine)["policy"]["policy_id"] == "mine"


@pytest.mark.parametrize("document", ["{", "[]", "7", '{"policy_version": 9, "policy_id": "x"}', "x" * 9_000])
def test_a_reply_with_a_broken_policy_is_a_bad_reply(plugin: PluginSearch, document: str) -> None:
    response = searched(plugin, with_policy(document))
    assert outcome(response) == "bad_reply"
    assert_plain_hits(response, plugin.plain(BODY))


def test_the_plugins_own_policy_is_the_packaged_one(plugin: PluginSearch) -> None:
    told = facts(searched(plugin, answers(*TEXTS)))
    assert (told["policy"]["policy_id"], told["policy"]["source"]) == (default_policy().policy_id, "default")
    reading = default_policy()
    original = OriginalFeatures(*(told["policy"][name] for name in ("hits", "flatness", "score_a_character")))
    for position, rewrite in enumerate(told["rewrites"]):
        features = RewriteFeatures(position, rewrite["confidence"], rewrite["overlap"])
        assert rewrite["weight"] == pytest.approx(2.0 * reading.factor(original, features))
