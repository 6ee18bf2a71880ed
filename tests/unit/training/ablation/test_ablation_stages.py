"""The runs of an ablation: real datasets of labels made by hand, and scripted training and evaluation."""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from iterqr_training.ablation.command_lines import AblationLines
from iterqr_training.ablation.settings import AblationSettings
from iterqr_training.ablation.source import SourceIteration, find_source
from iterqr_training.ablation.stages import ABLATING, AblationStages, ablation_log, evaluated_runs, plan, run_all
from iterqr_training.ablation.variants import PARTS, Variant
from iterqr_training.commands import ablation_runs, dataset, evaluate, export, train
from iterqr_training.commands.in_process import InProcess
from iterqr_training.dataset.rows import Band, Task
from iterqr_training.errors import RunError, SettingError, StoreError
from iterqr_training.evaluate.report_files import write_report
from iterqr_training.evaluate.truth import TruthQuery, write_truth
from iterqr_training.labels.records import Kind
from iterqr_training.loop import command_runner
from iterqr_training.loop.stage import DoneStage, Stage
from iterqr_training.loop.stage_log import StageLog
from iterqr_training.loop.time_left import stages_left
from iterqr_training.loop.traffic_source import Site
from iterqr_training.main import main
from rich.console import Console
from support.evaluations import ScriptedRewriter, answer, evaluated
from support.labelling import make_chain, make_folder, make_label

QUERIES = 40
HINTS = {"hints.url": "http://127.0.0.1:1", "hints.index": "hints", "rewrite.template": "untuned"}
Place = tuple[Variant, Stage]
EVERY: list[Place] = [(variant, stage) for variant in Variant for stage in ABLATING]


def loop_with_labels(loop: Path, iteration: int = 1, *, tasks: Sequence[Task] = tuple(Task)) -> None:
    """An iteration of a loop as far as its dataset."""
    own = loop / "iterations" / str(iteration)
    made = []
    for number in range(QUERIES):
        query = f"soup {number}"
        made += [
            make_label(query=query, subject=f"good {number}"),
            make_label(query=query, subject=f"A {number}", kind=Kind.ITEM, positive=number % 2 == 0),
            make_label(query=query, subject=f"odd {number}", task=Task.QUALITY, positive=number % 2 == 0),
        ]
    chains = [make_chain(f"soup {number}") for number in range(QUERIES)]
    make_folder(own / "labels", [each for each in made if each.task in tasks], chains, iteration=iteration)
    line = ["dataset", "--labels", str(own / "labels"), "--out", str(own / "dataset"), "--min-clients", "1"]
    main([*line, "--test-share", "0", "--max-rows-a-task", "5"])


def flags(line: Sequence[str], name: str) -> list[str]:
    return [line[place + 1] for place, part in enumerate(line) if part == name]


