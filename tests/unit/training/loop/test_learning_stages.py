"""The stages on a real server and registry of predictable checkpoints, with scripted commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest
from iterqr_proto.registry import CheckpointRegistry
from iterqr_training.errors import CheckFailedError, RunError, SettingError
from iterqr_training.loop.learning_stages import LearningStages
from iterqr_training.loop.loop_log import LoopLog
from iterqr_training.loop.machine import run_loop
from iterqr_training.loop.report_files import write_report
from iterqr_training.loop.report_model import LoopReport, read_loop_report
from iterqr_training.loop.settings import LoopSettings
from iterqr_training.loop.stage import DoneStage, Stage
from iterqr_training.loop.traffic_source import CONTROL, EXPERIMENT, TREATMENT, OnProgress, Played, Site
from support.checkpoint_server import BASE_ID, BEHAVIOUR, TEMPLATE, CheckpointServer, checkpoint_server
from support.checkpoints import checkpoint_folder

MEASURES = ("rewrite_p1", "rewrite_p5", "rewrite_p10", "result_p10", "harm_rate", "empty_rate", "drift", "novelty")


class Users:
    """A source over a server that runs already; counts what it was asked for."""

    identity = "users"
    flags: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    settings: Mapping[str, object] = MappingProxyType({"seed": 7})

    def __init__(self, server: CheckpointServer) -> None:
        self.server = server
        self.played: list[int] = []
        self.opened = 0
        self.trial_breaks = False
        self.number = 0

    @contextmanager
    def running(self, registry: Path) -> Iterator[Site]:
        assert registry.resolve() == Path(self.server.registry.url).resolve()
        self.opened += 1
        unused = Path("unused")
        yield Site("http://unused", self.server.running.address, "items", unused, unused, unused, None, "base")

    def play(self, site: Site, iteration: int, on_progress: OnProgress) -> Played:  # noqa: ARG002
        self.played.append(iteration)
        on_progress(1, 1)
        names = {arm: f"{arm}-{iteration}" for arm in (EXPERIMENT, CONTROL, TREATMENT)}
        return Played(names, TREATMENT, 50, 100)

    def play_canary(self, site: Site, iteration: int, on_progress: OnProgress) -> None:  # noqa: ARG002
        state = self.server.state().traffic_split
        assert state.canary_checkpoint_id
        assert state.canary_percent == 50
        if self.trial_breaks:
            self.server.wait_until(lambda: self._tried() == "")

    def judgments(self, iteration: int, signals: Path, out: Path) -> Path | None:  # noqa: ARG002
        return None

    def _tried(self) -> str:
        self.number += 1
        self.server.rewrite(f"soup {self.number}", client_id_hash=f"client {self.number}")
        return self.server.state().traffic_split.canary_checkpoint_id


class Commands:
    """Writes what each command would, and keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.refused: set[int] = set()
        self.distinct_2 = {1: 0.5, 2: 0.5}
        self.error: dict[str, Exception] = {}
        self.label_status = 0
        self.behaviour: dict[str, object] = {}
        self.answered: list[str] = []

    def check(self, line: Sequence[str]) -> None:  # noqa: ARG002
        raise AssertionError("not asked for here")

    def names(self) -> list[str]:
        return [line[0] for line in self.lines]

    def run(self, line: Sequence[str], log: Path) -> int:
        self.lines.append(list(line))
        if error := self.error.pop(line[0], None):
            raise error
        iteration = int(next(part for part in reversed(log.parts) if part.isdigit()))
        if line[0] == "label":
            return self.label_status
        if line[0] == "dataset":
            rows = {"files": {name: {"rows": 5} for name in ("train.parquet", "validation.parquet", "test.parquet")}}
            write(line, "--out", "datasheet.json", rows)
        elif line[0] == "evaluate":
            names = ["none", *(each.partition("=")[0] for each in flags(line, "--server"))]
            systems = [system(name, self.distinct_2[iteration] if name == "candidate" else 0.5) for name in names]
            write(line, "--out", "evaluation.json", {"systems": systems})
            answers = Path(flags(line, "--out")[0], "heldout", "answers-untuned.jsonl")
            self.answered.append(answers.read_text() if answers.exists() else "")
            write(line, "--out", "heldout/answers-untuned.jsonl", f"of iteration {iteration}")
        elif line[0] == "gate":
            is_refused = iteration in self.refused
            gates = [{"name": "harm_rate", "state": "refused" if is_refused else "passed", "sentence": "harm_rate: x"}]
            verdict = {"verdict": "candidate is refused: harm", "gates": gates}
            Path(flags(line, "--json")[0]).write_text(json.dumps(verdict))
            return int(is_refused)
        elif line[0] == "export":
            content = {BEHAVIOUR: json.dumps({"suffix": f"it{iteration}", **self.behaviour}).encode()}
            checkpoint_folder(Path(flags(line, "--out")[0]), f"it{iteration}", content, template=TEMPLATE.encode())
        return 0

    def run_apart(self, line: Sequence[str], log: Path) -> None:  # noqa: ARG002
        self.lines.append(list(line))
        if line[0] == "export":
            (Path(flags(line, "--out")[0]) / "made" / "onnx-int8").mkdir(parents=True)


