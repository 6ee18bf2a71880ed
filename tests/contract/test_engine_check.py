"""`iterqr-server engine-check`: says what is fine, and plainly what is off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from iterqr_server.checkpoints.memory import Room
from iterqr_server.checkpoints.swap_rules import SwapRules
from iterqr_server.engine.interface import DraftSourceStats, EngineStats, GenerationEngine
from iterqr_server.engine_check.command import check_engine
from iterqr_server.engine_check.probes import PROBES, ProbeAnswer, ProbeResults
from iterqr_server.engine_check.report import CheckLine, CheckReport, probe_lines
from iterqr_server.engine_check.second_model import SecondModel
from iterqr_server.main import EXIT_FAILED, main
from iterqr_server.models.errors import BuiltModelError
from support.engine_conformance import TEMPLATE
from support.engines_under_test import script
from support.predictable import predictable_engine
from support.tensorrt_llm_double.facts import classes
from support.tensorrt_llm_double.installing import Double, installed_double

PROBE_LINES = [
    "start",
    "prefix cache",
    "guided output",
    "drafts",
    "time to first token",
    "tokens/s",
    "same text",
    "log probabilities",
    "scores",
    "abort",
    "statistics",
]


def judge(prompt: str) -> str:
    return "Yes" if "\nrewrite: chicken soup" in prompt else script(prompt)


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with installed_double(tmp_path, judge) as found:
        yield found


def run(monkeypatch: pytest.MonkeyPatch, checkpoint: Path, *arguments: str) -> int:
    settings = ("--tensorrt_llm.max_seq_len", "4096", "--rewrite.max_new_tokens", "1000")
    command = ("engine-check", "--engine", "tensorrt_llm", "--model.name", str(checkpoint), *settings, *arguments)
    monkeypatch.setattr("sys.argv", ["iterqr-server", *command])
    with pytest.raises(SystemExit) as caught:
        main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_nothing_is_off_with_the_double(
    double: Double, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, double.checkpoint, "--json") == 0
    report = json.loads(capfd.readouterr().out)
    assert report["is_fine"]
    assert report["engine"] == "tensorrt_llm"
    assert report["model"].startswith("checkpoint-")
    names = [line["name"] for line in report["lines"]]
    assert names[-len(PROBE_LINES) :] == PROBE_LINES
    compared = names[: -len(PROBE_LINES)]
    assert {
        "TorchLlmArgs.max_batch_size",
        "TorchLlmArgs.skip_tokenizer_init = False",
        "KvCacheConfig.tokens_per_block",
        "CapacitySchedulerPolicy.GUARANTEED_NO_EVICT",
        "SamplingParams.temperature = None",
        "LLM.generate_async.cache_salt",
        "LLM.get_stats_async.timeout",
        "RequestOutput.abort",
        "KvCacheRetentionConfig (exists; its parameters cannot be inspected)",
    } <= set(compared)
    found = {line["name"]: line["found"] for line in report["lines"]}
    assert found["guided output"].startswith("24 of 24 outputs keep to the format, 0 cut")
    assert found["scores"].endswith("-> 'winter tyres' 0.000")


def test_people_read_lines(double: Double, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, double.checkpoint) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("engine tensorrt_llm, model checkpoint-")
    assert lines[-1] == "nothing is off"
    assert "ok  abort                   drained in " in "\n".join(lines)


def test_another_version_is_told_name_by_name(
    double: Double, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    args = classes()["TorchLlmArgs"]
    kept = {name: field for name, field in args.model_fields.items() if name != "guided_decoding_backend"}
    kept["stream_interval"] = kept["stream_interval"]._copy()
    kept["stream_interval"].default = 4

    class Changed:
        model_fields = kept

    import tensorrt_llm.llmapi  # type: ignore[import-not-found]  # noqa: PLC0415

    monkeypatch.setattr(tensorrt_llm.llmapi, "TorchLlmArgs", Changed)
    monkeypatch.delattr(tensorrt_llm.llmapi, "NGramDecodingConfig")
    assert run(monkeypatch, double.checkpoint) == EXIT_FAILED
    text = capfd.readouterr().out
    assert "off: TorchLlmArgs.guided_decoding_backend: is not a parameter\n" in text
    assert "off: TorchLlmArgs.stream_interval = 1: its default is 4, expected 1\n" in text
    assert "off: NGramDecodingConfig: tensorrt_llm 1.2.1 has no NGramDecodingConfig; this server needs 1.2.1\n" in text
    assert "off: start: the model could not be loaded: tensorrt_llm 1.2.1 has no NGramDecodingConfig" in text
    assert text.splitlines()[-1].startswith("4 of ")


def test_an_engine_that_does_not_get_ready_is_a_line(
    double: Double, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    double.behaviour.ignores_guides = True
    assert run(monkeypatch, double.checkpoint) == EXIT_FAILED
    assert "off: start: the model was loaded but does not work: an output that was to be 'ok'" in capfd.readouterr().out


async def test_any_engine_can_be_checked() -> None:
    """The predictable engine is not held to the format by a guide, but its script keeps to it."""
    report = await check_engine(
        predictable_engine(judge), TEMPLATE, name="predictable", max_new_tokens=1000, before=[CheckLine("a", "b")]
    )
    assert report.faults == ()
    assert [line.name for line in report.lines] == ["a", *PROBE_LINES]


def test_a_second_model_is_loaded_when_the_first_is_shut_down(
    double: Double, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody tells how much memory the double's GPU has free."""
    assert run(monkeypatch, double.checkpoint, "--json", "--swap") == 0
    lines = json.loads(capfd.readouterr().out)["lines"]
    assert lines[-1]["name"] == "swap"
    assert "after the first was shut down: how much GPU memory is free cannot be read" in lines[-1]["found"]
    assert [llm.is_shut_down for llm in double.llms] == [True, True]


