"""Where a loop keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iterqr_training.loop.stage import Stage


@dataclass(frozen=True, slots=True)
class IterationFolder:
    """Of one iteration: marts of each arm, and what each stage wrote."""

    path: Path

    def marts(self, arm: str) -> Path:
        """Of one arm's application. The arms of a replay lie side by side, as `iterqr-train experiment` reads them."""
        return self.path / "marts" / arm

    @property
    def replay(self) -> Path:
        """Has the folders control and treatment."""
        return self.path / "marts"

    @property
    def experiment(self) -> Path:
        """Report of the experiment."""
        return self.path / "experiment"

    @property
    def judgments(self) -> Path:
        """What is known of the rewrites."""
        return self.path / "judgments"

    @property
    def labels(self) -> Path:
        """What `label` wrote."""
        return self.path / "labels"

    @property
    def dataset(self) -> Path:
        """What `dataset` wrote."""
        return self.path / "dataset"

    @property
    def training(self) -> Path:
        """The training run."""
        return self.path / "training"

    @property
    def candidates(self) -> Path:
        """Has the candidate's folder alone."""
        return self.path / "candidate"

    @property
    def evaluation(self) -> Path:
        """What `evaluate` wrote."""
        return self.path / "evaluation"

    @property
    def evaluation_json(self) -> Path:
        """For gates, detectors and the report."""
        return self.evaluation / "evaluation.json"

    @property
    def gate(self) -> Path:
        """The gates' verdict."""
        return self.path / "gate.json"

    @property
    def general(self) -> Path:
        """The candidate's ability on general text."""
        return self.path / "general.json"

    @property
    def sealed(self) -> Path:
        """Has the sealed checkpoint's folder alone."""
        return self.path / "checkpoint"

    def log(self, stage: Stage) -> Path:
        """What a stage printed."""
        return self.path / "logs" / f"{stage}.log"


@dataclass(frozen=True, slots=True)
class LoopFolder:
    """Of a loop."""

    path: Path

    @property
    def registry(self) -> Path:
        """Checkpoints and which of them serve."""
        return self.path / "registry"

    @property
    def signals(self) -> Path:
        """Of all iterations: each reads its own applications."""
        return self.path / "signals"

    @property
    def servers(self) -> Path:
        """Logs of servers that were started for evaluation."""
        return self.path / "servers"

    @property
    def base(self) -> Path:
        """Has the base model exported as a checkpoint of its own."""
        return self.path / "base"

    @property
    def base_general(self) -> Path:
        """The base model's ability on general text."""
        return self.path / "base-general.json"

    def iteration(self, number: int) -> IterationFolder:
        """Of one iteration, from 1."""
        return IterationFolder(self.path / "iterations" / str(number))
