"""What each stage does: the commands of `iterqr-train` on the loop's folders, and the servers between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from iterqr_proto.registry import CheckpointNotFoundError, CheckpointRegistry

from iterqr_training.errors import CheckFailedError, SettingError
from iterqr_training.evaluate.answers import answers_file
from iterqr_training.export.publishing import publish
from iterqr_training.files import read_json, write_whole
from iterqr_training.loop.candidate import candidate_flags, only_folder
from iterqr_training.loop.checkpoint_service import checkpoints_at
from iterqr_training.loop.command_lines import CANDIDATE, CHAMPION, UNTUNED, CommandLines
from iterqr_training.loop.command_runner import CommandRunner
from iterqr_training.loop.folders import IterationFolder, LoopFolder
from iterqr_training.loop.health import find_alarms
from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.readings import read_reading
from iterqr_training.loop.served_model import served_model
from iterqr_training.loop.settings import LoopSettings
from iterqr_training.loop.stage import Stage, StageOutcome
from iterqr_training.loop.traffic_source import OnProgress, Played, Site, TrafficSource

ServeModel = Callable[[str, Mapping[str, str], Path], AbstractContextManager[str]]
_CHAMPION, _BASE, _CHECKPOINT = "champion", "base", "checkpoint"


class LearningStages:
    """See `StageWork`. Node and server are started when a stage first needs them, and run until `running` is closed.

    Args:
        settings: Of the loop.
        source: Users.
        log: What is done.
        commands: Runs commands.
        running: Closes what was started.
        on_progress: Told of searches that are done.
        serve: Starts a server for one model; see `served_model`.
    """

    def __init__(
        self,
        settings: LoopSettings,
        source: TrafficSource,
        log: LoopLog,
        commands: CommandRunner,
        running: ExitStack,
        on_progress: OnProgress,
        serve: ServeModel = served_model,
    ) -> None:
        self._settings = settings
        self._source = source
        self._log = log
        self._commands = commands
        self._running = running
        self._on_progress = on_progress
        self._serve_model = serve
        self._folder = LoopFolder(settings.folder)
        self._site: Site | None = None
        self._work: Mapping[Stage, Callable[[int], StageOutcome]] = {
            Stage.SERVE: self._serve,
            Stage.TRAFFIC: self._traffic,
            Stage.COLLECT: self._collect,
            Stage.ATTRIBUTE: self._attribute,
            Stage.EXPERIMENT: self._experiment,
            Stage.LABEL: self._label,
            Stage.DATASET: self._dataset,
            Stage.TRAIN: self._train,
            Stage.EXPORT: self._export,
            Stage.GENERAL: self._general,
            Stage.EVALUATE: self._evaluate,
            Stage.GATE: self._gate,
            Stage.HEALTH: self._health,
            Stage.SEAL: self._seal,
            Stage.CANARY: self._canary,
            Stage.PROMOTE: self._promote,
        }

    def do(self, iteration: int, stage: Stage) -> StageOutcome:
        """See `StageWork`."""
        return self._work[stage](iteration)

    def _serve(self, iteration: int) -> StageOutcome:
        with checkpoints_at(self._at().server) as server:
            serving = server.serving()
            if serving.canary:  # of a trial that was refused while it could not be ended
                server.split(serving.champion)
        base = serving.champion if iteration == 1 else self._base()
        return StageOutcome({_CHAMPION: serving.champion, _BASE: base})

    def _traffic(self, iteration: int) -> StageOutcome:
        return StageOutcome(asdict(self._source.play(self._at(), iteration, self._on_progress)))

    def _collect(self, iteration: int) -> StageOutcome:
        self._command(iteration, Stage.COLLECT, self._lines(iteration).collect(self._at()))
        return StageOutcome()

    def _attribute(self, iteration: int) -> StageOutcome:
        for arm, application in self._played(iteration).applications.items():
            self._command(iteration, Stage.ATTRIBUTE, self._lines(iteration).attribute(arm, application))
        return StageOutcome()

    def _experiment(self, iteration: int) -> StageOutcome:
        """Of all users whom this champion served, those of earlier rounds, too, where both arms were replayed.

        What cannot be analysed, as with too few users, is told and stops nothing: nothing is learned from it.
        """
        champion = self._champion(iteration)
        earlier = [
            each for each in range(1, iteration) if self._champion(each) == champion and self._played(each).is_paired
        ]
        line = self._lines(iteration).experiment(self._played(iteration), earlier)
        try:
            status = self._command(iteration, Stage.EXPERIMENT, line)
        except SettingError as error:
            return StageOutcome({"problem": str(error)})
        return StageOutcome({"problem": "users are not split as planned, or A/A does not hold"} if status else {})

    def _label(self, iteration: int) -> StageOutcome:
        own, site = self._own(iteration), self._at()
        own.judgments.mkdir(parents=True, exist_ok=True)
        truth = self._source.judgments(iteration, self._folder.signals, own.judgments)
        with self._untuned(iteration) as address:
            line = self._lines(iteration).label(site, self._played(iteration), self._base(), address, truth)
            status = self._command(iteration, Stage.LABEL, line)
        return StageOutcome({"passed": not status})

    def _dataset(self, iteration: int) -> StageOutcome:
        """Labels of earlier iterations that failed their check are not learned from; this one's end the iteration."""
        passed = [n for n in range(1, iteration) if self._labels_passed(n)]
        try:
            line = self._lines(iteration).dataset(self._at(), [*passed, iteration])
            self._command(iteration, Stage.DATASET, line)
        except CheckFailedError as error:
            return StageOutcome(refusal=str(error))
        sheet = read_json(self._own(iteration).dataset / "datasheet.json")
        rows = {name: int(file["rows"]) for name, file in sheet["files"].items()}
        lacking = [name for name in ("train.parquet", "validation.parquet") if not rows[name]]
        return StageOutcome(
            {"rows": rows}, f"dataset: {lacking[0]} has no rows: there are too few labels" if lacking else ""
        )

    def _train(self, iteration: int) -> StageOutcome:
        self._apart(iteration, Stage.TRAIN, self._lines(iteration).train(self._at()))
        return StageOutcome()

    def _export(self, iteration: int) -> StageOutcome:
        shutil.rmtree(self._own(iteration).candidates, ignore_errors=True)
        self._apart(iteration, Stage.EXPORT, self._lines(iteration).export(self._at(), self._champion(iteration)))
        return StageOutcome({"candidate": only_folder(self._own(iteration).candidates).name})

    def _general(self, iteration: int) -> StageOutcome:
        if not self._settings.measure_general:
            return StageOutcome()
        lines, own = self._lines(iteration), self._own(iteration)
        if not self._folder.base_general.is_file():
            shutil.rmtree(self._folder.base, ignore_errors=True)
            self._apart(iteration, Stage.GENERAL, lines.export_base(self._at()))
            base = only_folder(self._folder.base) / "hf"
            self._apart(iteration, Stage.GENERAL, lines.general(base, UNTUNED, self._folder.base_general))
            shutil.rmtree(self._folder.base)
        candidate = self._candidate(iteration)
        self._apart(iteration, Stage.GENERAL, lines.general(candidate / "hf", candidate.name, own.general))
        return StageOutcome()

    def _evaluate(self, iteration: int) -> StageOutcome:
        site, candidate = self._at(), self._candidate(iteration)
        if self._champion_name(iteration) != UNTUNED:
            self._take_over_answers(iteration)
        flags = {**site.server_flags, **candidate_flags(candidate)}
        with (
            self._untuned(iteration) as untuned,
            self._serve_model(CANDIDATE, flags, self._folder.servers) as address,
        ):
            servers = [(UNTUNED, untuned), (CANDIDATE, address)]
            if self._champion_name(iteration) == CHAMPION:
                servers.insert(1, (CHAMPION, site.server))
            learn_from = self._played(iteration).learn_from
            line = self._lines(iteration).evaluate(site, learn_from, servers, self._promoted_before(iteration))
            self._command(iteration, Stage.EVALUATE, line)
        return StageOutcome()

    def _take_over_answers(self, iteration: int) -> None:
        """The untuned model, which is no champion now, writes what it wrote before: it need not be asked again.

        A champion's timed answers tell the gates how long it takes beside the candidate, so they are always new.
        """
        own = self._own(iteration).evaluation
        for earlier in reversed(range(1, iteration)):
            for known in self._own(earlier).evaluation.glob(f"*/{answers_file(own, UNTUNED).name}"):
                mine = own / known.parent.name / known.name
                if not mine.exists():
                    write_whole(mine, known.read_text("utf-8"))

    def _gate(self, iteration: int) -> StageOutcome:
        champion = self._champion_name(iteration)
        status = self._command(iteration, Stage.GATE, self._lines(iteration).gate(champion))
        report = read_json(self._own(iteration).gate)
        return StageOutcome({_CHAMPION: champion}, str(report["verdict"]) if status else "")

    def _health(self, iteration: int) -> StageOutcome:
        own = self._own(iteration).evaluation_json
        served = [n for n in range(1, iteration) if self._log.find(n, Stage.PROMOTE) is not None]
        readings = [
            read_reading(own, UNTUNED, UNTUNED),
            *(read_reading(self._own(n).evaluation_json, CANDIDATE, f"iteration {n}") for n in served),
            read_reading(own, CANDIDATE, f"iteration {iteration}"),
        ]
        alarms = find_alarms(readings, self._settings.limits)
        words = "; ".join(f"{each.name}: {each.words}" for each in alarms)
        return StageOutcome({"alarms": [each.name.value for each in alarms]}, words)

    def _seal(self, iteration: int) -> StageOutcome:
        """What was published by a start that was killed is in the registry already: its artifacts are the same."""
        shutil.rmtree(self._own(iteration).sealed, ignore_errors=True)
        line = self._lines(iteration).seal(self._candidate(iteration), self._champion(iteration))
        self._command(iteration, Stage.SEAL, line)
        folder = only_folder(self._own(iteration).sealed)
        try:
            CheckpointRegistry(str(self._folder.registry)).manifest(folder.name)
        except CheckpointNotFoundError:
            publish(folder, str(self._folder.registry))
        return StageOutcome({_CHECKPOINT: folder.name})

    def _canary(self, iteration: int) -> StageOutcome:
        site = self._at()
        champion = self._champion(iteration)
        canary = str(self._log.facts(iteration, Stage.SEAL)[_CHECKPOINT])
        with checkpoints_at(site.server) as server:
            if reason := server.load(canary):
                return StageOutcome(refusal=f"canary: the server refuses {canary}: {reason}")
            server.split(champion, canary, self._settings.canary_percent)
            self._source.play_canary(site, iteration, self._on_progress)
            if server.serving().canary == canary:
                return StageOutcome()
            reason = server.reason(canary) or "the server does not say why"
        return StageOutcome(refusal=f"canary: {canary} was rolled back: {reason}")

    def _promote(self, iteration: int) -> StageOutcome:
        checkpoint = str(self._log.facts(iteration, Stage.SEAL)[_CHECKPOINT])
        with checkpoints_at(self._at().server) as server:
            server.load(checkpoint)  # a server that was started anew may not have it
            server.split(checkpoint)
        return StageOutcome({_CHAMPION: checkpoint})

    def _at(self) -> Site:
        if self._site is None:
            site = self._running.enter_context(self._source.running(self._folder.registry))
            with checkpoints_at(site.server) as server:
                server.wait_until_loaded(server.serving().champion)
            self._site = site
        return self._site

    @contextmanager
    def _untuned(self, iteration: int) -> Iterator[str]:
        """The base model: the server with the traffic as long as that serves it, else one of its own."""
        site = self._at()
        if self._champion_name(iteration) == UNTUNED:
            yield site.server
            return
        flags = {**site.server_flags, "model.name": site.base_model}
        with self._serve_model(UNTUNED, flags, self._folder.servers) as address:
            yield address

    def _base(self) -> str:
        return str(self._log.facts(1, Stage.SERVE)[_BASE])

    def _champion(self, iteration: int) -> str:
        return str(self._log.facts(iteration, Stage.SERVE)[_CHAMPION])

    def _champion_name(self, iteration: int) -> str:
        return UNTUNED if self._champion(iteration) == self._base() else CHAMPION

    def _promoted_before(self, iteration: int) -> int | None:
        champion = self._champion(iteration)
        for number in range(iteration - 1, 0, -1):
            done = self._log.find(number, Stage.PROMOTE)
            if done is not None and done.outcome.facts[_CHAMPION] == champion:
                return number
        return None

    def _labels_passed(self, iteration: int) -> bool:
        done = self._log.find(iteration, Stage.LABEL)
        return done is not None and bool(done.outcome.facts["passed"])

    def _played(self, iteration: int) -> Played:
        return Played(**self._log.facts(iteration, Stage.TRAFFIC))

    def _candidate(self, iteration: int) -> Path:
        return self._own(iteration).candidates / str(self._log.facts(iteration, Stage.EXPORT)["candidate"])

    def _own(self, iteration: int) -> IterationFolder:
        return self._folder.iteration(iteration)

    def _lines(self, iteration: int) -> CommandLines:
        return CommandLines(self._settings, iteration)

    def _command(self, iteration: int, stage: Stage, line: list[str]) -> int:
        return self._commands.run(line, self._own(iteration).log(stage))

    def _apart(self, iteration: int, stage: Stage, line: list[str]) -> None:
        self._commands.run_apart(line, self._own(iteration).log(stage))
