"""Two processes learn what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from iterqr_training.train.progress import Quiet
from iterqr_training.train.run import train
from support.tiny_training import tiny_settings


def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, epochs=1, lora_dropout=0.0)
    train(settings, Quiet())
    apart = replace(settings, out=tmp_path / "apart")
    flags = [
        *("--dataset", str(apart.dataset), "--out", str(apart.out), "--base", apart.base, "--template", apart.template),
        *("--lora-rank", "4", "--lora-dropout", "0", "--epochs", "1", "--batch-examples", "8", "--mlflow", "off"),
        *("--learning-rate", "5e-3", "--validate-every", "3", "--save-every", "2", "--threads", "1"),
        *("--precision", "fp32"),
    ]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    ended = subprocess.run(
        [*launch, "-m", "iterqr_training.main", "train", *flags],
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    record = json.loads((apart.out / "run.json").read_text("utf-8"))
    assert record["machine"]["processes"] == 2
    alone, together = (_losses(folder) for folder in (settings.out, apart.out))
    assert together == [pytest.approx(losses, rel=1e-4) for losses in alone]


def _losses(folder: Path) -> list[dict[str, float]]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in each.items() if "loss" in name} for each in entries]
