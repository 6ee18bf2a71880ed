"""What each stage of a run does, the order of them, and what comes of all runs."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from iterqr_training.ablation.command_lines import AblationLines
from iterqr_training.ablation.settings import AblationSettings
from iterqr_training.ablation.variants import PARTS, Variant
from iterqr_training.dataset.dataset_folder import DATASHEET
from iterqr_training.errors import RunError, StoreError
from iterqr_training.evaluate.ablation import AblationRun, Budget
from iterqr_training.evaluate.evaluation_json import read_evaluation
from iterqr_training.files import read_json
from iterqr_training.loop.candidate import candidate_flags, only_folder
from iterqr_training.loop.command_lines import CANDIDATE
from iterqr_training.loop.command_runner import CommandRunner
from iterqr_training.loop.machine import StageListener, run_stages
from iterqr_training.loop.served_model import served_model
from iterqr_training.loop.stage import Stage, StageOutcome
from iterqr_training.loop.stage_log import LogFormat, StageLog
from iterqr_training.loop.traffic_source import Site

ABLATING = (Stage.DATASET, Stage.TRAIN, Stage.EXPORT, Stage.EVALUATE)
"""Of each run."""
SCHEMA = "iterqr-ablation-runs/v1"
FILE = "runs.json"
ServeModel = Callable[[str, Mapping[str, str], Path], AbstractContextManager[str]]
_HINTS, _HINTS_URL = "hints.", "hints.url"


def ablation_log(folder: Path, identity: str) -> StageLog[Variant]:
    """Opens runs.json of an ablation's folder; see `StageLog`."""
    return StageLog(folder / FILE, identity, LogFormat(SCHEMA, "runs", Variant, "an ablation"))


def plan(settings: AblationSettings) -> tuple[tuple[Variant, tuple[Stage, ...]], ...]:
    """Returns all runs with their stages, in order."""
    return tuple((variant, ABLATING) for variant in settings.planned)


def run_all(
    settings: AblationSettings,
    work: AblationStages,
    log: StageLog[Variant],
    listener: StageListener[Variant],
) -> None:
    """Does what is not done yet, run by run. A checkpoint takes 2 GB: it goes when its run is evaluated.

    Raises:
        TrainingError: A stage could not be done; what was done is noted.
    """
    for variant, stages in plan(settings):
        run_stages(variant, stages, work, log, listener)
        shutil.rmtree(settings.run(variant).candidates, ignore_errors=True)


class AblationStages:
    """See `StageWork`. The node is started when a stage first needs it, and runs until `running` is closed.

    Args:
        settings: Of the ablation.
        site: Starts the node; nothing answers at the site's server.
        commands: Runs commands.
        running: Closes what was started.
        serve: Starts a server for one model; see `served_model`.
    """

    def __init__(
        self,
        settings: AblationSettings,
        site: Callable[[], AbstractContextManager[Site]],
        commands: CommandRunner,
        running: ExitStack,
        serve: ServeModel = served_model,
    ) -> None:
        self._settings = settings
        self._open_site = site
        self._commands = commands
        self._running = running
        self._serve = serve
        self._site: Site | None = None
        self._work: Mapping[Stage, Callable[[Variant], StageOutcome]] = {
            Stage.DATASET: self._dataset,
            Stage.TRAIN: self._train,
            Stage.EXPORT: self._export,
            Stage.EVALUATE: self._evaluate,
        }

    def do(self, variant: Variant, stage: Stage) -> StageOutcome:
        """See `StageWork`."""
        return self._work[stage](variant)

    def _dataset(self, variant: Variant) -> StageOutcome:
        own = self._settings.run(variant)
        self._commands.run(self._lines(variant).dataset(self._at()), own.log(Stage.DATASET))
        sheet = read_json(own.dataset / DATASHEET)
        rows: Counter[str] = Counter()
        for each in sheet["counts"]:
            if each["split"] == "train":
                rows[each["task"]] += int(each["rows"])
        if missing := [task for task in PARTS[variant].tasks if not rows[task]]:
            raise RunError(f"{PARTS[variant].label}: there are no rows of {missing[0]}; learn from another iteration")
        return StageOutcome({"rows": {task: rows[task] for task in PARTS[variant].tasks}})

    def _train(self, variant: Variant) -> StageOutcome:
        """Killed, it goes on from its last state."""
        self._commands.run_apart(self._lines(variant).train(self._at()), self._settings.run(variant).log(Stage.TRAIN))
        return StageOutcome()

    def _export(self, variant: Variant) -> StageOutcome:
        own = self._settings.run(variant)
        shutil.rmtree(own.candidates, ignore_errors=True)
        self._commands.run_apart(self._lines(variant).export(self._at()), own.log(Stage.EXPORT))
        return StageOutcome({"candidate": only_folder(own.candidates).name})

    def _evaluate(self, variant: Variant) -> StageOutcome:
        """Killed, it goes on with the answers that it has."""
        own, site = self._settings.run(variant), self._at()
        flags = {**_served_with(site.server_flags, variant), **candidate_flags(only_folder(own.candidates))}
        with self._serve(variant, flags, self._settings.servers) as address:
            self._commands.run(self._lines(variant).evaluate(site, address), own.log(Stage.EVALUATE))
        return StageOutcome()

    def _lines(self, variant: Variant) -> AblationLines:
        return AblationLines(self._settings, variant)

    def _at(self) -> Site:
        if self._site is None:
            self._site = self._running.enter_context(self._open_site())
        return self._site


def evaluated_runs(settings: AblationSettings, log: StageLog[Variant]) -> Iterator[AblationRun]:
    """Yields every run that is evaluated, whether it was asked for now or by an earlier start, the full one first.

    Raises:
        StoreError: A file of one cannot be read.
    """
    for variant in Variant:
        if log.find(variant, Stage.EVALUATE) is None:
            continue
        own = settings.run(variant)
        evaluation = read_evaluation(own.evaluation_json)
        yield AblationRun(PARTS[variant].label, evaluation, evaluation.system(CANDIDATE), _budget(own.training))


def _budget(training: Path) -> Budget:
    """What a run really learned from: examples that were too long are not in it."""
    file = training / "run.json"
    record = read_json(file)
    try:
        examples = {str(task): int(count) for task, count in record["dataset"]["examples"]["train"].items()}
        return Budget(examples, int(record["result"]["steps"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{file} is no record of a finished run: {error!r}") from error


def _served_with(flags: Mapping[str, str], variant: Variant) -> Mapping[str, str]:
    if PARTS[variant].hints:
        return flags
    return {**{name: value for name, value in flags.items() if not name.startswith(_HINTS)}, _HINTS_URL: ""}