def flags(line: Sequence[str], name: str) -> list[str]:
    return [line[place + 1] for place, part in enumerate(line) if part == name]


def write(line: Sequence[str], flag: str, name: str, document: object) -> None:
    file = Path(flags(line, flag)[0], name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))


def system(name: str, distinct_2: float) -> dict[str, object]:
    values = {each: {"value": 0.2, "low": 0.1, "high": 0.3} for each in MEASURES}
    band = {"queries": 10, "values": values}
    changed = {"query": "<pho>", "region": "north", "rewrites": ["pho soup"], "before": 0.1, "after": 0.4}
    return {
        "name": name,
        "identity": f"{name}/v1",
        "bands": {"all": band, "tail": band},
        "variety": {"texts": 10, "distinct_1": 0.5, "distinct_2": distinct_2, "self_bleu": None},
        "details": {"won": [changed], "lost": []},
    }


class Silent:
    def begins(self, iteration: int, stage: Stage) -> None: ...

    def ended(self, iteration: int, stage: Stage, done: DoneStage) -> None: ...


class Loop:
    """A loop of two iterations in a folder; `go` runs it, also again."""

    def __init__(self, folder: Path, server: CheckpointServer) -> None:
        self.settings = LoopSettings(folder / "loop", iterations=2)
        self.users = Users(server)
        self.commands = Commands()
        self.served: list[tuple[str, Mapping[str, str]]] = []

    def go(self, log: LoopLog | None = None) -> LoopLog:
        log = log or LoopLog(self.settings.folder, "one")
        with ExitStack() as running:
            work = LearningStages(
                self.settings, self.users, log, self.commands, running, lambda _done, _of: None, self._serve
            )
            run_loop(self.settings.iterations, work, log, Silent())
        return log

    def report(self) -> LoopReport:
        return read_loop_report(self.settings, {"seed": 7}, LoopLog(self.settings.folder, "one"))

    @contextmanager
    def _serve(self, name: str, model: Mapping[str, str], _folder: Path) -> Iterator[str]:
        self.served.append((name, model))
        yield f"{name}:1"


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    registry = CheckpointRegistry(str(tmp_path / "loop" / "registry"))
    limits = {"checkpoints": {"alarm_min_calls": 5}}
    with checkpoint_server(registry, tmp_path / "cache", limits) as server:
        yield Loop(tmp_path, server)


def champion(loop: Loop) -> str:
    return loop.users.server.state().traffic_split.champion_checkpoint_id


def test_two_iterations_promote_two_checkpoints(loop: Loop) -> None:
    log = loop.go()
    assert champion(loop) == "it2"
    assert loop.users.server.rewrite("pho").rewrites[0].text == "pho it2"
    assert loop.users.played == [1, 2, 3]
    assert loop.users.opened == 1
    assert [log.facts(number, Stage.SERVE)["champion"] for number in (1, 2, 3)] == [BASE_ID, "it1", "it2"]
    assert log.facts(3, Stage.SERVE)["base"] == BASE_ID