class Commands:
    """Runs `dataset`; writes what the others would. Is killed once, where it is told to be."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.killed_in: Place | None = None
        self._real = InProcess((dataset, train, export, evaluate))

    def check(self, line: Sequence[str]) -> None:
        self._real.check(line)

    def run(self, line: Sequence[str], log: Path) -> int:
        self._begin(line, log)
        if line[0] == "dataset":
            return self._real.run(line, log)
        out = Path(flags(line, "--out")[0])
        right = {Variant.FULL: 36, Variant.GENERATION_ONLY: 8}.get(Variant(out.parent.name), 35)
        truth = [TruthQuery(f"q {n}", "north", Band.TAIL, judged={f"right {n}": True}) for n in range(QUERIES)]
        texts = {f"q {n}": answer(f"q {n}", f"right {n}" if n < right else "wrong") for n in range(QUERIES)}
        write_report(evaluated(out, truth, [ScriptedRewriter("candidate", texts, identity=out.parent.name)]), out)
        return 0

    def run_apart(self, line: Sequence[str], log: Path) -> None:
        self._begin(line, log)
        out = Path(flags(line, "--out")[0])
        if line[0] == "export":
            assert not out.exists()
            (out / "made" / "onnx-int8").mkdir(parents=True)
            return
        rows = pq.read_table(Path(flags(line, "--dataset")[0]) / "train.parquet").column("task").to_pylist()
        (out / "adapter").mkdir(parents=True, exist_ok=True)
        record = {
            "dataset": {"examples": {"train": Counter(rows)}},
            "result": {"steps": int(flags(line, "--max-steps")[-1])},
        }
        (out / "run.json").write_text(json.dumps(record))

    def _begin(self, line: Sequence[str], log: Path) -> None:
        place = (Variant(log.parent.parent.name), Stage(log.stem))
        if place == self.killed_in:
            self.killed_in = None
            if place[1] is Stage.EXPORT:  # what a kill leaves
                (Path(flags(line, "--out")[0]) / ".half").mkdir(parents=True)
            raise KeyboardInterrupt
        self.lines.append(list(line))


class Silent:
    def begins(self, variant: Variant, stage: Stage) -> None: ...

    def ended(self, variant: Variant, stage: Stage, done: DoneStage) -> None: ...


class World:
    """A loop, a node that is only said to be there, and an ablation's folder; `go` runs it, also again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        loop_with_labels(folder / "loop")
        for name, query in (("heldout", "soup 0"), ("validation", "soup 1")):
            write_truth(folder / f"{name}.jsonl", [TruthQuery(query, "north", Band.TAIL, frozenset({"a"}))])
        self.commands = Commands()
        self.served: dict[str, Mapping[str, str]] = {}
        self.opened = 0
        self.settings = AblationSettings(
            folder / "ablation", find_source(folder / "loop"), examples=24, flags=self.rules()
        )

    def rules(self) -> Mapping[str, tuple[str, ...]]:
        return {"dataset": tuple(dataset.rule_flags(find_source(self.folder / "loop").rules))}

    def log(self) -> StageLog[Variant]:
        return ablation_log(self.settings.folder, "one")

    def go(self, log: StageLog[Variant] | None = None) -> StageLog[Variant]:
        log = log or self.log()
        with ExitStack() as running:
            run_all(
                self.settings,
                AblationStages(self.settings, self.site, self.commands, running, self.serve),
                log,
                Silent(),
            )
        return log

    @contextmanager
    def site(self) -> Iterator[Site]:
        self.opened += 1
        heldout, validation = self.folder / "heldout.jsonl", self.folder / "validation.jsonl"
        yield Site(
            "http://node", "", "items", Path("search.json"), heldout, validation, None, "base", server_flags=HINTS
        )

    @contextmanager
    def serve(self, name: str, model: Mapping[str, str], _folder: Path) -> Iterator[str]:
        self.served[name] = model
        yield f"{name}:1"

    def rows(self, variant: Variant) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = pq.read_table(self.settings.run(variant).dataset / "train.parquet").to_pylist()
        return rows


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_run_has_the_same_budget_and_lacks_its_part(world: World) -> None:
    world.go()
    runs = list(evaluated_runs(world.settings, world.log()))
    assert [run.label for run in runs] == [PARTS[each].label for each in Variant]
    assert {run.budget.steps for run in runs if run.budget} == {6}  # three passes over 24 in steps of 16
    budgets = [run.budget.examples for run in runs if run.budget is not None]
    assert [sum(each.values()) for each in budgets] == [24] * 6
    assert budgets[0] == {"generation": 8, "quality": 8, "relevance": 8}
    assert budgets[1] == {"generation": 12, "relevance": 12}
    assert budgets[5] == {"generation": 24}
    chains = {
        str(row["target"]).partition("\n")[0]
        for row in world.rows(Variant.WITHOUT_CHAIN)
        if row["task"] == "generation"
    }
    assert chains == {"fix: -"}
    assert not any(row["hints"] for row in world.rows(Variant.WITHOUT_HINTS))
    assert any(row["hints"] for row in world.rows(Variant.FULL))
    assert {row["query"] for row in world.rows(Variant.GENERATION_ONLY)}.isdisjoint({"soup 0", "soup 1"})
    sheet = json.loads((world.settings.run(Variant.WITHOUT_HINTS).dataset / "datasheet.json").read_text("utf-8"))
    assert any("hints of all rows" in words for words in sheet["words"])
    assert sheet["settings"]["min_clients"] == 1  # by the loop's rules


def test_a_run_without_hints_is_served_without_them_and_the_others_with(world: World) -> None:
    world.go()
    without = world.served.pop("without-hints")
    assert {name: value for name, value in without.items() if name.startswith("hints.")} == {"hints.url": ""}
    for model in world.served.values():
        assert model["hints.url"] == HINTS["hints.url"]
        assert model["hints.index"] == "hints"
    assert {model["rewrite.template"].rpartition("/")[2] for model in world.served.values()} == {"template.toml"}
    evaluations = [line for line in world.commands.lines if line[0] == "evaluate"]
    assert [flags(line, "--server") for line in evaluations] == [[f"candidate={each}:1"] for each in Variant]
    assert not any({"--marts", "--validation"} & set(line) for line in evaluations)


