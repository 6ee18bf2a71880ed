"""Planted faults are each stopped by the gate that is named for them, and by no other."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SettingError, StoreError
from iterqr_training.evaluate.evaluated import Evaluation
from iterqr_training.evaluate.fusion import WindowHit
from iterqr_training.evaluate.report_files import write_report
from iterqr_training.evaluate.rewriter import Answer, NoRewriter, Rewriter
from iterqr_training.evaluate.truth import TruthQuery
from iterqr_training.gates.check import GateReport, State, check_gates
from iterqr_training.gates.datasheet import LabelAgreement, read_label_agreement
from iterqr_training.gates.settings import GATES, GateSettings, read_gate_settings
from iterqr_training.main import main
from support.evaluations import ScriptedEmbedder, ScriptedRewriter, answer, evaluated, window

COUNT, HEADS = 60, 20
SETTINGS = GateSettings()
COLLAPSED = "noodle soup"
FALLING = [float(score) for score in range(10, 0, -1)]


def query(number: int) -> str:
    return f"query {number}"


def good(number: int, other: str = "") -> str:
    return f"dish{number} stew{number}{other}"


def pusher(number: int) -> str:
    """A rewrite that pushes the one relevant object off the page."""
    return f"push{number} off{number}"


def queries() -> list[TruthQuery]:
    """The same dish soup is right for all of them, and so are two names of their own."""
    return [
        TruthQuery(
            query(number),
            "north",
            Band.HEAD if number < HEADS else Band.TAIL,
            frozenset({f"o{number}-9"}),
            {good(number): True, good(number, " please"): True, COLLAPSED: True},
        )
        for number in range(COUNT)
    ]


def windows() -> Mapping[str, tuple[WindowHit, ...]]:
    found = {}
    for number in range(COUNT):
        original = [f"o{number}-{place}" for place in range(10)]
        found[query(number)] = window(original, FALLING)
        found[pusher(number)] = window([*original[:5], *(f"p{number}-{place}" for place in range(5))], FALLING)
    return found


def script(rewrites: Callable[[int], tuple[str, ...]], **about: float) -> Mapping[str, Answer]:
    return {query(number): answer(query(number), *rewrites(number), **about) for number in range(COUNT)}


def champion() -> ScriptedRewriter:
    return ScriptedRewriter("champion", script(lambda number: (good(number),)), identity="champion-1")


def evaluate_candidate(folder: Path, answers: Mapping[str, Answer]) -> Evaluation:
    systems: list[Rewriter] = [NoRewriter(), champion(), ScriptedRewriter("candidate", answers, identity="candidate-1")]
    report = evaluated(folder, queries(), systems, windows(), embedder=ScriptedEmbedder())
    return report.evaluation


def checked(evaluation: Evaluation, settings: GateSettings = SETTINGS, kappa: float = math.nan) -> GateReport:
    return check_gates(evaluation, "candidate", "champion", settings, LabelAgreement(kappa))


def refused(report: GateReport) -> list[str]:
    return [each.name for each in report.refused]


def changed(evaluation: Evaluation, **fields: object) -> Evaluation:
    """The same evaluation with other figures of the candidate."""
    systems = tuple(
        replace(each, **fields) if each.name == "candidate" else each  # type: ignore[arg-type]
        for each in evaluation.systems
    )
    return replace(evaluation, systems=systems)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The candidate finds a second good rewrite for every third query."""
    answers = script(lambda number: (good(number), good(number, " please")) if number % 3 == 0 else (good(number),))
    return evaluate_candidate(tmp_path_factory.mktemp("sound"), answers)


def test_a_better_checkpoint_passes_all_gates(sound: Evaluation) -> None:
    report = checked(sound, kappa=0.7)
    assert report.passed
    assert [each.name for each in report.gates] == list(GATES)
    unmeasured = [each.name for each in report.gates if each.state is State.NOT_MEASURED]
    assert unmeasured == ["judged_drift", "forgetting"]
    assert report.verdict == "candidate may take the place of champion."
    assert report.candidate_identity == "candidate-1"


def test_a_collapsed_generator_is_stopped_by_diversity_though_it_is_right(tmp_path: Path) -> None:
    report = checked(evaluate_candidate(tmp_path, script(lambda _number: (COLLAPSED,))))
    assert refused(report) == ["diversity"]
    assert "share of queries with the same rewrite is 100.0%, at most 20.0% is allowed" in report.verdict


def test_a_repetitive_generator_is_stopped_by_diversity_though_no_rewrite_is_common(tmp_path: Path) -> None:
    # Ten rewrites for sixty queries, each for six: no one prevails.
    answers = script(lambda number: (good(number), *(f"bowl {(number + each) % 10} rice" for each in range(8))))
    report = checked(evaluate_candidate(tmp_path, answers))
    assert "diversity" in refused(report)