def test_the_base_has_a_server_of_its_own_once_another_serves(loop: Loop) -> None:
    loop.go()
    evaluations = [flags(line, "--server") for line in loop.commands.lines if line[0] == "evaluate"]
    address = loop.users.server.running.address
    assert evaluations == [
        [f"untuned={address}", "candidate=candidate:1"],
        ["untuned=untuned:1", f"champion={address}", "candidate=candidate:1"],
    ]
    asked = [line for line in loop.commands.lines if line[0] == "label"]
    labels = [flags(line, "--server") + flags(line, "--base-checkpoint") for line in asked]
    assert labels == [[address, BASE_ID], ["untuned:1", BASE_ID]]
    assert [flags(line, "--champion") for line in loop.commands.lines if line[0] == "gate"] == [
        ["untuned"],
        ["champion"],
    ]


def test_what_the_untuned_model_answered_is_taken_over(loop: Loop) -> None:
    loop.go()
    assert loop.commands.answered == ["", '"of iteration 1"']


def test_an_untuned_champion_is_asked_beside_its_candidate(loop: Loop) -> None:
    loop.commands.refused = {1}
    loop.go()
    assert loop.commands.answered == ["", ""], "a gate compares how long both take, so both answer at one time"


def test_a_refused_candidate_leaves_the_champion_and_the_loop_goes_on(loop: Loop) -> None:
    loop.commands.refused = {1}
    log = loop.go()
    assert log.refusal(1) == "candidate is refused: harm"
    assert log.facts(2, Stage.SERVE)["champion"] == BASE_ID
    assert champion(loop) == "it2"
    assert [each.verdict for each in loop.report().iterations] == ["refused", "promoted", "measured"]


def test_a_champions_lift_is_of_all_users_it_served(loop: Loop) -> None:
    loop.commands.refused = {2}
    loop.go()
    replays = [flags(line, "--paired") for line in loop.commands.lines if line[0] == "experiment"]
    assert [[Path(each).parent.name for each in rounds] for rounds in replays] == [["1"], ["2"], ["3", "2"]]


def test_an_alarm_of_the_detectors_refuses_by_name(loop: Loop) -> None:
    loop.commands.distinct_2[1] = 0.01
    log = loop.go()
    assert log.refusal(1).startswith("loop_collapse: ")
    assert loop.report().iterations[0].alarms == ("loop_collapse",)
    assert log.find(1, Stage.SEAL) is None


def test_labels_that_fail_end_the_iteration_and_are_not_learned_from_later(loop: Loop) -> None:
    loop.commands.label_status = 1
    loop.commands.error["dataset"] = CheckFailedError("label_agreement: kappa is −0.8")
    log = loop.go()
    assert log.refusal(1) == "label_agreement: kappa is −0.8"
    loop.commands.label_status = 0
    (first, second) = (flags(line, "--labels") for line in loop.commands.lines if line[0] == "dataset")
    assert [Path(each).parent.name for each in first] == ["1"]
    assert [Path(each).parent.name for each in second] == ["2"]


def test_a_canary_that_the_server_takes_back_is_refused_with_the_reason(loop: Loop) -> None:
    loop.users.trial_breaks = True
    loop.commands.behaviour = {"breaks_at": 400}
    log = loop.go()
    assert log.refusal(1).startswith("canary: it1 was rolled back: ")
    assert "does not say why" not in log.refusal(1)
    assert champion(loop) == BASE_ID


def test_a_checkpoint_that_the_server_refuses_is_told(loop: Loop) -> None:
    loop.commands.behaviour = {"babbles": True}
    log = loop.go()
    assert log.refusal(1).startswith("canary: the server refuses it1: ")
    assert champion(loop) == BASE_ID


