"""The report as JSON, as a page and on the console, and that JSON says all that gates and ablations need."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from iterqr_proto.policy import read_policy
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import StoreError
from iterqr_training.evaluate.evaluated import EvaluationReport
from iterqr_training.evaluate.evaluation_json import evaluation_json, read_evaluation
from iterqr_training.evaluate.fusion import WindowHit
from iterqr_training.evaluate.report_console import report_console
from iterqr_training.evaluate.report_files import write_report
from iterqr_training.evaluate.report_page import report_page
from iterqr_training.evaluate.rewriter import Answer, NoRewriter, RankedRewrite, Rewriter
from iterqr_training.evaluate.truth import TruthQuery
from rich.console import Console
from support.evaluations import ScriptedRewriter, evaluated, window

HARMFUL = "<b>push</b>"
FALLING = [float(score) for score in range(10, 0, -1)]


def sets() -> tuple[list[TruthQuery], list[TruthQuery], Mapping[str, Answer], Mapping[str, tuple[WindowHit, ...]]]:
    """Held-out and validation queries; sure rewrites are right, unsure ones push the relevant object off the page."""
    script, windows = {}, {}
    queries: dict[str, list[TruthQuery]] = {"heldout": [], "validation": []}
    for name, mine in queries.items():
        for number in range(40):
            query = f"{name} {number}"
            original = [f"{name}{number}o{place}" for place in range(10)]
            sure = number % 2 == number // 2 % 2
            text = f"{query} dish" if sure else f"{query} {HARMFUL}"
            relevant = {original[0], f"{name}{number}new"} if sure else {original[9]}
            mine.append(TruthQuery(query, "north", Band.HEAD if number < 10 else Band.TAIL, frozenset(relevant)))
            script[query] = Answer(query, "north", (RankedRewrite(text, 0.9 if sure else 0.2),), 5.0, 7)
            windows[query] = window(original, FALLING)
            found = [f"{name}{number}new"] if sure else [f"{name}{number}f{place}" for place in range(5)]
            shown = [*original[:5], *found]
            windows[text] = window(shown, FALLING[: len(shown)])
    return queries["heldout"], queries["validation"], script, windows


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> EvaluationReport:
    heldout, validation, script, windows = sets()
    systems: list[Rewriter] = [NoRewriter(), ScriptedRewriter("model", script, identity="model-1")]
    return evaluated(tmp_path_factory.mktemp("run"), heldout, systems, windows, validation=validation)


def test_the_policy_is_fitted_to_validation_and_holds_on_held_out_queries(report: EvaluationReport) -> None:
    details = report.details["model"]
    assert details.policy_fit is not None
    assert not details.policy_fit.kept_default
    sums = report.evaluation.system("model").sums.by_measure
    assert sums["harm_rate"][:, 0].sum() == 0
    assert sums["lift_rate"][:, 0].sum() == 20
    assert len(details.won) == 5
    assert details.lost == ()


def test_calibration_is_judged_on_held_out_queries(report: EvaluationReport) -> None:
    calibration = report.details["model"].calibration
    assert calibration is not None
    # Said 0.9 and 0.2, all and none good.
    assert calibration.said.error == pytest.approx(0.5 * 0.1 + 0.5 * 0.2)
    assert calibration.calibrated.error < 0.06
    assert report.evaluation.system("model").calibration_error == calibration.calibrated.error
    assert report.details["none"].calibration is None


def test_json_has_what_gates_need(tmp_path: Path, report: EvaluationReport) -> None:
    write_report(report, tmp_path)
    read = read_evaluation(tmp_path / "evaluation.json")
    assert read.context == report.evaluation.context
    assert read.queries == report.evaluation.queries
    for mine, theirs in zip(read.systems, report.evaluation.systems, strict=True):
        assert (mine.name, mine.identity, mine.latency) == (theirs.name, theirs.identity, theirs.latency)
        assert mine.sums.by_measure.keys() == theirs.sums.by_measure.keys()
        for name, sums in mine.sums.by_measure.items():
            assert np.array_equal(sums, theirs.sums.by_measure[name])
    document = json.loads(evaluation_json(report))
    band = document["systems"][1]["bands"]["tail"]
    assert band["queries"] == 30
    assert band["values"]["lift_rate"]["value"] == 0.5
    assert band["gains"]["result_p10"]["value"] == pytest.approx(0.05)
    assert band["gains"]["result_p10"]["low"] > 0


def test_each_system_has_a_policy_that_a_manifest_can_carry(tmp_path: Path, report: EvaluationReport) -> None:
    write_report(report, tmp_path)
    fitted = json.loads((tmp_path / "policy-model.json").read_text())
    assert read_policy(fitted).policy_id.startswith("fit-")
    assert read_policy(json.loads((tmp_path / "policy-none.json").read_text())).policy_id == "default-1"


def test_the_page_escapes_what_users_type(report: EvaluationReport) -> None:
    page = report_page(report)
    assert HARMFUL not in page
    assert "<svg" in page
    assert "Is confidence right?" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_console_has_all_systems_beside_each_other(report: EvaluationReport) -> None:
    out = io.StringIO()
    Console(file=out, width=160).print(report_console(report))
    told = out.getvalue()
    assert "all queries: 40" in told
    assert "tail queries: 30" in told
    assert "harm rate" in told
    assert "torso" not in told


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    file.write_text('{"schema": "other"}')
    with pytest.raises(StoreError, match="schema: must be"):
        read_evaluation(file)
    file.write_text("[]")
    with pytest.raises(StoreError, match="is no evaluation"):
        read_evaluation(file)