def test_a_drifting_model_is_stopped_by_drift_though_its_first_rewrite_is_right(tmp_path: Path) -> None:
    answers = script(lambda number: (good(number), *(f"far{number} away{number} {each}" for each in range(3))))
    report = checked(evaluate_candidate(tmp_path, answers))
    assert refused(report) == ["drift"]
    assert report.refused[0].value == pytest.approx(0.75)


def test_drift_below_the_bound_is_stopped_if_it_rises_over_the_champion(tmp_path: Path) -> None:
    answers = script(lambda number: (good(number), f"far{number} away{number}"))
    report = checked(evaluate_candidate(tmp_path, answers))
    assert refused(report) == ["drift"]
    assert "rises over the champion's by +0.5" in report.verdict


def test_high_harm_is_stopped_by_the_harm_rate_though_the_mean_hardly_falls(tmp_path: Path) -> None:
    harmed = range(HEADS, HEADS + 6)
    answers = script(lambda number: (good(number), pusher(number)) if number in harmed else (good(number),))
    report = checked(evaluate_candidate(tmp_path, answers))
    assert refused(report) == ["harm_rate"]
    assert report.refused[0].value == pytest.approx(6 / COUNT)


def test_harm_to_head_queries_has_a_gate_of_its_own(tmp_path: Path) -> None:
    answers = script(lambda number: (good(number), pusher(number)) if number < 2 else (good(number),))
    report = checked(evaluate_candidate(tmp_path, answers))
    assert refused(report) == ["head_harm_rate"]
    assert report.refused[0].value == pytest.approx(2 / HEADS)


def test_a_worse_checkpoint_is_stopped_by_the_comparison_with_the_champion(tmp_path: Path) -> None:
    answers = script(lambda number: (f"wrong{number} dish{number}",) if number % 2 else (good(number),))
    report = checked(evaluate_candidate(tmp_path, answers))
    assert refused(report) == ["rewrite_precision", "gain"]
    assert "rewrites P@5 on tail queries changes by −0.1 against the champion" in report.verdict


def test_slow_silent_malformed_and_failing_checkpoints_have_gates(tmp_path: Path) -> None:
    slow = evaluate_candidate(tmp_path / "slow", script(lambda number: (good(number),), latency_ms=20.0))
    assert refused(checked(slow)) == ["latency"]
    terse = replace(slow.system("champion"), name="terse", latency=replace(slow.system("champion").latency, p95_ms=1.0))
    both = replace(slow, systems=(*slow.systems, terse))
    assert "over that of champion is 2" in checked(slow).refused[0].sentence
    assert refused(check_gates(both, "champion", "terse", SETTINGS)) == ["latency"]
    assert check_gates(both, "champion", "terse", SETTINGS, baseline="champion").passed
    with pytest.raises(SettingError, match="nobody"):
        check_gates(both, "champion", "terse", SETTINGS, baseline="nobody")

    answers = dict(script(lambda number: (good(number),)))
    for number in range(2):
        answers[query(number)] = replace(answers[query(number)], well_formed=False)
    assert refused(checked(evaluate_candidate(tmp_path / "malformed", answers))) == ["format"]

    answers = dict(script(lambda number: (good(number),)))
    answers[query(0)] = replace(answers[query(0)], failure="DEADLINE_EXCEEDED")
    assert refused(checked(evaluate_candidate(tmp_path / "failing", answers))) == ["failures"]

    silent = evaluate_candidate(tmp_path / "silent", script(lambda number: (good(number),) if number < 6 else ()))
    assert "coverage" in refused(checked(silent))


def test_forgetting_and_flipped_labels_are_stopped(sound: Evaluation) -> None:
    champions = replace(sound.system("champion"), perplexity=20.0)
    others = tuple(champions if each.name == "champion" else each for each in sound.systems)
    forgetful = changed(replace(sound, systems=others), perplexity=25.0)
    assert refused(checked(forgetful)) == ["forgetting"]
    assert refused(checked(changed(forgetful, perplexity=21.0))) == []
    assert refused(checked(sound, kappa=-0.6)) == ["label_agreement"]


def test_empty_results_are_stopped(tmp_path: Path) -> None:
    answers = script(lambda number: (good(number),))
    systems: list[Rewriter] = [champion(), ScriptedRewriter("candidate", answers)]
    found = {text: hits for number, (text, hits) in enumerate(windows().items()) if number % 4}
    report = checked(evaluated(tmp_path, queries(), systems, found, embedder=ScriptedEmbedder()).evaluation)
    assert refused(report) == ["empty_results"]


