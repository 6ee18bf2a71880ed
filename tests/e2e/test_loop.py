"""One real iteration of the loop: users of the simulator, the real model, a few steps of training, a real swap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from iterqr_training.loop.stage import LEARNING, MEASURING

pytest.importorskip("torch")
pytestmark = [pytest.mark.node, pytest.mark.model, pytest.mark.timeout(2000)]

BENCH = Path(sys.executable).with_name("iterqr-bench")
SMALL = (
    *("--iterations", "1", "--users", "16", "--searches", "30", "--days", "1", "--measuring-times", "1"),
    *("--merchants", "40", "--dishes", "800", "--regions", "2", "--canary-searches", "6", "--no-general"),
    *("--heldout-tail", "3", "--heldout-torso", "1", "--heldout-head", "1"),
    *("--validation-tail", "2", "--validation-torso", "1", "--validation-head", "1"),
    *("--with", "dataset: --max-rows-a-task 6 --max-generation-rows 6 --validation-share 0.2"),
    *("--with", "train: --epochs 1 --validate-every 0"),
)
# What so little training and so few queries say is chance; that bad checkpoints are refused is tested elsewhere.
LENIENT_LIMITS = ("--max-empty-rise", "1", "--max-drift-rise", "2", "--max-variety-loss", "1")
LENIENT_GATES = """[gates]
precision_margin = 1
min_gain = -1
result_margin = 1
max_harm_rate = 1
max_head_harm_rate = 1
max_drift = 2
max_drift_rise = 2
max_empty_rate = 1
min_unique_share = 0
max_top_share = 1
min_distinct_2 = 0
max_self_bleu = 1
min_coverage = 0
min_well_formed = 0
max_failure_rate = 1
max_latency_ratio = 100
required = []
"""


def loop(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    gates = folder / "gates.toml"
    gates.write_text(LENIENT_GATES, "utf-8")
    line = [
        str(BENCH),
        "loop",
        "--folder",
        str(folder),
        *SMALL,
        *LENIENT_LIMITS,
        "--with",
        f"gate: --settings {gates}",
        *flags,
    ]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=1800)


def read(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return loaded


def test_an_iteration_learns_from_users_and_its_checkpoint_serves(tmp_path: Path) -> None:
    done = loop(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "loop"
    stages = read(folder / "loop.json")["iterations"]
    assert list(stages["1"]) == list(LEARNING)
    assert list(stages["2"]) == list(MEASURING)

    learned, measured = read(folder / "report.json")["iterations"]
    assert (learned["verdict"], measured["verdict"]) == ("promoted", "measured")
    assert learned["served_name"] == "untuned"
    assert measured["served"] == learned["made"] != learned["served"]
    assert {row["name"] for row in learned["systems"]} >= {"none", "keyword", "semantic", "untuned", "candidate"}
    assert {lift["metric"] for lift in measured["lifts"]} >= {"orders_per_visitor", "orders_per_query"}
    run = read(folder / "iterations/1/training/run.json")
    assert run["status"] == "finished"
    assert run["result"]["steps"] == run["result"]["planned_steps"] > 0
    page = (folder / "report.html").read_text("utf-8")
    assert learned["made"] in page

    again = loop(tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert read(folder / "loop.json")["iterations"] == stages
