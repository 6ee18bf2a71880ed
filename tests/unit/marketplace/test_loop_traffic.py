"""The marketplace as a loop's traffic: who searches when, and what makes it another loop."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from iterqr_benchmarks.errors import BenchmarkError, MarketplaceError
from iterqr_benchmarks.marketplace import loop_traffic
from iterqr_benchmarks.marketplace.loop_traffic import LoopTraffic, SimulatedTraffic
from iterqr_benchmarks.marketplace.running import RunningMarket
from iterqr_benchmarks.marketplace.settings import TrafficSettings, WorldSettings
from iterqr_benchmarks.stack.settings import StackSettings
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SourceError
from iterqr_training.evaluate.truth import read_truth
from rich.console import Console

FEW = {Band.TAIL: 6, Band.TORSO: 3, Band.HEAD: 3}
OPTIONS = LoopTraffic(
    WorldSettings(merchants=40, dishes=800, regions=2),
    TrafficSettings(users=20, searches=30, days=2),
    StackSettings(),
    heldout=FEW,
    validation=FEW,
)


def source(folder: Path, options: LoopTraffic = OPTIONS) -> SimulatedTraffic:
    return SimulatedTraffic(folder, options, Console(quiet=True))


def test_arms_of_an_iteration_have_the_same_users_and_iterations_have_others_later() -> None:
    control, treatment = (OPTIONS.of_iteration(2, arm) for arm in ("control", "treatment"))
    assert replace(control, arm="treatment") == treatment
    first = OPTIONS.of_iteration(1, "control")
    assert first.seed != control.seed
    assert control.start - first.start >= timedelta(days=first.days + 1)  # nothing can be credited across them


def test_the_measuring_round_has_more_of_the_same_needs_a_user() -> None:
    wider = replace(OPTIONS, times={3: 4})
    own, usual = wider.of_iteration(3, "split"), OPTIONS.of_iteration(3, "split")
    assert own == replace(usual, users=4 * usual.users, searches=4 * usual.searches)
    assert wider.of_iteration(2, "split") == OPTIONS.of_iteration(2, "split")
    assert list(wider.arms(2)) == ["exploration", *wider.arms(3)]
    assert "exploration" not in wider.arms(3)
    assert source(Path(), wider).identity == source(Path()).identity  # or a loop could not go on after its last
    with pytest.raises(MarketplaceError, match=r"iteration 3 has 0 times .* from 1 to 100"):
        replace(OPTIONS, times={3: 0})


def test_a_canary_is_tried_by_others_than_those_whom_the_loop_learns_from() -> None:
    seeds = [OPTIONS.of_iteration(number, "treatment").seed for number in range(1, 1_001)]
    assert OPTIONS.of_canary(1).seed not in seeds
    assert OPTIONS.of_canary(1).searches == OPTIONS.canary_searches


def test_another_world_or_pipeline_is_another_loop_and_threads_are_not(tmp_path: Path) -> None:
    own = source(tmp_path).identity
    assert source(tmp_path / "elsewhere").identity == own
    assert source(tmp_path, replace(OPTIONS, traffic=replace(OPTIONS.traffic, threads=1))).identity == own
    assert source(tmp_path, replace(OPTIONS, stack=replace(OPTIONS.stack, http_port=9200))).identity == own
    for changes in (
        {"world": replace(OPTIONS.world, seed=5)},
        {"traffic": replace(OPTIONS.traffic, searches=31)},
        {"heldout": {**FEW, Band.TAIL: 7}},
        {"canary_searches": 7},
    ):
        assert source(tmp_path, replace(OPTIONS, **changes)).identity != own


def test_each_play_has_a_cache_of_its_own_within_what_a_node_allows() -> None:
    names = [loop_traffic._cache_ttl(number) for number in range(2, 2_004)]
    assert len(set(names)) == len(names)
    assert all(0 < int(name.removesuffix("s")) <= 3_600 for name in names)


def test_a_site_has_truth_sets_apart_and_follows_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[str] = []

    class Market:
        def __init__(self, _folder: object, _world: object, stack: StackSettings, _steps: object) -> None:
            followed.append(stack.registry)

        def __enter__(self) -> RunningMarket:
            return RunningMarket("http://127.0.0.1:1", "127.0.0.1:2")

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(loop_traffic, "running_market", Market)
    for _ in range(2):
        with source(tmp_path).running(tmp_path / "registry") as site:
            heldout, validation = read_truth(site.heldout), read_truth(site.validation)
    assert followed == [str(tmp_path / "registry")] * 2
    assert {each.key for each in heldout}.isdisjoint(each.key for each in validation)
    assert len(heldout) == len(validation) == sum(FEW.values())
    assert site.search.is_file()
    assert site.vocabulary is not None
    assert site.vocabulary.is_file()
    assert site.server_flags["hints.url"] == site.url


def test_what_goes_wrong_in_the_marketplace_is_an_error_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise BenchmarkError("the node does not start")

    monkeypatch.setattr(loop_traffic, "running_market", broken)
    with pytest.raises(SourceError, match="does not start"), source(tmp_path).running(tmp_path / "registry"):
        pass
