"""From the first search to the report: everything is collected, and each order credited as it truly was."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from io import StringIO
from pathlib import Path

import pytest
from iterqr_benchmarks.marketplace import chain as chain_module
from iterqr_benchmarks.marketplace.chain import ChainOptions, ChainResult, run_chain
from iterqr_benchmarks.marketplace.settings import AdversitySettings, TrafficSettings
from iterqr_benchmarks.marketplace.sim_report import sim_html, sim_json, sim_report, sim_table
from iterqr_benchmarks.marketplace.truth import CreditScore
from rich.console import Console
from support.scripted_market import SMALL_WORLD

pytestmark = pytest.mark.node


def chain(node: str, folder: Path, traffic: TrafficSettings, *, paired: bool = False) -> ChainResult:
    def market() -> AbstractContextManager[str]:
        return nullcontext(node)

    return run_chain(ChainOptions(folder, SMALL_WORLD, traffic, paired), market, Console(file=StringIO()))


def score(result: ChainResult, kind: str, touched: str = "") -> CreditScore:
    return next(each for each in result.truth.scores if (each.kind, each.touched) == (kind, touched))


def assert_nothing_is_lost(result: ChainResult) -> None:
    assert result.collected.rejected == 0
    assert [each for each in result.collected.audits if not each.holds] == []
    assert all(each.ledger for each in result.collected.audits)


def not_started() -> AbstractContextManager[str]:
    raise AssertionError("nothing needs the node any more")


def stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.timeout(600)
def test_every_order_is_credited_as_it_was(market_node: str, tmp_path: Path) -> None:
    traffic = TrafficSettings(users=25, searches=100, days=2, seed=11)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chain_module, "hold_against_truth", stopped)
        with pytest.raises(KeyboardInterrupt):
            chain(market_node, tmp_path, traffic)
    with pytest.MonkeyPatch.context() as patched:  # goes on where it was stopped
        for done in ("run_against", "collect", "attribute_arm", "write_back_hints"):
            patched.setattr(chain_module, done, stopped)
        result = chain(market_node, tmp_path, traffic)
    assert_nothing_is_lost(result)
    assert result.truth.wrong == ()
    assert result.truth.exact
    for kind in ("click", "order"):
        assert (score(result, kind).precision, score(result, kind).recall) == (1.0, 1.0)
        assert score(result, kind).events > 5
    # Not by never crediting a rewrite: some are credited, and some events are shared.
    assert result.truth.levels["click level 1"] > 0
    assert result.truth.levels["click level 2"] > 0
    assert score(result, "click").expected > score(result, "click").events
    assert result.hints.documents > 0
    assert {funnel.arm for funnel in result.judged.funnels} == {"control", "treatment"}
    assert result.judged.problem == ""
    assert (tmp_path / "experiment.html").exists()
    again = run_chain(ChainOptions(tmp_path, SMALL_WORLD, traffic), not_started, Console(file=StringIO()))
    assert again == result
    report = sim_report({"world": {}, "traffic": {}, "stack": {}}, result)
    told = json.loads(sim_json(report))
    assert told["result"]["truth"]["scores"][0]["precision"] == 1.0
    Console(file=StringIO(), width=150).print(sim_table(report))


@pytest.mark.timeout(600)
def test_what_comes_twice_late_or_in_another_order_is_credited_all_the_same(market_node: str, tmp_path: Path) -> None:
    adversity = AdversitySettings(duplicates=0.3, late=0.3, out_of_order=0.3)
    result = chain(market_node, tmp_path, TrafficSettings(users=25, searches=100, days=2, seed=12, adversity=adversity))
    assert_nothing_is_lost(result)
    assert result.truth.wrong == ()
    assert result.truth.exact
    repeated = [each.rows for each in result.marts["split"].left_out if each.reason == "repeated"]
    assert sum(repeated) == result.traffic["split"].touched["duplicates"] > 0
    for touched in ("duplicates", "late", "out_of_order", "untouched"):
        assert score(result, "click", touched).right > 0


@pytest.mark.timeout(600)
def test_a_paired_replay_compares_the_same_users(market_node: str, tmp_path: Path) -> None:
    result = chain(market_node, tmp_path, TrafficSettings(users=25, searches=60, days=1, seed=13), paired=True)
    assert_nothing_is_lost(result)
    assert result.truth.exact
    assert list(result.traffic) == list(result.marts) == ["split", "control", "treatment"]
    told = json.loads((tmp_path / "experiment.json").read_text())
    assert told["paired"]["users"] > 0
    assert told["paired"]["only_control"] == 0
    settings = {
        "world": {"dishes": 900, "merchants": 60, "regions": 3},
        "traffic": {"users": 25, "searches": 60, "days": 1, "threads": 4},
        "stack": {"model": "scripted", "channel": {"budget_ms": 3_000}},
    }
    page = sim_html(sim_report(settings, result))
    assert "Attribution against the truth" in page
    assert "searches with an impression" in page