@pytest.mark.parametrize(
    ("rules", "other", "found", "fault"),
    [
        (SwapRules(True, True), judge, "beside the first; took 300 MB of memory, at least 200 MB by arithmetic", ""),
        (SwapRules(False, True), judge, "after the first was shut down: one model is in memory at a time", ""),
        (SwapRules(True, True), str.upper, "beside the first", "the same weights gave another text in a second model"),
    ],
    ids=["beside", "reload", "other text"],
)
async def test_what_a_swap_needs_is_a_line(
    rules: SwapRules, other: Callable[[str], str], found: str, fault: str
) -> None:
    free = iter([900 << 20, 600 << 20])
    second = SecondModel(
        lambda: predictable_engine(other), lambda: Room(200 << 20, next(free), 100 << 20, "memory"), rules
    )
    report = await check_engine(
        predictable_engine(judge), TEMPLATE, name="predictable", max_new_tokens=1000, second=second
    )
    line = report.lines[-1]
    assert (line.name, line.fault) == ("swap", fault)
    assert found in line.found


async def test_a_swap_that_a_server_would_refuse_is_off() -> None:
    """Its champion must not be shut down, so no second model is loaded in its place here either."""
    second = SecondModel(
        lambda: pytest.fail("not asked to"), lambda: Room(9, 9, 1, "memory"), SwapRules(beside=True, reload=False)
    )
    report = await check_engine(
        predictable_engine(judge), TEMPLATE, name="predictable", max_new_tokens=1000, second=second
    )
    (off,) = report.faults
    assert (off.name, off.found) == ("swap", "not loaded")
    assert off.fault.startswith("every checkpoint would be refused: needs about 0 MB of memory")


async def test_a_second_model_that_does_not_load_is_off() -> None:
    def open_engine() -> GenerationEngine:
        raise BuiltModelError("model.json: is gone")

    second = SecondModel(open_engine, lambda: Room(1, 9, 1, "memory"), SwapRules(beside=True, reload=False))
    report = await check_engine(
        predictable_engine(judge), TEMPLATE, name="predictable", max_new_tokens=1000, second=second
    )
    assert report.faults == (CheckLine("swap", "failed", "model.json: is gone"),)


