"""The base model as judge and as source of chains of thought, through the real server's contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from iterqr_proto.rewrite_format import NO, YES, Question
from iterqr_training.errors import JudgeError
from iterqr_training.labels.base_server import BaseServer, BaseSettings
from iterqr_training.labels.chains import ChainJournal, Key, ask_chains
from iterqr_training.labels.judging import Subject
from iterqr_training.labels.records import Kind
from iterqr_training.labels.verdict_cache import VerdictCache
from iterqr_training.main import main
from support.broken_endpoints import nobody_listens
from support.labelling import attributed_town, make_chain
from support.predictable import last_query
from support.rewrite_server import RunningServer, answer, running_server

BASE = "predictable"


def script(prompt: str) -> str:
    """Rewrites are relevant if they look Thai; queries of one word have no meaning; others a whole chain."""
    _, is_scored, after = prompt.rpartition("\nrewrite: ")
    if is_scored:
        rewrite = after.partition("\n")[0]
        return YES if Question.QUALITY.value in prompt or "thai" in rewrite else NO
    query = last_query(prompt)
    if " " not in query:
        return f"fix: {query}\nrw: nothing"
    return answer(query, ["pad thai"], fix="pad thai", intent="dish", meaning="thai noodles")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(script=script) as running:
        yield running


def base(server: RunningServer, folder: Path, checkpoint: str = BASE) -> BaseServer:
    return BaseServer(BaseSettings(server.address, checkpoint, 30.0), VerdictCache(folder))


def test_scores_are_verdicts_and_are_kept(server: RunningServer, tmp_path: Path) -> None:
    subjects = [Subject(query, text, Kind.REWRITE) for query in ("pad tai", "soop") for text in ("pad thai", "pizza")]
    with base(server, tmp_path) as judge:
        first = judge.judge(subjects, lambda _count: None)
        again = judge.judge(subjects, lambda _count: None)
    assert {(each.text, verdict.relevance > 0.5) for each, verdict in first.verdicts.items()} == {
        ("pad thai", True),
        ("pizza", False),
    }
    assert again.verdicts == first.verdicts
    assert (first.usage.requests, again.usage.requests, again.usage.from_cache) == (2, 0, 4)


def test_a_student_must_not_judge_itself(server: RunningServer, tmp_path: Path) -> None:
    with base(server, tmp_path, "base-1") as judge, pytest.raises(JudgeError, match="a student must not judge itself"):
        judge.judge([Subject("pad tai", "pad thai", Kind.REWRITE)], lambda _count: None)
    assert not list(tmp_path.rglob("*.json")), "no verdict of it is kept"


def test_a_student_writes_no_chains(server: RunningServer, tmp_path: Path) -> None:
    journal = ChainJournal(tmp_path / "journal.jsonl")
    with base(server, tmp_path, "base-1") as judge, pytest.raises(JudgeError, match="serves checkpoint 'predictable'"):
        ask_chains(judge, [("pad tai", "north")], {}, journal, lambda _count: None)
    assert journal.read() == {}


def test_whole_chains_are_taken_and_the_known_are_not_asked_for(server: RunningServer, tmp_path: Path) -> None:
    journal = ChainJournal(tmp_path / "journal.jsonl")
    known = {("known query", "north"): make_chain("known query")}
    wanted: list[Key] = [("known query", "north"), ("pad tai", "north"), ("soop", "")]
    with base(server, tmp_path) as judge:
        chains = ask_chains(judge, wanted, known, journal, lambda _count: None)
    assert chains.found["known query", "north"].checkpoint_id == "base"
    asked = chains.found["pad tai", "north"]
    assert (asked.fix, asked.intent, asked.meaning, asked.checkpoint_id) == ("pad thai", "dish", "thai noodles", BASE)
    assert chains.missing == {"the base wrote no whole chain": 1}
    assert list(journal.read()) == [("pad tai", "north")]


def test_nobody_there(tmp_path: Path) -> None:
    with nobody_listens() as address:
        settings = BaseSettings(address, BASE, timeout_s=0.5)
        with (
            BaseServer(settings, VerdictCache(tmp_path)) as judge,
            pytest.raises(JudgeError, match=f"server {address}: "),
        ):
            judge.judge([Subject("pad tai", "pad thai", Kind.REWRITE)], lambda _count: None)


def test_from_signals_to_a_dataset(server: RunningServer, tmp_path: Path) -> None:
    """All of it by the command line: the base judges, is not believed for want of a reference, and tells chains."""
    inputs = attributed_town(tmp_path)
    out = tmp_path / "labels"
    flags = ["--judge", "base", "--server", server.address, "--base-checkpoint", BASE]
    main(["label", *inputs, "--out", str(out), *flags])
    about = json.loads((out / "labels.json").read_text("utf-8"))
    assert about["judge"]["judged"] == 5
    assert not any(each["used"] for each in about["judge"]["questions"])
    assert about["chains"] == {"found": 1, "corrected": 0, "missing": {"the base wrote no whole chain": 2}}
    assert json.loads((out / "judge_usage.json").read_text("utf-8"))["requests"] == 2
    main(["dataset", "--labels", str(out), "--out", str(tmp_path / "dataset"), "--test-share", "0"])
    sheet = json.loads((tmp_path / "dataset" / "datasheet.json").read_text("utf-8"))
    rows = {(each["task"], each["answer"]): 0 for each in sheet["counts"]}
    for each in sheet["counts"]:
        rows[each["task"], each["answer"]] += each["rows"]
    assert rows == {
        ("generation", ""): 1,
        ("quality", "Yes"): 3,
        ("quality", "No"): 1,
        ("relevance", "Yes"): 3,
        ("relevance", "No"): 3,
    }