def test_nobody_judges_its_own_rewrites(sound: Evaluation) -> None:
    new = sound.system("candidate")
    lost = replace(new, sums=replace(new.sums, by_measure={**new.sums.by_measure, "judged_drift": np.ones((COUNT, 2))}))
    systems = tuple(lost if each.name == "candidate" else each for each in sound.systems)
    by_base = replace(sound, systems=systems, context=replace(sound.context, judge="base/score-rewrites"))
    assert refused(checked(by_base)) == ["judged_drift"]
    by_itself = replace(by_base, context=replace(sound.context, judge="candidate-1/score-rewrites"))
    assert refused(checked(by_itself)) == []


def test_what_must_be_measured_and_was_not_is_refused(sound: Evaluation) -> None:
    report = checked(sound, replace(SETTINGS, required=("forgetting",)))
    assert refused(report) == ["forgetting"]
    assert report.verdict == "candidate is refused: forgetting: was not measured, and must be."


def test_a_generator_that_says_nothing_is_not_diverse(tmp_path: Path) -> None:
    report = checked(evaluate_candidate(tmp_path, {}))
    assert {"diversity", "coverage", "gain"} <= set(refused(report))


def test_the_command_says_why_in_words_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = script(lambda _number: (COLLAPSED,))
    systems: list[Rewriter] = [NoRewriter(), champion(), ScriptedRewriter("candidate", answers, identity="candidate-1")]
    write_report(evaluated(tmp_path, queries(), systems, windows(), embedder=ScriptedEmbedder()), tmp_path)
    datasheet = tmp_path / "datasheet.json"
    datasheet.write_text(json.dumps({"agreements": [{"labels": "dataset", "pairs": 90, "kappa": 0.8}]}))
    arguments = ["gate", "--evaluation", str(tmp_path / "evaluation.json"), "--champion", "champion"]
    arguments += ["--datasheet", str(datasheet), "--json", str(tmp_path / "gate.json")]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--candidate", "candidate"])
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert "candidate is refused: diversity" in out
    document = json.loads((tmp_path / "gate.json").read_text())
    assert document["passed"] is False
    assert document["candidate_identity"] == "candidate-1"
    states = {each["name"]: each["state"] for each in document["gates"]}
    assert states["diversity"] == "refused"
    assert states["label_agreement"] == "passed"
    main([*arguments, "--candidate", "champion"])
    assert json.loads((tmp_path / "gate.json").read_text())["passed"] is True
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--candidate", "nobody"])
    assert "evaluated are none, champion, candidate" in capsys.readouterr().err


def test_kappa_is_the_least_of_labels_that_were_learned_from(tmp_path: Path) -> None:
    file = tmp_path / "datasheet.json"
    agreements = [
        {"labels": "judge", "pairs": 90, "kappa": 0.1},
        {"labels": "dataset", "pairs": 90, "kappa": 0.7},
        {"labels": "final", "pairs": 90, "kappa": 0.6},
        {"labels": "dataset", "pairs": 90, "kappa": None},
        {"labels": "dataset", "pairs": 29, "kappa": 0.0},
    ]
    file.write_text(json.dumps({"agreements": agreements}))
    assert read_label_agreement(file) == LabelAgreement(0.6)
    file.write_text("{}")
    assert math.isnan(read_label_agreement(file).kappa)
    for text in ("no JSON", "[]", '{"agreements": [{}]}'):
        file.write_text(text)
        with pytest.raises(StoreError, match="cannot be read"):
            read_label_agreement(file)


def test_a_check_of_the_dataset_that_failed_refuses_in_its_own_words(tmp_path: Path, sound: Evaluation) -> None:
    file = tmp_path / "datasheet.json"
    checks = [
        {"name": "label_agreement", "subject": "a", "passed": False, "words": "kappa -0.9 with human labels"},
        {"name": "label_agreement", "subject": "b", "passed": None, "words": "too few"},
    ]
    file.write_text(json.dumps({"checks": checks}))
    report = check_gates(sound, "candidate", "champion", SETTINGS, read_label_agreement(file))
    assert report.verdict == "candidate is refused: label_agreement: kappa -0.9 with human labels."


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("max_harm_rate = 1.5", "max_harm_rate: must be a number from 0 to 1"),
        ("max_harm = 0.1", "max_harm is unknown"),
        ('required = ["speed"]', "required: unknown gate 'speed'"),
        ('band = "middle"', "band: must be all, head, torso, tail"),
        ('max_drift = "much"', "max_drift: must be a number"),
    ],
)
def test_settings_say_what_is_wrong(tmp_path: Path, table: str, message: str) -> None:
    file = tmp_path / "gates.toml"
    file.write_text(f"[gates]\n{table}\n")
    with pytest.raises(SettingError, match=message):
        read_gate_settings(file)


def test_settings_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "gates.toml"
    file.write_text('[gates]\nmax_harm_rate = 0.01\nrequired = ["harm_rate"]\n')
    assert read_gate_settings(file) == GateSettings(max_harm_rate=0.01, required=("harm_rate",))
