"""Numbers, turns and reports of the comparison of engines."""

from __future__ import annotations

import io
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from iterqr_benchmarks.engine_comparison.measuring import rotated
from iterqr_benchmarks.engine_comparison.peers.worker import LineStop
from iterqr_benchmarks.engine_comparison.prompt_set import (
    PromptFileError,
    RecordedPrompt,
    load_prompts,
    save_prompts,
)
from iterqr_benchmarks.engine_comparison.report import (
    ComparisonReport,
    comparison_html,
    comparison_json,
    comparison_table,
    derived_counters,
    verdict,
)
from iterqr_benchmarks.engine_comparison.results import (
    Measurement,
    add_counters,
    counter_rise,
    percentile,
    summarize,
)
from iterqr_benchmarks.engine_comparison.run import chosen_prompts
from iterqr_benchmarks.engine_comparison.validity import is_valid, through_rewrite, usable_rewrites
from iterqr_benchmarks.engine_comparison.worker_process import Answer, EngineProcess, EngineProcessError
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.queries import load_queries
from iterqr_benchmarks.queries.load import QuerySetName
from iterqr_training.machine import Machine
from rich.console import Console

QUERY_SETS: tuple[QuerySetName, ...] = ("heldout", "tuning")
TEXT = "fix: pad thai\nintent: dish\nmeaning: noodles\nrw: pad thai noodles\n"


def answer(latency_s: float, text: str = TEXT, name: str = "1-0") -> Answer:
    return Answer(id=name, text=text, tokens=20, latency_s=latency_s, first_s=latency_s / 2)


def measured(engine: str, seconds: float, round_number: int = 1, **stats: object) -> Measurement:
    return Measurement(engine, 1, round_number, 2 * seconds, (answer(seconds), answer(seconds, name="1-1")), stats)


