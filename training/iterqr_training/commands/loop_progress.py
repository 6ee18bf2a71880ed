"""Shows how the loop goes."""

from __future__ import annotations

from rich.console import Console

from iterqr_training.commands.stage_progress import StageProgress
from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.machine import planned
from iterqr_training.loop.stage import DoneStage, Stage
from iterqr_training.loop.time_left import seconds_left


class LoopProgress(StageProgress):
    """See `StageListener`. A context manager; shown while it is open."""

    def __init__(self, console: Console, iterations: int, log: LoopLog) -> None:
        super().__init__(console)
        self._iterations = iterations
        self._log = log

    def begins(self, iteration: int, stage: Stage) -> None:
        """See `StageListener`."""
        refused = [number for number, _ in planned(self._iterations) if self._log.refusal(number)]
        left = seconds_left(self._iterations, self._log.seconds(), refused)
        self._show_begin(self._name(iteration, stage), left)

    def ended(self, iteration: int, stage: Stage, done: DoneStage) -> None:
        """See `StageListener`."""
        words = done.outcome.refusal or str(done.outcome.facts.get("problem", ""))
        self._show_end(self._name(iteration, stage), done, words)

    def _name(self, iteration: int, stage: Stage) -> str:
        return f"{'last round' if iteration > self._iterations else f'iteration {iteration}'}: {stage}"