def test_a_checkpoint_goes_when_its_run_is_evaluated(world: World) -> None:
    world.go()
    assert [each for each in Variant if world.settings.run(each).candidates.exists()] == []
    assert all((world.settings.run(each).training / "adapter").is_dir() for each in Variant)
    assert world.opened == 1


@pytest.mark.parametrize("stage", ABLATING)
def test_killed_in_any_stage_it_goes_on_there_and_does_each_once(world: World, stage: Stage) -> None:
    world.commands.killed_in = (Variant.WITHOUT_RELEVANCE, stage)
    with pytest.raises(KeyboardInterrupt):
        world.go()
    done = len(world.commands.lines)
    assert done == 2 * len(ABLATING) + ABLATING.index(stage)
    log = world.go()
    assert world.commands.lines[done][0] == stage
    assert len(world.commands.lines) == len(EVERY)
    assert all(log.find(*place) is not None for place in EVERY)
    assert world.go().seconds().keys() == log.seconds().keys()
    assert len(world.commands.lines) == len(EVERY)


def test_a_checkpoint_that_a_kill_left_after_its_evaluation_goes_with_the_next_start(world: World) -> None:
    world.go()
    left = world.settings.run(Variant.FULL).candidates
    (left / "made" / "onnx-int8").mkdir(parents=True)
    world.go()
    assert not left.exists()
    assert len(world.commands.lines) == len(EVERY)


def test_more_variants_go_on_with_what_is_there(world: World) -> None:
    world.settings = replace(world.settings, variants=(Variant.GENERATION_ONLY,))
    world.go()
    assert [flags(line, "--out")[0].split("/")[-2] for line in world.commands.lines if line[0] == "dataset"] == [
        "full",
        "generation-only",
    ]
    world.settings = replace(world.settings, variants=(Variant.WITHOUT_HINTS,))
    world.go()
    assert len(world.commands.lines) == 3 * len(ABLATING)
    labels = [run.label for run in evaluated_runs(world.settings, world.log())]
    assert labels == ["full", "without hints", "generation only"]


def test_a_task_without_rows_is_told(world: World) -> None:
    shutil.rmtree(world.folder / "loop")
    loop_with_labels(world.folder / "loop", tasks=(Task.RELEVANCE,))
    world.settings = replace(world.settings, source=find_source(world.folder / "loop"))
    with pytest.raises(RunError, match="full: there are no rows of quality; learn from another iteration"):
        world.go()
    assert world.log().seconds() == {}


def test_what_is_alike_wins_over_a_persons_flags(world: World) -> None:
    given = {
        "dataset": ("--max-generation-rows", "7", "--max-rows", "9", "--max-rewrites", "6"),
        "train": ("--epochs", "9", "--tasks", "quality", "--lora-rank", "4"),
        "export": ("--quantization", "int4"),
        "evaluate": ("--embedder", "none"),
    }
    settings = replace(world.settings, flags=given, examples=300)
    commands = InProcess((dataset, train, export, evaluate))
    with world.site() as site:
        lines = AblationLines(settings, Variant.WITHOUT_QUALITY)
        every = [lines.dataset(site), lines.train(site), lines.export(site), lines.evaluate(site, "server:1")]
    options = [commands._parser.parse_args(line) for line in every]
    made: argparse.Namespace = options[0]
    assert (made.max_rows, made.max_rows_a_task, made.max_generation_rows, made.max_rewrites) == (300, 0, 0, 6)
    assert (made.validation_share, made.test_share) == (0, 0)
    assert made.tasks == options[1].tasks == (Task.GENERATION, Task.RELEVANCE)
    assert (options[1].max_steps, options[1].validate_every, options[1].lora_rank) == (57, 0, 4)
    assert options[1].epochs >= 57
    assert options[2].quantization == "int4"
    assert options[2].no_serving_check
    assert (options[3].embedder, options[3].marts, options[3].validation) == ("none", None, None)


def test_time_left_is_known_once_each_stage_was_done(world: World) -> None:
    runs = plan(world.settings)
    seconds = {(Variant.FULL, stage): 60.0 for stage in ABLATING}
    assert stages_left(runs, {}) is None
    assert stages_left(runs, seconds) == 5 * 4 * 60
    assert stages_left(runs, {**seconds, (Variant.WITHOUT_QUALITY, Stage.TRAIN): 180.0}) == 5 * 3 * 60 + 4 * 120