def report(*measurements: Measurement) -> ComparisonReport:
    names = list(dict.fromkeys(each.engine for each in measurements))
    return ComparisonReport(
        created_at="2026-01-01T00:00:00+00:00",
        machine=Machine("cpu", 2, 24.0, "Linux", "3.11"),
        settings={"concurrency": [1], "max_rewrites": 3, "queries": 2, "rounds": 2, "threads": 2, "max_new_tokens": 96},
        engines={name: {"versions": {"python": "3.11"}, "model": "m"} for name in names},
        remarks=dict.fromkeys(names, "as it runs"),
        skipped={"llama.cpp": "no <compiler>"},
        queries={"1-0": "pad tai", "1-1": "<b>soup</b>"},
        measurements=measurements,
    )


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 2.5), (100, 4.0), (25, 1.75)])
def test_percentiles_lie_between_neighbours(percent: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    assert math.isnan(percentile([], 50))


def test_an_output_is_valid_with_all_fields_and_a_rewrite_of_its_own() -> None:
    assert is_valid(TEXT, "pad tai")
    assert not is_valid(TEXT, "Pad-Thai NOODLES")  # the only rewrite says what the query says
    assert not is_valid(TEXT.replace("meaning: noodles\n", ""), "pad tai")
    assert not is_valid("fix: a\nintent: b\nmeaning: c\n", "pad tai")


def test_rewrites_that_say_the_same_count_once() -> None:
    assert usable_rewrites("rw: Soup\nrw: soup!\nrw: stew\nrw: SOUP", "query") == ("Soup", "stew")


def test_outputs_are_judged_up_to_the_same_line() -> None:
    text = "fix: a\nRW : one\nrw: two\nrw: three\nrw: four"
    assert through_rewrite(text, 3) == "fix: a\nRW : one\nrw: two\nrw: three"
    assert through_rewrite("fix: a", 3) == "fix: a"


@pytest.mark.parametrize(
    ("text", "is_over"),
    [
        ("fix: a\nrw: one\nrw: two\n", True),
        ("fix: a\nrw: one\nrw: two", False),  # the line may go on
        ("fix: a\nrw: one\nrw: \n", False),  # an empty line is none
        ("fix: rw: one\nRW: one\nrw : two\n", True),
    ],
)
def test_peers_stop_after_the_last_wanted_line(text: str, is_over: bool) -> None:
    assert LineStop(2).is_over(text) is is_over


def test_counters_are_told_apart_from_gauges_and_summed() -> None:
    before = {"steps_total": 3, "running": 5, "drafts": [{"source": "hint", "proposed": 2, "accepted": 1}]}
    after = {
        "steps_total": 10,
        "running": 0,
        "drafts": [{"source": "hint", "proposed": 6, "accepted": 4}, {"source": "copy", "proposed": 1, "accepted": 0}],
    }
    rise = counter_rise(before, after)
    assert rise == {
        "steps_total": 7,
        "drafts_proposed_total": {"hint": 4, "copy": 1},
        "drafts_accepted_total": {"hint": 3, "copy": 0},
    }
    assert add_counters([rise, rise])["drafts_proposed_total"] == {"hint": 8, "copy": 2}


def test_counters_become_readings_per_query_step_and_draft() -> None:
    stats: dict[str, Any] = {
        "steps_total": 10,
        "rows_total": 40,
        "step_seconds_total": 0.2,
        "drafts_proposed_total": {"hint": 8, "never": 0},
        "drafts_accepted_total": {"hint": 6, "never": 0},
    }
    readings = derived_counters([measured("iterqr", 1.0, **stats)])
    assert readings["steps per query"] == 5
    assert readings["ms per step"] == pytest.approx(20)
    assert readings["ms per row"] == pytest.approx(5)
    assert readings["drafts accepted: hint"] == 0.75
    assert readings["drafts accepted: never"] == 0


def test_summary_counts_all_answers_and_the_whole_time() -> None:
    summary = summarize([measured("x", 1.0), measured("x", 3.0, 2)], {"1-0": "pad tai", "1-1": "pad thai noodles"}, 3)
    assert summary.queries == 4
    assert summary.p50_s == 2.0
    assert summary.queries_per_s == 0.5
    assert summary.valid_share == 0.5  # one of the two queries is what the rewrite says


def test_engines_take_turns_in_going_first() -> None:
    engines = [EngineProcess(name, [], {}, Path("log")) for name in ("a", "b", "c")]
    assert [rotated(engines, number)[0].name for number in range(4)] == ["a", "b", "c", "a"]
    assert [engine.name for engine in rotated(engines, 2)] == ["c", "a", "b"]


def test_each_concurrency_has_prompts_of_its_own() -> None:
    recorded = [RecordedPrompt("heldout", str(number), "north", ()) for number in range(10)]
    assert [each.query for each in chosen_prompts(recorded, 0, 4)] == ["0", "1", "2", "3"]
    assert [each.query for each in chosen_prompts(recorded, 2, 4)] == ["8", "9", "0", "1"]
    with pytest.raises(BenchmarkError, match="at most 10 are recorded, got 11"):
        chosen_prompts(recorded, 0, 11)


def test_report_tells_the_first_round_from_all_and_ours_from_the_best_peer() -> None:
    made = report(measured("iterqr", 0.5), measured("slow", 2.0), measured("quick", 1.0), measured("iterqr", 0.1, 2))
    (sentence,) = verdict(made)
    assert sentence.startswith(
        "iterqr, 1 at a time: p50 is 0.50 of the best peer's (quick), queries/s 2.00 times (quick)"
    )
    document = json.loads(comparison_json(made))
    assert [each["p50_s"] for each in document["summaries"]["first"]] == [0.5, 2.0, 1.0]
    assert document["summaries"]["all"][0]["p50_s"] == pytest.approx(0.3)
    assert document["measurements"][0]["answers"][0]["text"] == TEXT
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(comparison_table(made))
    assert "llama.cpp: left out: no <compiler>" in console.export_text()


def test_what_users_typed_is_text_on_the_page() -> None:
    page = comparison_html(report(measured("iterqr", 0.5), measured("peer", 1.0)))
    assert "&lt;b&gt;soup&lt;/b&gt;" in page
    assert "<b>soup" not in page


def test_recorded_prompts_are_those_of_the_query_sets() -> None:
    recorded = load_prompts()
    for name in QUERY_SETS:
        assert [each.query for each in recorded if each.query_set == name] == [
            each.query for each in load_queries(name)
        ]
    assert [each.query_set for each in recorded[:40]] == ["heldout"] * 40
    assert sum(bool(each.hints) for each in recorded) > 100


def test_prompts_are_read_as_they_were_written(tmp_path: Path) -> None:
    prompts = (
        RecordedPrompt("heldout", 'phở "gà"', "north", ("Phở Gà", "Bún")),
        RecordedPrompt("tuning", "x", "y", ()),
    )
    save_prompts(tmp_path / "prompts.json", prompts)
    assert load_prompts(tmp_path / "prompts.json") == prompts


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"hints": "Soup"}, "hints an array"),
        ({"query": ""}, "non-empty strings"),
        ({"more": 1}, "needs exactly the keys"),
    ],
)
def test_a_wrong_prompt_is_named(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    entry = {**asdict(RecordedPrompt("heldout", "soup", "north", ())), **change}
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"schema": "iterqr-prompts/v1", "prompts": [entry]}))
    with pytest.raises(PromptFileError, match=rf"prompts\[0\]: .*{complaint}"):
        load_prompts(file)


def process(script: str, log: Path) -> EngineProcess:
    ready = "import json, sys; print(json.dumps({'event': 'ready', 'model': 'm'}), flush=True)\n"
    return EngineProcess("echo", [sys.executable, "-c", ready + script], {}, log)


def test_an_engine_answers_in_its_own_process(tmp_path: Path) -> None:
    script = """
for line in sys.stdin:
    asked = json.loads(line)
    numbers = {"tokens": 1, "latency_s": 0.1, "first_s": 0.1}
    answers = [{"id": each["id"], "text": each["query"], **numbers} for each in asked["prompts"]]
    print(json.dumps({"event": "result", "wall_s": 0.5, "answers": answers, "stats": {}}), flush=True)
"""
    with process(script, tmp_path / "log") as engine:
        assert engine.about == {"model": "m"}
        result = engine.run([{"id": "1", "query": "phở"}], concurrency=1, max_rewrites=3, max_new_tokens=9)
    assert result.answers == (Answer("1", "phở", 1, 0.1, 0.1),)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("sys.stdin.readline(); sys.exit('out of memory')", r"echo: its process ended\n(.|\n)*out of memory"),
        ("sys.stdin.readline(); print('hello', flush=True); sys.stdin.read()", "wrote 'hello"),
        (
            "sys.stdin.readline(); print(json.dumps({'event': 'error', 'message': 'too long'}), flush=True)",
            "gave 'too long'",
        ),
    ],
)
def test_a_failing_engine_is_told_with_its_log(tmp_path: Path, script: str, complaint: str) -> None:
    with (
        process(script, tmp_path / "log") as engine,
        pytest.raises(EngineProcessError, match=complaint),
    ):
        engine.run([], concurrency=1, max_rewrites=3, max_new_tokens=9)
