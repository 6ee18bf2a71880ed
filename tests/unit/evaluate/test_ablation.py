"""The ablation table: what differs, what is noise, and what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SettingError
from iterqr_training.evaluate.ablation import AblationRun, Budget, ablate
from iterqr_training.evaluate.ablation_report import ablation_markdown, conclusions
from iterqr_training.evaluate.evaluated import Evaluation
from iterqr_training.evaluate.report_files import write_report
from iterqr_training.evaluate.truth import TruthQuery
from iterqr_training.main import main
from support.evaluations import ScriptedRewriter, answer, evaluated

COUNT = 40


def queries(count: int = COUNT) -> list[TruthQuery]:
    return [TruthQuery(f"query {n}", "north", Band.TAIL, judged={f"right {n}": True}) for n in range(count)]


def system(name: str, right: int) -> ScriptedRewriter:
    """The first `right` queries get a good rewrite, the others a bad one."""
    texts = {n: f"right {n}" if n < right else f"wrong {n}" for n in range(COUNT)}
    return ScriptedRewriter(
        name, {f"query {n}": answer(f"query {n}", text) for n, text in texts.items()}, identity=name
    )


def run(folder: Path, label: str, right: int) -> AblationRun:
    evaluation = evaluated(folder / label, queries(), [system(label, right)]).evaluation
    return AblationRun(label, evaluation, evaluation.systems[0])


def test_a_large_difference_is_told_and_a_small_one_is_noise(tmp_path: Path) -> None:
    runs = [run(tmp_path, label, right) for label, right in (("full", 30), ("worse", 10), ("same", 29), ("best", 38))]
    table = ablate(runs, Band.TAIL)
    precision = [row.cells[0] for row in table.rows]
    assert [cell.measure for cell in precision] == ["rewrite_p1"] * 4
    assert [cell.value.value for cell in precision] == pytest.approx([0.75, 0.25, 0.725, 0.95])
    assert [cell.tone for cell in precision] == ["", "bad", "", "good"]
    assert [cell.within_noise for cell in precision] == [False, False, True, False]
    assert precision[1].change.value == pytest.approx(-0.5)
    lines = ablation_markdown(table).splitlines()
    assert lines[0].startswith("| run | rewrites P@1 |")
    assert "harm" not in lines[0]  # without an index nobody measured it
    assert lines[2].startswith("| full | 0.75 |")
    assert lines[3].startswith("| worse | 0.25 (−0.5, ")
    assert [line.count("≈") for line in lines[2:6]] == [0, 0, 3, 0]


def test_each_run_has_a_sentence_and_its_budget_if_that_is_known(tmp_path: Path) -> None:
    runs = [run(tmp_path, label, right) for label, right in (("full", 30), ("worse", 10), ("same", 29), ("best", 38))]
    runs[0] = replace(runs[0], budget=Budget({"generation": 1_200, "quality": 100}, 57))
    table = ablate(runs, Band.TAIL)
    worse, same, best = conclusions(table)
    assert worse.startswith("worse: worse in rewrites P@1 (−0.5, −0.")
    assert "within noise" not in worse  # P@5 and P@10 fell, too
    assert same == "same: all of it is within noise"
    assert best.startswith("best: better in rewrites P@1 (+0.2, ")
    lines = ablation_markdown(table).splitlines()
    assert [line for line in lines if line.startswith("- ")] == [f"- {each}" for each in (worse, same, best)]
    assert lines[-3:] == [
        "| run | generation | quality | relevance | training examples in all | steps |",
        "|---|---|---|---|---|---|",
        "| full | 1,200 | 100 | 0 | 1,300 | 57 |",
    ]
    assert "Of 9 differences" in "\n".join(lines)


def test_other_queries_cannot_be_compared(tmp_path: Path) -> None:
    full, other = run(tmp_path, "full", 30), run(tmp_path, "other", 20)
    context = replace(other.evaluation.context, truth_sha256="another")
    strange = replace(other, evaluation=Evaluation(context, other.evaluation.queries, other.evaluation.systems))
    with pytest.raises(SettingError, match="other was measured on other queries than full"):
        ablate([full, strange], None)
    with pytest.raises(SettingError, match="at least 2"):
        ablate([full], None)
    with pytest.raises(SettingError, match="twice"):
        ablate([full, full], None)
    with pytest.raises(SettingError, match="no head queries"):
        ablate([full, other], Band.HEAD)


def test_the_command_compares_evaluations_of_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, right in (("full", 30), ("worse", 10)):
        write_report(evaluated(tmp_path / name, queries(), [system("model", right)]), tmp_path / name)
    runs = [f"full={tmp_path}/full/evaluation.json:model", f"without hints={tmp_path}/worse/evaluation.json:model"]
    main(["ablation", "--run", runs[0], "--run", runs[1], "--out", str(tmp_path / "table")])
    assert "without hints" in capsys.readouterr().out
    document = json.loads((tmp_path / "table" / "ablation.json").read_text())
    assert document["schema"] == "iterqr-ablation/v1"
    cell = document["rows"][1]["cells"][0]
    assert (cell["measure"], cell["value"]["value"], cell["within_noise"]) == ("rewrite_p1", 0.25, False)
    assert document["rows"][0]["cells"][0]["change"]["value"] is None
    assert (tmp_path / "table" / "ablation.md").read_text().startswith("| run |")
    with pytest.raises(SystemExit):
        main(["ablation", "--run", "full", "--out", str(tmp_path / "table")])
    assert "'full' is not like LABEL=FILE:SYSTEM" in capsys.readouterr().err