def test_the_latest_iteration_with_a_dataset_is_learned_from(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no iteration with a dataset"):
        find_source(tmp_path)
    for iteration in (2, 10):
        loop_with_labels(tmp_path, iteration)
    (tmp_path / "iterations" / "11" / "labels").mkdir(parents=True)
    found = find_source(tmp_path)
    assert (found.number, found.labels) == (10, (tmp_path / "iterations" / "10" / "labels",))
    assert found.rules["max_rows_a_task"] == 5
    assert find_source(tmp_path, 2).number == 2
    with pytest.raises(RunError, match=r"iteration 11 of .* has no dataset"):
        find_source(tmp_path, 11)
    make_folder(tmp_path / "iterations" / "2" / "labels", [make_label()], iteration=2)
    with pytest.raises(StoreError, match="written again since"):
        find_source(tmp_path, 2)
    (tmp_path / "iterations" / "2" / "dataset" / "datasheet.json").write_text("[]")
    with pytest.raises(StoreError, match="is no datasheet"):
        find_source(tmp_path, 2)


def test_settings_have_limits(tmp_path: Path) -> None:
    source = SourceIteration(1, (), {}, "")
    assert AblationSettings(tmp_path, source).planned_steps == 57
    assert AblationSettings(tmp_path, source, variants=()).planned == (Variant.FULL,)
    for changes in ({"examples": 0}, {"steps": 1_001}, {"flags": {"gate": ("--x",)}}):
        with pytest.raises(SettingError):
            AblationSettings(tmp_path, source, **changes)


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command with scripted training; returns what it printed."""

    class Stages(AblationStages):
        def __init__(
            self, settings: AblationSettings, site: Callable[[], AbstractContextManager[Site]], *more: object
        ) -> None:
            super().__init__(settings, site, world.commands, more[1], world.serve)  # type: ignore[arg-type]

    monkeypatch.setattr(ablation_runs, "AblationStages", Stages)
    monkeypatch.setattr(command_runner, "_EXTRA", ("json",))

    def command(*given: str) -> str:
        parser = argparse.ArgumentParser()
        ablation_runs.add_ablation_flags(parser)
        options = parser.parse_args(["--examples", "24", *given])
        settings = ablation_runs.ablation_settings(options, world.folder / "loop", world.folder / "ablation", {})
        ablation_runs.run_ablation(settings, world.site, "world", Band.TAIL, Console(width=300))
        return capsys.readouterr().out

    return command


def test_the_command_ends_with_the_table_and_what_is_within_noise(world: World, run: Callable[..., str]) -> None:
    told = run()
    assert "✓ 1/6 full: dataset" in told
    assert "generation 8, quality 8, relevance 8" in told
    assert "6/6 generation only: evaluate" in told
    assert "min left" in told
    assert "• without hints: all of it is within noise" in told
    assert "• generation only: worse in rewrites P@1 (−0.7" in told
    page = (world.folder / "ablation" / "ablation.md").read_text("utf-8")
    assert "- generation only: worse in rewrites P@1 (−0.7" in page
    assert "what another seed of training would change is in none of them" in page
    assert "| without quality | 12 | 0 | 12 | 24 | 6 |" in page
    document = json.loads((world.folder / "ablation" / "ablation.json").read_text("utf-8"))
    assert document["rows"][5]["budget"] == {"examples": {"generation": 24}, "steps": 6}
    lines = len(world.commands.lines)
    assert "✓" not in run("--variants", "without-hints")
    assert len(world.commands.lines) == lines


def test_too_few_rows_and_nothing_to_compare_are_told(world: World, run: Callable[..., str]) -> None:
    told = run("--examples", "600", "--variants", "full")
    assert "examples of 600, there are no more" in told
    assert "nothing to compare the full run with" in told
    assert not (world.folder / "ablation" / "ablation.md").exists()
    with pytest.raises(RunError, match="of an ablation with other settings"):
        run("--examples", "30")


@pytest.mark.parametrize(
    "given", [("--variants", "without-luck"), ("--with", "train: --epochz 3"), ("--with", "gate: -x")]
)
def test_what_is_wrong_is_told_before_the_first_stage(
    world: World, run: Callable[..., str], given: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        run(*given)
    assert world.commands.lines == []
