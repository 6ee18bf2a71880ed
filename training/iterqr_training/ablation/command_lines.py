"""The command line of each stage of a run: what a person would type to do it alone."""

from __future__ import annotations

from iterqr_training.ablation.settings import AblationSettings
from iterqr_training.ablation.variants import PARTS, Variant
from iterqr_training.loop.command_lines import CANDIDATE, evaluate_line, export_line, train_line
from iterqr_training.loop.traffic_source import Site


class AblationLines:
    """Of one run. What makes the runs alike, and what they differ in, comes after a person's flags, so that it wins."""

    def __init__(self, settings: AblationSettings, variant: Variant) -> None:
        self._settings = settings
        self._parts = PARTS[variant]
        self._own = settings.run(variant)

    def dataset(self, site: Site) -> list[str]:
        """The source's labels, by its rules, without the part; its cap of a task would be another for each run.

        All rows are for training: nothing is validated or tested on, as what is measured on has queries of its own.
        """
        line = ["dataset", *(flag for each in self._settings.source.labels for flag in ("--labels", str(each)))]
        line += ["--out", str(self._own.dataset)]
        line += ["--exclude", str(site.heldout), "--exclude", str(site.validation)]
        line = self._with_flags(line)
        line += ["--validation-share", "0", "--test-share", "0"]
        line += ["--max-rows-a-task", "0", "--max-generation-rows", "0"]
        line += ["--max-rows", str(self._settings.examples), "--tasks", self._tasks()]
        line += [] if self._parts.hints else ["--no-hints"]
        return [*line, *([] if self._parts.chain else ["--no-chain"])]

    def train(self, site: Site) -> list[str]:
        """So many steps whatever the rows; the last weights, as validation rows of other tasks would choose others."""
        steps = str(self._settings.planned_steps)
        line = [*self._with_flags(train_line(self._own, site)), "--tasks", self._tasks()]
        return [*line, "--epochs", steps, "--max-steps", steps, "--validate-every", "0"]

    def export(self, site: Site) -> list[str]:
        """To be evaluated, which serves it; so it need not be served before."""
        return [*self._with_flags(export_line(self._own, site)), "--no-serving-check"]

    def evaluate(self, site: Site, address: str) -> list[str]:
        """The run alone, by the default policy; baselines are in the loop's report."""
        return self._with_flags(evaluate_line(self._own, site, [(CANDIDATE, address)]))

    def _tasks(self) -> str:
        return ",".join(self._parts.tasks)

    def _with_flags(self, line: list[str]) -> list[str]:
        return [*line, *self._settings.flags.get(line[0], ())]
