"""Experiments: who is in which arm, that it is stable, and that control pays nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from support.cluster_settings import cluster_settings
from support.dish_catalog import TYPO
from support.plugin_search import (
    PluginSearch,
    assert_plain_hits,
    eventually,
    facts,
    hits,
    ids,
    match,
    outcome,
    refusal,
)
from support.scripted_service import answers, scripted_service

pytestmark = pytest.mark.node

BODY = {"query": match(TYPO)}
CLIENTS = [f"client-{number}" for number in range(60)]


def experiment(treatment: float, shadow: float = 0, name: str = "exp", salt: str = "") -> dict[str, Any]:
    return {
        "plugins.iterqr.experiment.name": name,
        "plugins.iterqr.experiment.salt": salt,
        "plugins.iterqr.experiment.treatment_percent": treatment,
        "plugins.iterqr.experiment.shadow_percent": shadow,
    }


def by_client(plugin: PluginSearch, client_id: str) -> dict[str, Any]:
    return plugin.search({**BODY, "ext": {"ubi": {"client_id": client_id}}})


def arms(plugin: PluginSearch) -> dict[str, str]:
    return {client: facts(by_client(plugin, client))["experiment"]["bucket"] for client in CLIENTS}


def test_without_an_experiment_nothing_is_said(plugin: PluginSearch) -> None:
    response = by_client(plugin, "c-1")
    assert outcome(response) == "fused"
    assert "experiment" not in facts(response)


def test_clients_are_split_and_stay_where_they_are(plugin: PluginSearch) -> None:
    with cluster_settings(plugin.client, experiment(50)):
        first = arms(plugin)
        assert first == arms(plugin)
        shares = Counter(first.values())
        assert set(shares) == {"treatment", "control"}
        assert min(shares.values()) >= 15
        plugin.client.cluster.put_settings(body={"persistent": experiment(80)})
        later = arms(plugin)
    assert all(later[client] == "treatment" for client in CLIENTS if first[client] == "treatment")
    assert Counter(later.values())["treatment"] > shares["treatment"]


def test_control_is_the_plain_search_and_asks_no_server(plugin: PluginSearch) -> None:
    with (
        scripted_service(answers("pad thai")) as service,
        plugin.served_by(service.address),
        cluster_settings(plugin.client, experiment(0)),
    ):
        control = by_client(plugin, "c-1")
    assert outcome(control) == "control"
    assert facts(control)["experiment"] == {"name": "exp", "bucket": "control"}
    assert facts(control)["rewrites"] == []
    assert_plain_hits(control, plugin.plain(BODY))
    assert service.calls == []


def test_control_does_not_parse_what_it_does_not_expand(plugin: PluginSearch) -> None:
    """Whether scripts or clauses forbid expanding costs a parse; whether it scrolls does not."""
    pipeline = plugin.create_pipeline({"mode": "expand"})
    scripted = {"function_score": {"query": match(TYPO), "field_value_factor": {"field": "price"}}}
    body = {"query": scripted, "ext": {"ubi": {"client_id": "c-1"}}}
    with cluster_settings(plugin.client, experiment(100)):
        assert outcome(plugin.search(body, pipeline=pipeline)) == "skipped_script"
        assert outcome(plugin.search(body, pipeline=pipeline, scroll="1m")) == "skipped_scroll"
    with cluster_settings(plugin.client, experiment(0)):
        assert outcome(plugin.search(body, pipeline=pipeline)) == "control"
        assert outcome(plugin.search(body, pipeline=pipeline, scroll="1m")) == "skipped_scroll"


@pytest.mark.parametrize("treatment", [0, 100])
def test_arms_tell_alike_what_costs_nothing_to_tell(plugin: PluginSearch, treatment: float) -> None:
    ext = {"ubi": {"client_id": "c-1"}}
    with cluster_settings(plugin.client, experiment(treatment)):
        sorted_search = plugin.search({**BODY, "sort": ["price"], "ext": ext})
        elsewhere = plugin.search({**BODY, "ext": {**ext, "iterqr": {"region": "r" * 65}}})
    assert outcome(sorted_search) == "skipped_sort"
    assert outcome(elsewhere) == "rejected"


def test_shadow_of_an_expanding_pipeline_serves_what_treatment_does(plugin: PluginSearch) -> None:
    pipeline = plugin.create_pipeline({"mode": "expand"})
    ext = {"ext": {"ubi": {"client_id": "c-1"}}}
    by_price = {**BODY, "sort": [{"price": "asc"}, "title.keyword"]}
    scripted = {"function_score": {"query": match(TYPO), "field_value_factor": {"field": "price"}}}

    def told(body: dict[str, Any]) -> dict[str, Any]:
        return facts(plugin.search({**body, **ext}, pipeline=pipeline))

    with cluster_settings(plugin.client, experiment(100)):
        assert told(by_price)["outcome"] == "expanded"
        assert told({"query": scripted})["outcome"] == "skipped_script"
    counted = plugin.counted("shadow")
    with cluster_settings(plugin.client, experiment(0, 100)):
        response = plugin.search({**by_price, **ext}, pipeline=pipeline)
        shadowed = facts(response)
        assert (shadowed["outcome"], shadowed["mode"]) == ("shadow", "shadow_expand")
        assert shadowed["experiment"]["bucket"] == "shadow"
        assert hits(response) == hits(plugin.plain(by_price))
        assert told({"query": scripted})["outcome"] == "skipped_script"
    eventually(lambda: plugin.counted("shadow") == counted + 1)


def test_a_search_without_client_is_not_part_of_it(plugin: PluginSearch) -> None:
    with cluster_settings(plugin.client, experiment(0)):
        response = plugin.search(BODY)
    assert outcome(response) == "fused"
    assert "experiment" not in facts(response)
    assert ids(response) != ids(plugin.plain(BODY))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"treatment_percent": -1}, "treatment_percent"),
        ({"treatment_percent": 100.5}, "treatment_percent"),
        ({"treatment_percent": "half"}, "treatment_percent"),
        ({"treatment_percent": 60, "shadow_percent": 41}, "shadow_percent"),
        ({"shadow_percent": 1}, "shadow_percent"),
        ({"name": "a b"}, "experiment.name"),
        ({"salt": "s" * 65}, "experiment.salt"),
    ],
)
def test_wrong_settings_are_refused(plugin: PluginSearch, settings: dict[str, Any], named: str) -> None:
    body = {"persistent": {f"plugins.iterqr.experiment.{key}": value for key, value in settings.items()}}
    assert named in str(refusal(lambda: plugin.client.cluster.put_settings(body=body)))
