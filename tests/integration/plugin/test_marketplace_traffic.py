"""Simulated users on a real node with the plugin: logs and ledger tell the same story, also after a kill."""

from __future__ import annotations

import hashlib
import hmac
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from iterqr_benchmarks.marketplace.ledger import Ledger, Table
from iterqr_benchmarks.marketplace.live import run_against
from iterqr_benchmarks.marketplace.node import EVENTS_INDEX, IMPRESSIONS
from iterqr_benchmarks.marketplace.running import CLIENT_ID_KEY
from iterqr_benchmarks.marketplace.settings import AdversitySettings, TrafficSettings
from opensearchpy import OpenSearch
from opensearchpy.helpers import scan
from support.plugin_search import STATS, eventually
from support.scripted_market import SMALL_WORLD

pytestmark = pytest.mark.node

ROUGH = AdversitySettings(missing_client_ids=0.1, missing_query_ids=0.1, duplicates=0.2, late=0.2, out_of_order=0.2)
Row = dict[str, Any]


def logged(url: str, index: str) -> list[Row]:
    """All documents of an index or stream, each with its id, once nothing is queued any more."""
    with OpenSearch(url, timeout=60) as client:
        eventually(lambda: client.transport.perform_request("GET", STATS)["impressions"]["queued"] == 0, timeout_s=45)
        client.indices.refresh(index=index)
        return [{"_id": hit["_id"], **hit["_source"]} for hit in scan(client, index=index)]


def rows(folder: Path, table: Table) -> list[Row]:
    found: list[Row] = Ledger(folder).read(table).to_pylist()
    return found


def assert_logs_are_the_ledger(url: str, folder: Path) -> None:
    """Each search of the ledger has one impression that shows the same, each event one document, and no more."""
    searches = {row["query_id"]: row for row in rows(folder, "searches")}
    shown: dict[str, list[str]] = {query_id: [] for query_id in searches}
    for row in rows(folder, "shown"):
        shown[row["query_id"]].append(row["object_id"])
    impressions = [each for each in logged(url, IMPRESSIONS) if each["query_id"] in searches]
    assert Counter(each["query_id"] for each in impressions) == dict.fromkeys(searches, 1)
    for each in impressions:
        search = searches[each["query_id"]]
        assert [hit["object_id"] for hit in each.get("hits", ())] == shown[each["query_id"]]
        assert (each["outcome"], each["user_query"]) == (search["outcome"], search["text"])
        assert each["region"] == search["region"]
        assert datetime.fromisoformat(each["@timestamp"]) == search["time"]
        assert len(each.get("rewrites", ())) == search["rewrites"]
        assert each.get("client_id", "") == (hashed(search["client_id"]) if search["tells_client"] else "")
        assert each.get("experiment", {}).get("bucket", "") == search["bucket"]
    sent = {row["document_id"]: row for row in rows(folder, "events")}
    sessions = {row["session_id"] for row in searches.values()}
    events = {each["_id"]: each for each in logged(url, EVENTS_INDEX) if each["session_id"] in sessions}
    assert events.keys() == sent.keys()
    for document_id, event in events.items():
        row = sent[document_id]
        assert event["event_attributes"]["object"]["object_id"] == row["object_id"]
        assert event["event_attributes"]["position"]["ordinal"] == row["position"]
        assert (event.get("query_id", ""), event["action_name"]) == (row["query_id"], row["action"])
        assert event.get("client_id", "") == row["client_id"]


def hashed(client_id: str) -> str:
    return hmac.new(CLIENT_ID_KEY.encode(), client_id.encode(), hashlib.sha256).hexdigest()


def test_impressions_events_and_ledger_agree(market_node: str, tmp_path: Path) -> None:
    traffic = TrafficSettings(users=12, searches=60, days=1, seed=1, adversity=ROUGH)
    summary = run_against(market_node, SMALL_WORLD, traffic, tmp_path)
    assert summary.needs == 60
    assert summary.outcomes["control"] > 0
    assert summary.outcomes["fused"] + summary.outcomes.get("original_suffices", 0) > 0
    assert set(summary.buckets) == {"control", "treatment"}
    assert summary.clicks > 0
    assert summary.sources
    assert_logs_are_the_ledger(market_node, tmp_path)
    assert {each.get("application") for each in logged(market_node, IMPRESSIONS)} == {"marketplace"}


def test_arms_go_through_pipelines_of_their_own(market_node: str, tmp_path: Path) -> None:
    told = {}
    for arm in ("control", "treatment"):
        traffic = TrafficSettings(users=10, searches=25, days=1, seed=2, arm=arm)
        told[arm] = run_against(market_node, SMALL_WORLD, traffic, tmp_path / arm)
        assert_logs_are_the_ledger(market_node, tmp_path / arm)
        applications = {row["application"] for row in logged(market_node, EVENTS_INDEX)}
        assert f"marketplace-{arm}" in applications
    assert told["control"].outcomes == {"disabled": told["control"].searches}
    assert "disabled" not in told["treatment"].outcomes
    firsts = [
        {(row["session"], row["step"], row["need_id"], row["text"]) for row in rows(tmp_path / arm, "searches")
         if row["attempt"] == 0}
        for arm in ("control", "treatment")
    ]  # fmt: skip
    assert firsts[0] == firsts[1]


_RUN = """
import sys
from pathlib import Path
from iterqr_benchmarks.marketplace.live import run_against
from iterqr_benchmarks.marketplace.settings import AdversitySettings, TrafficSettings, WorldSettings
run_against(sys.argv[1], {world!r}, {traffic!r}, Path(sys.argv[2]))
"""


@pytest.mark.timeout(240)
def test_a_killed_run_goes_on_and_nothing_is_there_twice(market_node: str, tmp_path: Path) -> None:
    traffic = TrafficSettings(users=12, searches=90, days=1, seed=3, adversity=ROUGH)
    code = "import datetime\n" + _RUN.format(world=SMALL_WORLD, traffic=traffic)
    for enough in (10, 40):
        process = subprocess.Popen([sys.executable, "-c", code, market_node, str(tmp_path)])
        try:
            wait_until_searched(tmp_path, enough, process)
            os.kill(process.pid, signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
    searched_before = searched(tmp_path)
    assert 40 <= searched_before < 90
    summary = run_against(market_node, SMALL_WORLD, traffic, tmp_path)
    assert summary.needs == 90
    assert_logs_are_the_ledger(market_node, tmp_path)


def searched(folder: Path) -> int:
    """Searches so far: of the finished segments, and of the journal of the one under way."""
    journal = folder / "journal.jsonl"
    under_way = journal.read_text().count('"page"') if journal.exists() else 0
    done: int = Ledger(folder).read("searches").num_rows
    return done + under_way


def wait_until_searched(folder: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if searched(folder) >= count:
                return
        except OSError:
            pass  # a file was replaced while it was read
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
