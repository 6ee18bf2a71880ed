"""Each stage's line is one that its command understands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from iterqr_training.commands import attribute, collect, dataset, evaluate, experiment, export, gate, label, train
from iterqr_training.commands.in_process import InProcess
from iterqr_training.errors import SettingError, StoreError
from iterqr_training.loop.checking import check_lines
from iterqr_training.loop.command_lines import CANDIDATE, CHAMPION, UNTUNED, CommandLines
from iterqr_training.loop.settings import LoopSettings
from iterqr_training.loop.traffic_source import CONTROL, EXPERIMENT, TREATMENT, Played, Site

SITE = Site(
    url="http://127.0.0.1:9200",
    server="127.0.0.1:50051",
    catalog="dishes",
    search=Path("search.json"),
    heldout=Path("heldout.jsonl"),
    validation=Path("validation.jsonl"),
    vocabulary=Path("titles.txt"),
    base_model="base",
    client_key_file=Path("client.key"),
)
PLAYED = Played({EXPERIMENT: "a", CONTROL: "b", TREATMENT: "c"}, TREATMENT, 30, 100)


def commands() -> InProcess:
    return InProcess((collect, attribute, experiment, label, dataset, train, export, evaluate, gate))


def value(line: list[str], flag: str) -> str:
    return line[line.index(flag) + 1]


def test_the_defaults_are_understood(tmp_path: Path) -> None:
    check_lines(LoopSettings(tmp_path), commands())


def test_a_wrong_flag_is_found_before_the_first_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        check_lines(LoopSettings(tmp_path, flags={"train": ("--epochz", "2")}), commands())
    assert ended.value.code == 2
    assert "--epochz" in capsys.readouterr().err


def test_a_persons_flags_win_over_the_loops(tmp_path: Path) -> None:
    line = CommandLines(LoopSettings(tmp_path, flags={"train": ("--base", "other")}), 1).train(SITE)
    assert commands()._parser.parse_args(line).base == "other"


def test_measured_queries_are_kept_out_of_the_data_of_all_iterations(tmp_path: Path) -> None:
    line = CommandLines(LoopSettings(tmp_path), 3).dataset(SITE, [1, 3])
    options = commands()._parser.parse_args(line)
    assert options.exclude == [SITE.heldout, SITE.validation]
    assert options.labels == [tmp_path / "iterations" / number / "labels" for number in ("1", "3")]


def test_the_experiment_is_of_the_planned_split_and_paired_where_both_arms_were_replayed(tmp_path: Path) -> None:
    lines = CommandLines(LoopSettings(tmp_path), 1)
    assert value(lines.experiment(PLAYED), "--shares") == "control=70,treatment=30"
    assert value(lines.experiment(PLAYED), "--paired") == str(tmp_path / "iterations" / "1" / "marts")
    assert "--paired" not in lines.experiment(replace(PLAYED, applications={EXPERIMENT: "a"}))


def test_chains_come_from_the_base_and_truth_is_only_compared_with(tmp_path: Path) -> None:
    line = CommandLines(LoopSettings(tmp_path), 2).label(SITE, PLAYED, "base-id", "127.0.0.1:1", Path("truth.jsonl"))
    options = commands()._parser.parse_args(line)
    assert (options.base_checkpoint, options.server, options.judge) == ("base-id", "127.0.0.1:1", "none")
    assert options.truth == Path("truth.jsonl")
    assert not options.upper_bound_learn_truth
    assert options.marts == tmp_path / "iterations" / "2" / "marts" / TREATMENT


def test_novelty_and_forgetting_are_told_of_the_champions_iteration(tmp_path: Path) -> None:
    servers = [(UNTUNED, "a:1"), (CHAMPION, "b:1"), (CANDIDATE, "c:1")]
    line = CommandLines(LoopSettings(tmp_path), 3).evaluate(SITE, TREATMENT, servers, promoted=1)
    options = commands()._parser.parse_args(line)
    first = tmp_path / "iterations" / "1"
    assert options.previous == first / "evaluation" / "heldout" / "answers-candidate.jsonl"
    assert options.earlier == [(CHAMPION, str(options.previous))]
    assert dict(options.general)[CHAMPION] == str(first / "general.json")
    assert options.server == servers
    plain = CommandLines(LoopSettings(tmp_path, measure_general=False), 1).evaluate(SITE, TREATMENT, servers, None)
    assert "--general" not in plain
    assert "--previous" not in plain
    assert "--earlier" not in plain


def test_what_was_trained_is_exported_adapter_or_all_weights(tmp_path: Path) -> None:
    lines = CommandLines(LoopSettings(tmp_path), 1)
    training = tmp_path / "iterations" / "1" / "training"
    assert value(lines.export(SITE, "base-id"), "--adapter") == str(training / "adapter")
    (training / "weights").mkdir(parents=True)
    assert value(lines.export(SITE, "base-id"), "--weights") == str(training / "weights")


def test_a_command_runs_here_with_its_line_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "gate.log"
    with pytest.raises(StoreError, match=r"datasheet\.json"):
        commands().run(CommandLines(LoopSettings(tmp_path), 1).gate(UNTUNED), log)
    assert log.read_text("utf-8").startswith("$ iterqr-train gate --evaluation ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iterations": 0}, "iterations is 0"),
        ({"canary_percent": 100}, "canary_percent is 100"),
        ({"flags": {"collect": ("--url",)}}, "'collect' takes none"),
    ],
)
def test_settings_have_limits(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        LoopSettings(tmp_path, **changes)  # type: ignore[arg-type]
