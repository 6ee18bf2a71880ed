"""Where the simulator meets a node, its files and its command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from iterqr_benchmarks import main as cli
from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.index import search_body
from iterqr_benchmarks.marketplace.journal import Journal
from iterqr_benchmarks.marketplace.live import application_of, cluster_settings, pipeline_of
from iterqr_benchmarks.marketplace.node import page_of, request_body, with_event_time
from iterqr_benchmarks.marketplace.run import (
    SimOptions,
    check_node_is_there,
    delete_run,
    keep_to_stack,
    summary_json,
    summary_table,
)
from iterqr_benchmarks.marketplace.run_state import run_name
from iterqr_benchmarks.marketplace.settings import AdversitySettings, TrafficSettings, WorldSettings
from iterqr_benchmarks.marketplace.traffic import Progress, run_traffic
from iterqr_benchmarks.marketplace.traffic_progress import progress_bar
from iterqr_benchmarks.marketplace.transport import Page, SearchRequest
from iterqr_benchmarks.stack.settings import ChannelSettings, StackSettings
from rich.console import Console
from support.scripted_market import SMALL_WORLD, ScriptedNode, small_market

NOON = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
REQUEST = SearchRequest("q-1", "c-1", 'soup" OR *', "north", NOON, size=10)
PAGE = Page(("a", "b"), "fused", "generated", "treatment", 3)


def test_a_search_says_who_it_is_for_and_its_text_is_data() -> None:
    body = request_body(REQUEST, "marketplace")
    assert body["query"] == search_body('soup" OR *', "north", 10)["query"]
    assert body["ext"] == {
        "iterqr": {"region": "north"},
        "ubi": {
            "query_id": "q-1",
            "user_query": 'soup" OR *',
            "application": "marketplace",
            "object_id_field": "dish_id",
            "client_id": "c-1",
        },
    }


def test_a_client_that_hides_tells_no_id() -> None:
    hidden = SearchRequest("q-1", "", "soup", "north", NOON, size=10)
    assert "client_id" not in request_body(hidden, "marketplace")["ext"]["ubi"]


def test_event_time_is_added_to_the_section_and_to_nothing_else() -> None:
    body = request_body(REQUEST, "marketplace")
    timed = with_event_time(body, NOON)
    assert timed["ext"]["iterqr"] == {"region": "north", "event_time": "2026-01-05T12:00:00.250Z"}
    assert timed["ext"]["ubi"] == body["ext"]["ubi"]
    assert "event_time" not in body["ext"]["iterqr"]


def test_a_page_is_read_from_the_response() -> None:
    section = {
        "outcome": "fused",
        "source": "node_cache",
        "experiment": {"name": "marketplace", "bucket": "treatment"},
        "rewrites": [{}, {}],
    }
    told = {"hits": {"hits": [{"_id": "d-2"}, {"_id": "d-1"}]}, "ext": {"iterqr": section}}
    assert page_of(told) == Page(("d-2", "d-1"), "fused", "node_cache", "treatment", 2)
    bare = {"hits": {"hits": []}, "ext": {"iterqr": {"outcome": "control"}}}
    assert page_of(bare) == Page((), "control", "", "", 0)
    with pytest.raises(MarketplaceError, match="pipeline did not run"):
        page_of({"hits": {"hits": []}})


def test_only_a_split_run_has_an_experiment() -> None:
    split = cluster_settings(TrafficSettings(treatment_percent=30))
    assert split["plugins.iterqr.experiment.name"] == "marketplace"
    assert split["plugins.iterqr.experiment.treatment_percent"] == 30
    for arm in ("control", "treatment"):
        settings = cluster_settings(TrafficSettings(arm=arm))
        assert settings["plugins.iterqr.experiment.name"] is None
        assert settings["plugins.iterqr.impressions.enabled"] is True
    assert len({pipeline_of("control"), pipeline_of("treatment"), pipeline_of("exploration")}) == 3
    assert pipeline_of("split") == pipeline_of("treatment")
    assert len({application_of("control"), application_of("treatment"), application_of("split")}) == 3


def test_journal_gives_back_pages_and_what_is_in_doubt(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.earlier() == ({}, ())
    with journal.open():
        journal.sent("q-1")
        journal.sent("q-2")
        journal.answered("q-1", PAGE)
    assert Journal(tmp_path).earlier() == ({"q-1": PAGE}, ("q-2",))
    journal.forget()
    assert journal.earlier() == ({}, ())


@pytest.mark.parametrize("kept_chars", [1, 5, 30])
def test_a_line_that_was_cut_is_as_if_never_written(tmp_path: Path, kept_chars: int) -> None:
    journal = Journal(tmp_path)
    with journal.open():
        journal.sent("q-1")
        journal.answered("q-1", PAGE)
    file = tmp_path / "journal.jsonl"
    first, second, _ = file.read_text().split("\n")
    file.write_text(f"{first}\n{second[:kept_chars]}")
    assert journal.earlier() == ({}, ("q-1",))
    with journal.open():
        journal.answered("q-1", PAGE)
    assert journal.earlier() == ({"q-1": PAGE}, ())


def test_a_runs_name_is_of_its_settings_but_not_of_its_threads() -> None:
    name = run_name(SMALL_WORLD, TrafficSettings())
    assert name == run_name(SMALL_WORLD, TrafficSettings(threads=9))
    others = {
        run_name(WorldSettings(), TrafficSettings()),
        run_name(SMALL_WORLD, TrafficSettings(arm="control")),
        run_name(SMALL_WORLD, TrafficSettings(seed=1)),
        run_name(SMALL_WORLD, TrafficSettings(adversity=AdversitySettings(late=0.1))),
    }
    assert len(others | {name}) == 5


def test_summary_is_told_in_words_and_as_json(tmp_path: Path) -> None:
    traffic = TrafficSettings(users=5, searches=20, days=1)
    summary = run_traffic(ScriptedNode(small_market()), small_market(), traffic, tmp_path)
    options = SimOptions(tmp_path, SMALL_WORLD, traffic, StackSettings())
    told = json.loads(summary_json(options, summary))
    assert told["needs"] == 20
    assert told["rewritten_share"] == 1.0
    assert told["settings"]["world"]["dishes"] == 900
    console = Console(width=200, file=StringIO())
    with console.capture() as shown:
        console.print(summary_table(summary))
    assert f"{summary.searches:,}: 20 needs" in shown.get()


def test_without_a_terminal_progress_is_a_line_now_and_then(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as file:
        console = Console(file=file, width=100)
        with progress_bar(console, 100) as on_progress:
            for number in range(1, 101):
                on_progress(Progress(number, number, NOON))
    lines = (tmp_path / "out").read_text().splitlines()
    assert len(lines) == 20
    assert "100 of 100 needs" in lines[-1]


def test_a_ledger_without_its_node_is_refused(tmp_path: Path) -> None:
    check_node_is_there(tmp_path)
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "state.json").touch()
    with pytest.raises(MarketplaceError, match="has the ledger of split but not its node any more"):
        check_node_is_there(tmp_path)
    node = tmp_path / "run" / "node"
    node.mkdir(parents=True)
    (node / "version").touch()
    (node / "world").touch()
    check_node_is_there(tmp_path)
    delete_run(tmp_path)
    assert not (tmp_path / "split").exists()
    assert not node.exists()


def test_a_run_goes_on_with_what_served_it_so_far(tmp_path: Path) -> None:
    stack = StackSettings(model="one")
    keep_to_stack(tmp_path, stack)
    keep_to_stack(tmp_path, replace(stack, http_port=9200))
    with pytest.raises(MarketplaceError, match="was begun with another model, template or fusion"):
        keep_to_stack(tmp_path, replace(stack, model="two"))
    delete_run(tmp_path)
    keep_to_stack(tmp_path, replace(stack, model="two"))


def sims(monkeypatch: pytest.MonkeyPatch, flags: Sequence[str]) -> SimOptions:
    seen: list[SimOptions] = []
    monkeypatch.setattr(cli, "run_sim", lambda options, _console: seen.append(options))
    cli.main(["sim", *flags])
    return seen[0]


def test_flags_reach_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sims(monkeypatch, ["--folder", "x"]) == SimOptions(
        Path("x/sim"), WorldSettings(), TrafficSettings(), StackSettings(channel=ChannelSettings(budget_ms=10_000))
    )
    flags = ["--users", "7", "--searches", "9", "--arm", "control", "--bots", "0.1", "--merchants", "50", "--seed", "4"]
    options = sims(monkeypatch, [*flags, "--dishes", "600", "--fresh"])
    assert options.traffic == TrafficSettings(
        users=7, searches=9, arm="control", seed=4, adversity=AdversitySettings(bots=0.1)
    )
    assert options.world == WorldSettings(merchants=50, dishes=600, seed=4)
    assert options.fresh
    assert not options.paired
    assert sims(monkeypatch, ["--paired"]).paired
    six = sims(monkeypatch, ["--max-rewrites", "6", "--min-rewrites", "5"]).stack
    assert (six.channel.max_rewrites, six.min_rewrites) == (6, 5)
    assert sims(monkeypatch, ["--seed", "4", "--traffic-seed", "5"]).traffic.seed == 5


def test_numbers_out_of_their_limits_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["sim", "--dishes", "10"])
    assert ended.value.code == 1
    assert "dishes is 10; it must be from 10,000 to 80,000" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        cli.main(["sim", "--max-rewrites", "2", "--min-rewrites", "3"])
    assert ended.value.code == 1
    assert "--min-rewrites is 3, above --max-rewrites, 2" in capsys.readouterr().err
