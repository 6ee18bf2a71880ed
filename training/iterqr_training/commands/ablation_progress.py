"""Shows how an ablation goes."""

from __future__ import annotations

from rich.console import Console

from iterqr_training.ablation.settings import AblationSettings
from iterqr_training.ablation.stages import plan
from iterqr_training.ablation.variants import PARTS, Variant
from iterqr_training.commands.stage_progress import StageProgress
from iterqr_training.loop.stage import DoneStage, Stage
from iterqr_training.loop.stage_log import StageLog
from iterqr_training.loop.time_left import stages_left

_WIDTH = 36


class AblationProgress(StageProgress):
    """See `StageListener`. A context manager; shown while it is open."""

    def __init__(self, console: Console, settings: AblationSettings, log: StageLog[Variant]) -> None:
        super().__init__(console, _WIDTH)
        self._settings = settings
        self._log = log

    def begins(self, variant: Variant, stage: Stage) -> None:
        """See `StageListener`."""
        self._show_begin(self._name(variant, stage), stages_left(plan(self._settings), self._log.seconds()))

    def ended(self, variant: Variant, stage: Stage, done: DoneStage) -> None:
        """See `StageListener`."""
        rows = done.outcome.facts.get("rows", {})
        words = ", ".join(f"{task} {count:,}" for task, count in rows.items())
        if rows and (count := sum(rows.values())) < self._settings.examples:
            words += f": {count:,} examples of {self._settings.examples:,}, there are no more"
        self._show_end(self._name(variant, stage), done, words)

    def _name(self, variant: Variant, stage: Stage) -> str:
        place = self._settings.planned.index(variant) + 1
        return f"{place}/{len(self._settings.planned)} {PARTS[variant].label}: {stage}"