def test_an_experiment_that_cannot_be_analysed_stops_nothing(loop: Loop) -> None:
    loop.commands.error["experiment"] = SettingError("control has no users")
    loop.go()
    assert champion(loop) == "it2"
    assert loop.report().iterations[0].problem == "control has no users"


def test_commands_that_fail_are_done_again_by_the_next_start(loop: Loop) -> None:
    failing = ["collect", "attribute", "label", "dataset", "evaluate", "gate", "export"]
    loop.commands.error = {name: RunError("the disk is full") for name in failing}
    for _ in failing:
        with pytest.raises(RunError, match="full"):
            loop.go()
    loop.go()
    assert champion(loop) == "it2"
    assert loop.users.played == [1, 2, 3]
    assert loop.commands.names().count("train") == 2


def test_what_was_published_before_a_kill_is_not_published_twice(loop: Loop) -> None:
    class KilledLog(LoopLog):
        def note(self, iteration: int, stage: Stage, done: DoneStage) -> None:
            if stage is Stage.SEAL:
                raise KeyboardInterrupt
            super().note(iteration, stage, done)

    log = KilledLog(loop.settings.folder, "one")
    with pytest.raises(KeyboardInterrupt):
        loop.go(log)
    assert [each.checkpoint_id for each in loop.users.server.registry.list_checkpoints()] == ["it1"]
    loop.go()
    assert champion(loop) == "it2"


def test_a_trial_that_was_killed_is_ended_before_users_search_again(loop: Loop) -> None:
    loop.commands.refused = {1, 2}
    server = loop.users.server
    content = {BEHAVIOUR: b"{}"}
    made = checkpoint_folder(loop.settings.folder.parent, "left", content, template=TEMPLATE.encode())
    server.registry.publish(made)
    server.split(BASE_ID, "left", 10)
    loop.go()
    assert server.state().traffic_split.canary_checkpoint_id == ""


def test_too_few_labels_end_the_iteration(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = loop.commands.run

    def without_rows(line: Sequence[str], log: Path) -> int:
        status = run(line, log)
        if line[0] == "dataset":
            files = {name: {"rows": 0} for name in ("train.parquet", "validation.parquet")}
            write(line, "--out", "datasheet.json", {"files": files})
        return status

    monkeypatch.setattr(loop.commands, "run", without_rows)
    assert "train.parquet has no rows" in loop.go().refusal(1)


def test_the_report_tells_every_round_and_escapes_queries(loop: Loop) -> None:
    loop.commands.refused = {2}
    loop.go()
    page = write_report(loop.report(), loop.settings.folder).read_text("utf-8")
    assert "candidate is refused: harm" in page
    assert "&lt;pho&gt;" in page
    assert "<pho>" not in page
    told = json.loads((loop.settings.folder / "report.json").read_text("utf-8"))
    assert told["settings"]["traffic"] == {"seed": 7}
    assert told["machine"]["cores"] >= 1
    assert [each["verdict"] for each in told["iterations"]] == ["promoted", "refused", "measured"]
    assert [each["served_name"] for each in told["iterations"]] == ["untuned", "iteration 1", "iteration 1"]
    first = told["iterations"][0]
    assert first["seconds"].keys() == set(Stage)
    assert first["systems"][0]["values"]["rewrite_p5"] == {"value": 0.2, "low": 0.1, "high": 0.3}
    assert first["variety"][0]["self_bleu"] is None
    assert first["won"][0]["query"] == "<pho>"


def test_general_ability_of_the_base_is_measured_once(loop: Loop) -> None:
    loop.commands.refused = {1}
    shutil.rmtree(loop.settings.folder / "base", ignore_errors=True)
    run = loop.commands.run_apart

    def with_file(line: Sequence[str], log: Path) -> None:
        run(line, log)
        if line[0] == "general-ability":
            Path(flags(line, "--out")[0]).write_text("{}")

    loop.commands.run_apart = with_file  # type: ignore[method-assign]
    loop.go()
    asked = [flags(line, "--checkpoint-id")[0] for line in loop.commands.lines if line[0] == "general-ability"]
    assert asked == ["untuned", "made", "made"]
