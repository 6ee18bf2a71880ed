"""Truth sets, answers and windows on disk: what is wrong is named, and what was asked is not asked again."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from iterqr_training.dataset.rows import Band
from iterqr_training.errors import SettingError, SourceError, StoreError
from iterqr_training.evaluate.answers import answer_all, answers_file, read_answers
from iterqr_training.evaluate.general_ability import (
    GeneralAbility,
    TextScore,
    general_texts,
    measure_general_ability,
    read_general_ability,
    write_general_ability,
)
from iterqr_training.evaluate.judge import Judgment, judge_all
from iterqr_training.evaluate.truth import read_truth, truth_digest, write_truth
from iterqr_training.evaluate.windows import ask_windows, read_body
from support.evaluations import ScriptedIndex, ScriptedRewriter, answer, truth, window

QUERIES = (truth("pad tai", Band.TAIL, "a b"), truth("soup", Band.HEAD, "s", tomato_soup=True))
SCRIPT = {"pad tai": answer("pad tai", "pad thai"), "soup": answer("soup", "broth", "tomato soup")}


def nothing() -> None:
    return


def test_a_truth_set_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    write_truth(file, QUERIES)
    assert read_truth(file) == QUERIES
    assert truth_digest(read_truth(file)) == truth_digest(QUERIES) != truth_digest(QUERIES[:1])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: must be a JSON object"),
        ('{"query": "x", "region": "n", "band": "tail", "relevant": ["a"], "kind": 1}', "unknown field 'kind'"),
        ('{"query": " !", "region": "n", "band": "tail", "relevant": ["a"]}', "query: must be a text with a word"),
        ('{"query": "x", "region": 1, "band": "tail", "relevant": ["a"]}', "region: must be a text"),
        ('{"query": "x", "region": "n", "band": "long", "relevant": ["a"]}', "band: must be one of head, torso, tail"),
        ('{"query": "x", "region": "n", "band": "tail", "relevant": [1]}', "relevant: must be a list of ids"),
        ('{"query": "x", "region": "n", "band": "tail"}', "relevant: it or judged must not be empty"),
        ('{"query": "x", "band": "tail", "judged": [{"text": "a"}]}', r"judged\[0\]: needs exactly"),
        ('{"query": "x", "band": "tail", "judged": [{"text": "a", "good": 1}]}', r"judged\[0\]: text must be"),
        (
            '{"query": "x", "band": "tail", "judged": [{"text": "a", "good": true}, {"text": "A!", "good": false}]}',
            r"judged\[1\]: text: has no word, or is there twice",
        ),
        (
            '{"query": "Pad Tai!", "region": "north", "band": "tail", "relevant": ["a"]}',
            "'Pad Tai!' is in line 1 already",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "truth.jsonl"
    first = {"query": "pad tai", "region": "north", "band": "tail", "relevant": ["a"]}
    file.write_text(json.dumps(first) + "\n" + line + "\n")
    with pytest.raises(StoreError, match=message):
        read_truth(file)


def test_a_truth_set_without_queries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(StoreError, match="has no queries"):
        read_truth(tmp_path / "empty.jsonl")
    with pytest.raises(StoreError, match="cannot be read"):
        read_truth(tmp_path / "none.jsonl")


def test_a_run_that_stopped_asks_only_what_is_missing(tmp_path: Path) -> None:
    def fails(query: str) -> None:
        if query == "soup":
            raise SourceError("gone")

    broken = ScriptedRewriter("model/1", SCRIPT, before=fails)
    with pytest.raises(SourceError):
        answer_all(broken, QUERIES, tmp_path, nothing)
    again = ScriptedRewriter("model/1", SCRIPT)
    found = answer_all(again, QUERIES, tmp_path, nothing)
    assert again.asked == 1
    assert found == {("north", query): each for query, each in SCRIPT.items()}
    assert read_answers(answers_file(tmp_path, "model/1")) == found
    assert answers_file(tmp_path, "model/1") != answers_file(tmp_path, "model_1")


def test_queries_asked_together_have_no_latency(tmp_path: Path) -> None:
    queries = [truth(f"query {number}", Band.TAIL) for number in range(10)]
    running: list[str] = []
    most = 0
    both = threading.Barrier(2, timeout=10)

    def before(query: str) -> None:
        nonlocal most
        running.append(query)
        most = max(most, len(running))
        if query not in {"query 0", "query 5"}:
            both.wait()
        running.remove(query)

    steps: list[None] = []
    system = ScriptedRewriter("model", {}, before=before, at_a_time=2)
    found = answer_all(system, queries, tmp_path, lambda: steps.append(None), timed=2)
    assert {each.query for each in found.values() if each.latency_ms is not None} == {"query 0", "query 5"}
    assert list(found) == [query.key for query in queries]
    assert most == 2
    assert len(steps) == 10
    assert read_answers(answers_file(tmp_path, "model")) == found


def test_a_system_that_answers_timed_queries_as_before_is_not_asked_the_others(tmp_path: Path) -> None:
    queries = [truth(f"query {number}", Band.TAIL) for number in range(10)]
    answers = {each.query: answer(each.query, f"better {each.query}") for each in queries}
    failed = {**answers, "query 1": replace(answer("query 1"), failure="no answer in time")}
    earlier = answer_all(ScriptedRewriter("model", failed), queries[:8], tmp_path / "1", nothing)
    same = ScriptedRewriter("model", answers, at_a_time=2)
    found = answer_all(same, queries, tmp_path / "2", nothing, timed=2, earlier=earlier)
    assert same.asked == 5  # the timed ones, and those that were not asked before or had no answer
    assert {each.query for each in found.values() if each.latency_ms is not None} == {"query 0", "query 5"}
    assert list(found) == [query.key for query in queries]
    changed = ScriptedRewriter("model", {**answers, "query 5": answer("query 5", "another")}, at_a_time=2)
    answer_all(changed, queries, tmp_path / "3", nothing, timed=2, earlier=earlier)
    assert changed.asked == 10


def test_a_system_that_takes_one_query_at_a_time_has_latency_for_all(tmp_path: Path) -> None:
    found = answer_all(ScriptedRewriter("model", SCRIPT), QUERIES, tmp_path, nothing, timed=0)
    assert all(each.latency_ms is not None for each in found.values())


def test_a_line_that_a_crash_cut_off_is_asked_again(tmp_path: Path) -> None:
    answer_all(ScriptedRewriter("model", SCRIPT), QUERIES, tmp_path, nothing)
    file = answers_file(tmp_path, "model")
    file.write_bytes(file.read_bytes()[:-10])
    again = ScriptedRewriter("model", SCRIPT)
    assert len(answer_all(again, QUERIES, tmp_path, nothing)) == 2
    assert again.asked == 1
    assert len(read_answers(file)) == 2


def test_answers_of_another_checkpoint_are_refused(tmp_path: Path) -> None:
    answer_all(ScriptedRewriter("model", SCRIPT, identity="one"), QUERIES, tmp_path, nothing)
    with pytest.raises(StoreError, match="was made by 'one', not by 'two'"):
        answer_all(ScriptedRewriter("model", SCRIPT, identity="two"), QUERIES, tmp_path, nothing)


def test_damaged_answers_are_refused(tmp_path: Path) -> None:
    file = answers_file(tmp_path, "model")
    file.write_text("no JSON\n")
    with pytest.raises(StoreError, match="is damaged"):
        answer_all(ScriptedRewriter("model", SCRIPT), QUERIES, tmp_path, nothing)
    with pytest.raises(StoreError, match="has no answers"):
        read_answers(file)


def test_each_text_is_searched_once(tmp_path: Path) -> None:
    index = ScriptedIndex({"soup": window(["s", "t"], [2.0, 1.0])})
    asked = [("north", "soup"), ("north", "soup"), ("south", "soup"), ("north", "rice")]
    found = ask_windows(index, asked, tmp_path, nothing)
    assert index.asked == 3
    again = ScriptedIndex({})
    assert ask_windows(again, asked, tmp_path, nothing) == found
    assert again.asked == 0
    assert [hit.score for hit in found["north", "soup"]] == [2.0, 1.0]
    with pytest.raises(StoreError, match="was made by 'index'"):
        ask_windows(ScriptedIndex({}, identity="changed"), asked, tmp_path, nothing)


def test_each_pair_is_judged_once(tmp_path: Path) -> None:
    class Judge:
        identity = "judge"

        def __init__(self) -> None:
            self.asked: list[tuple[str, ...]] = []

        def judge(self, query: str, rewrites: tuple[str, ...]) -> tuple[Judgment, ...]:
            self.asked.append(rewrites)
            return tuple(Judgment(query, each, 0.5, len(each) / 100) for each in rewrites)

    judge = Judge()
    judge_all(judge, [("soup", "broth"), ("soup", "stew")], tmp_path, nothing)
    found = judge_all(judge, [("soup", "broth"), ("soup", "pho")], tmp_path, nothing)
    assert judge.asked == [("broth", "stew"), ("pho",)]
    assert {key: each.relevance for key, each in found.items()} == {("soup", "broth"): 0.05, ("soup", "pho"): 0.03}


def test_a_search_without_a_place_for_the_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "search.json"
    file.write_text('{"query": {"match": {"title": "{{query}}"}}}')
    assert read_body(file) == {"query": {"match": {"title": "{{query}}"}}}
    file.write_text('{"query": {"match": {"title": "soup"}}}')
    with pytest.raises(SettingError, match="must be a JSON object with a value"):
        read_body(file)


class UniformScorer:
    """Knows an alphabet of 50 letters, all as likely."""

    checkpoint_id = "uniform"

    def score(self, text: str) -> TextScore:
        return TextScore(len(text) - 1, (len(text) - 1) * 3.912023005428146)  # log 50


def test_perplexity_of_a_uniform_model_is_the_size_of_its_alphabet(tmp_path: Path) -> None:
    found = measure_general_ability(UniformScorer())
    assert found.perplexity == pytest.approx(50)
    assert found.tokens == sum(len(text) - 1 for text in general_texts())
    file = tmp_path / "general.json"
    write_general_ability(file, found)
    assert read_general_ability(file) == found
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "texts_sha256": "0"}))
    with pytest.raises(StoreError, match="other texts"):
        read_general_ability(file)
    write_general_ability(file, GeneralAbility("none", 0, 0.0))
    with pytest.raises(StoreError, match="tokens: must be at least 1"):
        read_general_ability(file)
