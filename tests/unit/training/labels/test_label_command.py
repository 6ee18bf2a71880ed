"""`iterqr-train label` on a town of known outcomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from iterqr_training.errors import StoreError
from iterqr_training.labels.chains import chain_lines
from iterqr_training.labels.label_folder import LabelFolder, read_label_folder
from iterqr_training.main import main
from support.labelling import TITLES, attributed_town, make_chain, write_lines


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return attributed_town(tmp_path_factory.mktemp("town"))


def label(inputs: list[str], out: Path, *flags: str, status: int = 0) -> tuple[LabelFolder, dict[str, Any]]:
    try:
        main(["label", *inputs, "--out", str(out), *flags])
        ended = 0
    except SystemExit as error:
        ended = int(str(error.code))
    assert ended == status
    return read_label_folder(out), json.loads((out / "labels.json").read_text("utf-8"))


def answers(folder: LabelFolder, task: str, kind: str = "rewrite") -> dict[tuple[str, str], bool]:
    return {
        (each.query, each.subject): each.positive for each in folder.labels if (each.task, each.kind) == (task, kind)
    }


def told(subject: str, answer: str, query: str = "pad tai", task: str = "relevance", **more: str) -> dict[str, Any]:
    return {"task": task, "query": query, "subject": subject, "label": answer, **more}


def test_clicks_label_what_they_show_and_nothing_else(inputs: list[str], tmp_path: Path) -> None:
    folder, about = label(inputs, tmp_path / "out", "--no-reformulations", "--no-corrections")
    assert answers(folder, "relevance") == {
        ("pad tai", "pad thai"): True,
        ("pad tai", "frozen pizza"): False,
        ("pad tai", "zzz"): False,
        ("soop", "soup"): True,
        ("soop", "soap"): False,
    }
    assert answers(folder, "quality") == {
        ("pad tai", "pad thai"): True,
        ("pad tai", "zzz"): False,
        ("soop", "soup"): True,
    }
    assert about["left_out"] == {
        "a long number": 3,
        "fewer clients than min_clients": 3,
        "query or subject over the limit of its length": 1,
    }
    assert {each.clients for each in folder.labels} == {6, 12}


def test_what_users_searched_for_next_is_a_rewrite(inputs: list[str], tmp_path: Path) -> None:
    folder, about = label(inputs, tmp_path / "out", "--no-corrections")
    found = [each for each in folder.labels if each.source == "reformulation"]
    assert {(each.task, each.query, each.subject, each.positive) for each in found} == {
        ("quality", "winggs", "wings", True),
        ("relevance", "winggs", "wings", True),
    }
    assert {(each.weight, each.clients) for each in found} == {(0.8, 4)}, "four clicks, of four clients"
    assert about["reformulations"] == {
        "labelled": 1,
        "left_out": {
            "a long number": 1,
            "fewer clients than min_clients": 1,
            "less searched for than the query": 1,
        },
    }


def test_the_usual_spelling_is_a_rewrite(inputs: list[str], tmp_path: Path) -> None:
    folder, _ = label(inputs, tmp_path / "out", "--no-reformulations")
    found = [each for each in folder.labels if each.source == "spelling"]
    assert {(each.task, each.query, each.subject, each.positive) for each in found} == {
        ("quality", "winggs", "wings", True),
        ("relevance", "winggs", "wings", True),
    }
    (weight,) = {each.weight for each in found}
    assert 0.75 <= weight < 1, "searched for at least three times as often"
    assert {each.clients for each in found} == {4}, "the fewer of both"


def test_the_usual_spelling_is_the_fix_of_a_chain(inputs: list[str], tmp_path: Path) -> None:
    (tmp_path / "chains.jsonl").write_text(chain_lines([make_chain("winggs"), make_chain()]), "utf-8")
    flags = ["--chains", str(tmp_path / "chains.jsonl")]
    folder, about = label(inputs, tmp_path / "out", *flags)
    assert {chain.query: chain.fix for chain in folder.chains.values()} == {
        "winggs": "wings",
        "pad tai": "pad tai fixed",
    }
    assert about["chains"]["corrected"] == 1
    kept, about = label(inputs, tmp_path / "kept", *flags, "--no-corrections")
    assert {chain.fix for chain in kept.chains.values()} == {"winggs fixed", "pad tai fixed"}
    assert about["chains"]["corrected"] == 0


def test_people_overrule_reformulations(inputs: list[str], tmp_path: Path) -> None:
    human = write_lines(tmp_path / "human.jsonl", [told("Wings", "no", query="winggs")])
    folder, about = label(inputs, tmp_path / "out", "--human", str(human), "--no-corrections")
    assert answers(folder, "relevance")["winggs", "wings"] is False
    assert about["overruled"] == {"reformulation": 1}


def test_people_overrule_the_usual_spelling(inputs: list[str], tmp_path: Path) -> None:
    human = write_lines(tmp_path / "human.jsonl", [told("Wings", "no", query="winggs")])
    folder, about = label(inputs, tmp_path / "out", "--human", str(human), "--no-reformulations")
    (relevance,) = (each for each in folder.labels if each.query == "winggs" and each.task == "relevance")
    assert (relevance.source, relevance.region, relevance.positive) == ("human", "north", False)
    assert about["overruled"] == {"spelling": 1}


def test_agreement_tells_how_many_reformulations_are_right(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_lines(tmp_path / "truth.jsonl", [told("wings", "yes", query="winggs", source="truth")])
    _, about = label(inputs, tmp_path / "out", "--truth", str(truth))
    (agreed,) = [each for each in about["agreements"] if each["labels"] == "reformulations"]
    assert (agreed["pairs"], agreed["precision"]) == (1, 1.0)
    assert "calls 1 of 1 rewrites that users searched for next good (1.00)" in capsys.readouterr().out


def test_items_are_labelled_by_their_titles(inputs: list[str], tmp_path: Path) -> None:
    titles = write_lines(tmp_path / "titles.jsonl", ({"object_id": k, "title": v} for k, v in TITLES.items()))
    folder, about = label(inputs, tmp_path / "out", "--titles", str(titles))
    found = answers(folder, "relevance", "item")
    assert found["pad tai", "Pad Thai with Shrimp"] is True
    assert found["pad tai", "Pizza from the Freezer"] is False
    assert about["left_out"]["item without a title"] > 0


def test_the_same_signals_give_the_same_bytes(inputs: list[str], tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        label(inputs, tmp_path / name)
        written.append([(tmp_path / name / file).read_bytes() for file in ("labels.jsonl", "labels.json")])
    assert written[0] == written[1]


def test_people_overrule_clicks(inputs: list[str], tmp_path: Path) -> None:
    human = write_lines(tmp_path / "human.jsonl", [told("Pad-Thai", "no"), told("tom yum", "yes", query="tom jam")])
    folder, about = label(inputs, tmp_path / "out", "--human", str(human))
    found = answers(folder, "relevance")
    assert found["pad tai", "pad thai"] is False
    assert found["tom jam", "tom yum"] is True
    assert about["overruled"]["click"] == 1


def flipped(answer: bool) -> str:
    return "no" if answer else "yes"


def test_flipped_labels_fail_the_named_check(inputs: list[str], tmp_path: Path) -> None:
    """The reference says the opposite of each click label, as if all had been flipped."""
    clicks, _ = label(inputs, tmp_path / "clicks")
    rows = [
        told(each.subject, flipped(each.positive), each.query, source="truth")
        for each in clicks.labels
        if each.task == "relevance" and each.source == "click"
    ]
    truth = write_lines(tmp_path / "truth.jsonl", rows)
    flags = ["--truth", str(truth), "--min-reference", "5"]
    folder, about = label(inputs, tmp_path / "out", *flags, status=1)
    (check,) = about["checks"]
    assert (check["name"], check["passed"]) == ("label_agreement", False)
    (agreed,) = [each for each in about["agreements"] if each["labels"] == "final"]
    assert agreed["kappa"] < -0.5
    assert agreed["confusion"] == {"yes_yes": 0, "yes_no": 2, "no_yes": 3, "no_no": 0}
    assert folder.failed_checks
    assert answers(folder, "relevance") == answers(clicks, "relevance"), "truth is compared with, never learned from"


def test_an_upper_bound_is_called_so_everywhere(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_lines(tmp_path / "truth.jsonl", [told("pad thai", "no", source="truth")])
    folder, about = label(inputs, tmp_path / "out", "--truth", str(truth), "--upper-bound-learn-truth")
    assert answers(folder, "relevance")["pad tai", "pad thai"] is False
    assert {each.source for each in folder.labels} == {"click", "reformulation", "truth"}
    assert folder.is_upper_bound
    assert about["words"][0].startswith("UPPER BOUND")
    assert "UPPER BOUND" in capsys.readouterr().out


def test_known_chains_of_thought_are_taken_and_others_are_told_as_missing(inputs: list[str], tmp_path: Path) -> None:
    (tmp_path / "chains.jsonl").write_text(chain_lines([make_chain()]), "utf-8")
    folder, about = label(inputs, tmp_path / "out", "--chains", str(tmp_path / "chains.jsonl"))
    assert list(folder.chains) == [("pad tai", "north")]
    assert about["chains"] == {"found": 1, "corrected": 0, "missing": {"no server was asked": 2}}


def test_a_file_that_was_touched_is_noticed(inputs: list[str], tmp_path: Path) -> None:
    label(inputs, tmp_path / "out")
    file = tmp_path / "out" / "labels.jsonl"
    file.write_text(file.read_text("utf-8").replace('"yes"', '"no"'), "utf-8")
    with pytest.raises(StoreError, match="its digest is another"):
        read_label_folder(tmp_path / "out")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--judge", "base"], "judge base needs --server and --base-checkpoint"),
        (["--server", "127.0.0.1:1"], "base_checkpoint must name the base model's checkpoint"),
        (["--judge", "chat"], "judge model must not be empty"),
        (["--upper-bound-learn-truth"], "learn_truth needs a truth"),
        (["--min-kappa", "2"], "min_kappa is 2.0, and must be from 0 to 1"),
    ],
)
def test_what_cannot_be_done_is_said(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["label", *inputs, "--out", str(tmp_path / "out"), *flags])
    assert ended.value.code == 1
    assert words in capsys.readouterr().err