async def test_an_output_out_of_format_is_off() -> None:
    report = await check_engine(
        predictable_engine(lambda _prompt: "soup!"), TEMPLATE, name="predictable", max_new_tokens=1000
    )
    faults = {line.name: line.fault for line in report.faults}
    assert faults["guided output"] == "24 outputs break the rewrite format, first that of 'chiken tikka masala'"


ANSWER = ProbeAnswer("soup", "fix: soup", 4, 0.01, 0.1, is_whole=True, is_valid=True, has_logprobs=True)
STATS = EngineStats(
    running=0,
    waiting=0,
    kv_positions_used=10,
    kv_positions_limit=100,
    steps_total=7,
    prompt_tokens_total=1000,
    prefix_tokens_reused_total=500,
    generated_tokens_total=50,
    step_seconds_total=0.5,
    drafts=(DraftSourceStats("ngram", 10, 4),),
)
ANSWERS = (ANSWER,) * len(PROBES)
FINE = ProbeResults(
    first=ANSWERS,
    again=ANSWERS,
    together=ANSWERS,
    together_s=1.0,
    before_again=STATS,
    after_again=replace(STATS, prompt_tokens_total=2000, prefix_tokens_reused_total=1400),
    at_end=STATS,
    shares_of_yes=(0.9, 0.2),
    drain_s=0.01,
)


def test_what_is_measured_is_told() -> None:
    found = {line.name: line.found for line in probe_lines(FINE)}
    assert not any(line.fault for line in probe_lines(FINE))
    assert found["prefix cache"] == "900 of 1000 prompt tokens of repeated prompts reused (90%)"
    assert found["drafts"] == "4 of 10 accepted (40%): ngram 4/10"
    assert found["time to first token"].startswith("new p50 10.0 ms, max 10.0 ms; repeated")
    assert found["tokens/s"] == "40.0 one at a time, 32.0 with 8 together"


@pytest.mark.parametrize(
    ("change", "name", "fault"),
    [
        ({"after_again": replace(STATS, prompt_tokens_total=2000)}, "prefix cache", "computed again: 0% was reused"),
        ({"first": (replace(ANSWER, is_valid=False), *ANSWERS[1:])}, "guided output", "1 outputs break the rewrite"),
        ({"at_end": replace(STATS, drafts=(DraftSourceStats("ngram", 9, 0),))}, "drafts", "no guess came true"),
        ({"together": (replace(ANSWER, text="fix: pho"), *ANSWERS[1:])}, "same text", "depends on what is cached"),
        ({"again": (replace(ANSWER, has_logprobs=False), *ANSWERS[1:])}, "log probabilities", "1 outputs lack"),
        ({"shares_of_yes": (0.5, 0.5)}, "scores", "every pair has the same score"),
        ({"shares_of_yes": (float("nan"), 0.5)}, "scores", "nan is no probability"),
        ({"drain_s": None}, "abort", "an aborted request kept its place"),
        ({"at_end": replace(STATS, steps_total=0, kv_positions_limit=0)}, "statistics", "no steps and no cache size"),
    ],
)
def test_what_is_off_is_told(change: dict[str, Any], name: str, fault: str) -> None:
    faults = {line.name: line.fault for line in probe_lines(replace(FINE, **change)) if line.fault}
    assert list(faults) == [name]
    assert fault in faults[name]


def test_a_report_in_words_and_as_json() -> None:
    report = CheckReport("onnxruntime", "m", (CheckLine("start", "ready"), CheckLine("abort", "not drained", "kept")))
    assert report.to_text() == (
        "engine onnxruntime, model m\n"
        "ok  start                   ready\n"
        "OFF abort                   not drained\n"
        "off: abort: kept\n"
        "1 of 2 are off"
    )
    assert json.loads(report.to_json()) == {
        "engine": "onnxruntime",
        "model": "m",
        "lines": [
            {"name": "start", "found": "ready", "fault": ""},
            {"name": "abort", "found": "not drained", "fault": "kept"},
        ],
        "is_fine": False,
    }
