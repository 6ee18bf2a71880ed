"""`iterqr-bench ablation`: whose labels and which world it takes, and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from iterqr_benchmarks import main as cli
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.marketplace import ablation_command, loop_traffic
from iterqr_benchmarks.marketplace.loop_command import loop_traffic as traffic_of
from iterqr_benchmarks.marketplace.settings import TrafficSettings
from iterqr_training.ablation.settings import AblationSettings
from iterqr_training.ablation.variants import Variant
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SourceError
from iterqr_training.evaluate.truth import read_truth
from iterqr_training.loop.traffic_source import Site
from iterqr_training.main import main as train
from rich.console import Console
from support.labelling import make_chain, make_folder, make_label

WORLD = ["--merchants", "40", "--dishes", "800", "--regions", "2"]
QUERIES = [part for name in ("heldout", "validation") for band in Band for part in (f"--{name}-{band}", "3")]
Started = list[tuple[AblationSettings, str, Band | None]]


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Has a loop with one dataset, and the truth sets that it kept out of it."""
    own = tmp_path / "loop" / "iterations" / "1"
    make_folder(own / "labels", [make_label()], [make_chain()], iteration=1)
    train(["dataset", "--labels", str(own / "labels"), "--out", str(own / "dataset"), "--max-rewrites", "6"])
    arguments = cli._parser().parse_args(["ablation", *WORLD, *QUERIES])
    stack = cli._stack(arguments)
    traffic = traffic_of(arguments, TrafficSettings(), stack, 1)
    loop_traffic.SimulatedTraffic(tmp_path / "loop" / "traffic", traffic, Console(quiet=True)).draw_truth()
    return tmp_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """Takes the place of the runs, with the site open while they would be."""
    seen: Started = []

    @contextmanager
    def node(*_: object) -> Iterator[str]:
        yield "http://127.0.0.1:1"

    def run_ablation(
        settings: AblationSettings, site: Callable[[], object], _identity: str, band: Band | None, _console: object
    ) -> int:
        with site() as opened:  # type: ignore[attr-defined]
            assert isinstance(opened, Site)
            assert len(read_truth(opened.heldout)) == 9
            assert opened.server_flags["hints.url"] == opened.url == "http://127.0.0.1:1"
            seen.append((settings, opened.server, band))
        return 0

    monkeypatch.setattr(loop_traffic, "running_node", node)
    monkeypatch.setattr(ablation_command, "run_ablation", run_ablation)
    return seen


def run(build: Path, *flags: str) -> int:
    try:
        cli.main(["ablation", "--folder", str(build), *WORLD, *QUERIES, *flags])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_it_learns_from_the_loop_in_the_same_folder_and_only_reads_it(build: Path, started: Started) -> None:
    before = sorted((build / "loop").rglob("*"))
    assert run(build, "--with", "train: --lora-rank 4", "--variants", "without-hints", "--band", "all") == 0
    ((settings, server, band),) = started
    assert (settings.source.number, server, band) == (1, "", None)
    assert settings.planned == (Variant.FULL, Variant.WITHOUT_HINTS)
    assert settings.folder == build / "ablation"
    learned = settings.flags["dataset"]
    assert learned[learned.index("--max-rewrites") + 1] == "6"  # by the loop's own rules
    assert settings.flags["train"][-2:] == ("--lora-rank", "4")
    assert "food_delivery_six_tuned" in settings.flags["train"]
    assert sorted((build / "loop").rglob("*")) == before
    assert run(build) == 0  # what was drawn is there already
    assert started[1][2] is Band.TAIL


def test_a_loop_elsewhere_can_be_named(build: Path, started: Started, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(build / "loop", build / "other")
    assert run(build) == 1
    assert f"{build}/loop has no iteration with a dataset" in capsys.readouterr().err
    assert run(build, "--loop", str(build / "other"), "--iteration", "1") == 0
    assert len(started) == 1


def test_another_world_than_the_loops_is_refused(
    build: Path, started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(build, "--heldout-tail", "4") == 1
    assert "is not what these flags draw: give the flags of the loop's world" in capsys.readouterr().err
    shutil.rmtree(build / "ablation")
    shutil.rmtree(build / "loop" / "traffic")
    assert run(build) == 1
    assert "--loop must be a folder of `iterqr-bench loop`" in capsys.readouterr().err
    assert started == []


def test_a_node_that_does_not_start_is_told(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise BenchmarkError("the node does not start")

    monkeypatch.setattr(loop_traffic, "running_node", broken)
    arguments = cli._parser().parse_args(["ablation", *WORLD, *QUERIES])
    traffic = traffic_of(arguments, TrafficSettings(), cli._stack(arguments), 1)
    source = loop_traffic.SimulatedTraffic(build / "loop" / "traffic", traffic, Console(quiet=True))
    with pytest.raises(SourceError, match="does not start"), source.without_server():
        pass
