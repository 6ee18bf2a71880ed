"""The attribution check against a real node and rewrite server: it passes, it notices, it leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from iterqr_dev_node import NodeInstance, NodeOptions, build_plugin
from iterqr_training.errors import CheckFailedError, SourceError
from iterqr_training.main import main
from iterqr_training.signals.attribution_check.cases import planted_cases
from iterqr_training.signals.attribution_check.comparison import CaseResult
from iterqr_training.signals.attribution_check.live_system import LiveSystem
from iterqr_training.signals.attribution_check.run import Measure, PlantedSignals, check_attribution
from iterqr_training.signals.attribution_check.settings import CheckSettings
from opensearchpy import OpenSearch
from support.cluster_settings import cluster_settings
from support.node_keystore_entry import put_in_keystore
from support.opensearch_node import DEFAULT_VERSION, KNN_VERSION, TEST_SETTINGS
from support.plugin_search import current_endpoint, set_endpoint
from support.reference_attribution import Rules, attribute_planted
from support.rewrite_server import running_server

pytestmark = pytest.mark.node

KEY = "a key of more than 16 characters"
SETTINGS = {
    **TEST_SETTINGS,
    "plugins.iterqr.impressions.enabled": "true",
    "plugins.iterqr.impressions.flush_interval": "50ms",
    "plugins.iterqr.ubi.write_queries": "true",
}


@dataclass(frozen=True, slots=True)
class Live:
    """A node with a key, impressions and UBI indices, that asks a rewrite server."""

    client: OpenSearch
    url: str

    def check(
        self, measure: Measure, run_id: str, *, patience_s: float = 20.0, pipeline: str = ""
    ) -> tuple[CaseResult, ...]:
        system = LiveSystem(self.client, CheckSettings(pipeline=pipeline), run_id)
        return check_attribution(system, planted_cases(run_id), measure, patience_s=patience_s)

    def measure(self, rules: Rules) -> Measure:
        def measure(planted: PlantedSignals) -> pa.Table:
            return attribute_planted(self.client, planted.application, rules, KEY)

        return measure

    def left(self, run_id: str) -> int:
        """Documents and indices that a run has left."""
        name = f"iterqr-attribution-check-{run_id}"
        self.client.indices.refresh(index="iterqr-impressions,ubi_queries,ubi_events")
        body = {"query": {"term": {"application": name}}}
        count: int = self.client.count(index="iterqr-impressions,ubi_queries,ubi_events", body=body)["count"]
        return count + int(self.client.indices.exists(index=name))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_system(DEFAULT_VERSION, tmp_path_factory.mktemp("check")) as system:
        yield system


@contextmanager
def live_system(version: str, folder: Path) -> Iterator[Live]:
    instance = NodeInstance.create(folder / "node", version)
    try:
        instance.install(build_plugin(version))
        put_in_keystore(instance, "plugins.iterqr.client_id.hash_key", KEY)
        url = instance.start(NodeOptions(settings=SETTINGS)).url
        assert url is not None
        with running_server() as server, OpenSearch(url, timeout=30) as client:
            client.transport.perform_request("POST", "/_plugins/_iterqr/ubi/initialize")
            set_endpoint(client, server.address)
            yield Live(client, url)
    finally:
        instance.delete()


def test_right_credit_passes_and_nothing_is_left(live: Live) -> None:
    results = live.check(live.measure(Rules()), "right")
    assert [(each.name, each.problems) for each in results if not each.holds] == []
    assert sum(each.events for each in results) == 20
    assert live.left("right") == 0


def command(live: Live, key: str, folder: Path) -> dict[str, Any]:
    """Runs `iterqr-train attribution-check`; returns its report."""
    (folder / "client.key").write_text(key + "\n")
    report = folder / "check.json"
    main(
        ["attribution-check", "--url", live.url, "--client-key-file", str(folder / "client.key"), "--json", str(report)]
    )
    told: dict[str, Any] = json.loads(report.read_text())
    return told


def test_what_is_collected_and_attributed_is_credited_rightly(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Others search meanwhile and before.
    live.client.index(index="ubi_events", body={"action_name": "click", "timestamp": "2026-01-01T00:00:00Z"})
    told = command(live, KEY, tmp_path)
    assert told["holds"]
    assert [each["problems"] for each in told["cases"]] == [[]] * len(planted_cases("x"))
    assert "credited" in capsys.readouterr().out
    assert not live.client.indices.exists(index="iterqr-attribution-check-*", params={"allow_no_indices": "false"})


def test_on_the_older_version_it_is_credited_rightly_too(tmp_path: Path) -> None:
    with live_system(KNN_VERSION, tmp_path) as older:
        assert command(older, KEY, tmp_path)["holds"]


def test_through_a_pipeline_of_the_live_system(live: Live) -> None:
    body = {
        "request_processors": [{"query_rewrite": {"budget_ms": 300, "window_size": 50, "max_rewrites": 1}}],
        "response_processors": [{"rewrite_channel": {"rewrite_weight": 0.1, "rank_constant": 60, "fusion": "append"}}],
    }
    live.client.transport.perform_request("PUT", "/_search/pipeline/live", body=body)
    results = live.check(live.measure(Rules()), "piped", pipeline="live")
    assert all(each.holds for each in results)


def test_a_pipeline_of_other_processors_proves_nothing(live: Live) -> None:
    live.client.transport.perform_request("PUT", "/_search/pipeline/other", body={"request_processors": []})
    with pytest.raises(SourceError, match="no page token"):
        live.check(live.measure(Rules()), "other", pipeline="other")
    assert live.left("other") == 0


def test_with_another_key_nothing_may_be_learned(
    live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command(live, "not the key of the node", tmp_path)
    assert ended.value.code == 1
    assert "nothing may be learned" in capsys.readouterr().err
    wrong = json.loads((tmp_path / "check.json").read_text())
    (exclusive,) = (each for each in wrong["cases"] if each["case"] == "exclusive")
    assert "status is other_client, not credited" in exclusive["problems"][0]


@pytest.mark.parametrize(
    ("rules", "noticed_by"),
    [
        (Rules(shares_equally=True), {"shared"}),
        (Rules(takes_first_touch=True), {"last touch"}),
        (Rules(ignores_original=True), {"level 2"}),
    ],
)
def test_wrong_credit_is_noticed_by_its_case(live: Live, rules: Rules, noticed_by: set[str]) -> None:
    results = live.check(live.measure(rules), "wrong")
    assert {each.name for each in results if not each.holds} == noticed_by


def test_interrupted_it_leaves_nothing(live: Live) -> None:
    def interrupted(_planted: PlantedSignals) -> pa.Table:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live.check(interrupted, "cut")
    assert live.left("cut") == 0


def test_clients_in_control_are_not_searched_with(live: Live) -> None:
    experiment = {"plugins.iterqr.experiment.name": "exp", "plugins.iterqr.experiment.treatment_percent": 25}
    with cluster_settings(live.client, experiment):
        results = live.check(live.measure(Rules()), "arms")
    assert all(each.holds for each in results)


def test_without_impressions_nothing_is_proved(live: Live) -> None:
    with (
        cluster_settings(live.client, {"plugins.iterqr.impressions.enabled": False}),
        pytest.raises(CheckFailedError, match=r"plugins\.iterqr\.impressions\.enabled"),
    ):
        live.check(live.measure(Rules()), "blind", patience_s=1.0)
    assert live.left("blind") == 0


def test_without_a_rewrite_server_nothing_is_proved(live: Live) -> None:
    address = current_endpoint(live.client)
    set_endpoint(live.client, "127.0.0.1:1")
    try:
        with pytest.raises(CheckFailedError, match="outcome unavailable"):
            live.check(live.measure(Rules()), "alone")
    finally:
        set_endpoint(live.client, address)
    assert live.left("alone") == 0


def test_without_an_event_index_there_is_nothing_to_learn_from(live: Live) -> None:
    system = LiveSystem(live.client, CheckSettings(events="no_such_events"), "nowhere")
    with pytest.raises(SourceError, match="no_such_events"):
        check_attribution(system, planted_cases("nowhere"), live.measure(Rules()), patience_s=20.0)
